"""What stands behind the samples of a file: other files, chunks, samples that its header does not count, padding."""

import os
import struct

import numpy as np
import pytest

from tests.helpers.sounds import RATE, decoded, encoded, patched, read_three_ways, resized, tone
from tinyencodec.audio.pcm import wav_header
from tinyencodec.audio.reader import AudioReader
from tinyencodec.audio.sources import GOES_ON, sources

FIRST = [("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_24"),
         ("AIFF", "PCM_S8"), ("AU", "ULAW"), ("CAF", "PCM_S8"), ("CAF", "FLOAT")]
LAST = [("WAV", "PCM_24"), ("WAV", "IMA_ADPCM"), ("RF64", "FLOAT"), ("W64", "PCM_16"), ("AIFF", "PCM_16"),
        ("AU", "PCM_16"), ("CAF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")]
LIST = b"LIST" + struct.pack("<I", 5) + b"abcde\0"


@pytest.mark.parametrize("first", FIRST)
def test_joined_files(tmp_path, first):
    """As many samples as libsndfile finds in the files one by one, through a pipe as well; odd lengths are padded."""
    for last in LAST:
        a, b = encoded(tone(2001), *first), encoded(tone(1500, seed=1), *last)
        told = read_three_ways(tmp_path, a + b)
        assert np.array_equal(told.wav, np.concatenate([decoded(a), decoded(b)], axis=1)), (first, last)
        assert told.remarks == [] and told.length is None


def test_many_joined_files(tmp_path):
    data = encoded(tone(1001), "WAV", "PCM_U8")
    told = read_three_ways(tmp_path, (data + LIST) * 300 + encoded(tone(99), "WAV", "IMA_ADPCM") + data)
    assert np.array_equal(told.wav[:, :300 * 1001], np.tile(decoded(data), 300)) and told.remarks == []
    assert np.array_equal(told.wav[:, -1001:], decoded(data))


def test_a_file_of_another_form_behind(tmp_path):
    """It is converted, and that is told; an unreadable one is told too."""
    a = encoded(tone(RATE), "WAV")
    told = read_three_ways(tmp_path, a + encoded(tone(2 * RATE, 2, 2 * RATE), "AIFF", "PCM_16", 2 * RATE))
    assert told.wav.shape == (1, 2 * RATE)
    assert told.remarks == ["from 1.0 s on it has 32000 Hz and 2 channels instead of 16000 Hz and 1 channel, and is "
                            "converted"]
    told = read_three_ways(tmp_path, a + b"fLaC" + bytes(1000))
    assert np.array_equal(told.wav, decoded(a)) and told.remarks == ["one of its parts is unreadable, and left out"]
    told = read_three_ways(tmp_path, a + a[:-2000])
    assert told.wav.shape == (1, 2 * RATE - 1000) and told.remarks == ["ends 0.1 s before its header says"]


@pytest.mark.parametrize("more, remarks", [
    (bytes(70_000), []), (LIST, []), (LIST * 3 + bytes(9), []), (b"\0" + LIST, []),
    (b"\1" * 1000, ["1000 bytes behind its samples are left out"]),
    (LIST + b"\1" * 70_000, ["70000 bytes behind its samples are left out"]),
    (LIST[:10], ["10 bytes behind its samples are left out"])])
def test_what_is_no_sound(tmp_path, more, remarks):
    data = encoded(tone(RATE), "WAV")
    told = read_three_ways(tmp_path, data + more)
    assert np.array_equal(told.wav, decoded(data)) and told.remarks == remarks and told.length == RATE


@pytest.mark.parametrize("file_format, subtype", [
    ("WAV", "PCM_24"), ("WAV", "IMA_ADPCM"), ("AIFF", "PCM_24"), ("W64", "PCM_16"), ("CAF", "FLOAT"), ("AU", "PCM_S8")])
def test_a_header_that_counts_too_few(tmp_path, file_format, subtype):
    """A recorder that lost its power. The number need not fall between two instants."""
    data = encoded(tone(10 * RATE, 2), file_format, subtype)
    told = read_three_ways(tmp_path, resized(data, 2048 if subtype == "IMA_ADPCM" else 1001))
    assert np.array_equal(told.wav[:, :10 * RATE], decoded(data)[:, :10 * RATE])
    assert told.wav.shape[1] <= 10 * RATE + 10 + 1016 * (subtype == "IMA_ADPCM")
    assert told.remarks == [GOES_ON] and told.length is None


def test_more_than_4_gib_in_32_bits(tmp_path):
    """The samples of 24 bits do not fit into 4 GiB in whole instants. The file is one hole; only its end is read."""
    samples = (1 << 32) // 6 + 1000
    header = patched(patched(wav_header(48_000, 2, 1), 28, "<IHH", 6 * 48_000, 6, 24), 40, "<I", 6 * samples % 2**32)
    with open(tmp_path / "long.wav", "wb") as fo:
        fo.write(header)
        fo.seek(len(header) + 6 * samples % 2**32)  # where the header says that they end
        fo.write(bytes(range(1, 7)))
        fo.truncate(len(header) + 6 * samples - 6)
        fo.seek(0, os.SEEK_END)
        fo.write(bytes(range(1, 7)))
    with AudioReader(tmp_path / "long.wav") as reader:
        assert reader.length is None
    with open(tmp_path / "long.wav", "rb") as fo:
        parts = sources(fo)
        first = next(parts).length
        fo.seek(0)
        rest = next(parts)
        assert first is None and rest.length == samples - 6 * samples % 2**32 // 6
        fo.seek(-6 * 10, os.SEEK_END)
        assert np.array_equal(rest.read()[:, -1], np.float32([0x030201, 0x060504]) / 2**23)


@pytest.mark.parametrize("file_format, subtype, remark", [
    (*kind, "ends 0.4 s before its header says") for kind in (
        ("SVX", "PCM_16"), ("NIST", "PCM_16"), ("NIST", "ULAW"), ("MAT4", "PCM_16"), ("MAT5", "FLOAT"),
        ("MPC2K", "PCM_16"), ("AVR", "PCM_16"))] + [("VOC", "PCM_16", "ends before its header says")])
def test_old_formats_cut_short(tmp_path, file_format, subtype, remark):
    """libsndfile tells the samples that are there, not those that the header promises."""
    data = encoded(tone(RATE), file_format, subtype)
    assert read_three_ways(tmp_path, data).remarks == []
    told = read_three_ways(tmp_path, data[:len(data) * 6 // 10])
    assert np.array_equal(told.wav, decoded(data)[:, :told.wav.shape[1]])
    assert told.remarks == [remark]
