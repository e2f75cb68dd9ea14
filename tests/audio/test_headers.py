"""Headers of plain samples: lengths true, unknown, made up and wrong; against libsndfile where it reads them."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.sounds import RATE, Dribble, decoded, encoded, patched, read_three_ways, resized, tone
from tinyencodec.audio.headers import read_header
from tinyencodec.audio.pcm import Pcm, wav_header

SAMPLES = 3001
KINDS = [(file_format, subtype) for file_format, subtypes in {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "MS_ADPCM", "IMA_ADPCM"),
    "WAVEX": ("PCM_16", "FLOAT"), "RF64": ("PCM_U8", "PCM_16", "FLOAT", "ULAW"),
    "W64": ("PCM_U8", "PCM_16", "PCM_24", "ALAW", "IMA_ADPCM"),
    "AIFF": ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM"),
    "AU": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "G721_32"),
    "CAF": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "ALAC_16")}.items()
    for subtype in subtypes]


def made(file_format, subtype):
    if file_format not in soundfile.available_formats() or subtype not in soundfile.available_subtypes(file_format):
        pytest.skip(f"this libsndfile does not write {file_format} with {subtype}")
    samples = 20_001 if subtype == "ALAC_16" else SAMPLES  # its blocks have 4096
    return encoded(tone(samples, 1 if subtype == "G721_32" else 2), file_format, subtype)


@pytest.mark.parametrize("file_format, subtype", KINDS)
def test_lengths(tmp_path, file_format, subtype):
    """The samples are those of libsndfile, whatever the header tells of their number; what it promises is told."""
    data = made(file_format, subtype)
    expected = decoded(data)
    told = read_three_ways(tmp_path, data)
    assert np.array_equal(told.wav, expected) and told.remarks == [] and told.length == expected.shape[1]
    plain = read_header(Dribble(data)).pcm is not None
    for size in (0, -1):
        some = read_three_ways(tmp_path, resized(data, size))
        assert np.array_equal(some.wav[:, :SAMPLES], expected[:, :SAMPLES]) and some.remarks == []
        # What follows the samples is taken for samples: a few bytes, or a chunk of ours.
        assert expected.shape[1] <= some.wav.shape[1] <= expected.shape[1] + 50
    if plain:
        some = read_three_ways(tmp_path, resized(data, 100 * Pcm(*read_header(Dribble(data)).pcm).width))
        assert np.array_equal(some.wav, expected[:, :100])
        assert len(some.remarks) == 1 and some.remarks[0].endswith(" bytes behind its samples are left out")
    much = read_three_ways(tmp_path, resized(data, 1_000_000))
    assert np.array_equal(much.wav[:, :SAMPLES], expected[:, :SAMPLES])
    if subtype != "ALAC_16":  # its length is told elsewhere too, and right
        assert len(much.remarks) == 1 and much.remarks[0].endswith(" s before its header says")
    cut = read_three_ways(tmp_path, data[:-1600 * read_header(Dribble(data)).size // expected.shape[1]])
    assert np.array_equal(cut.wav, expected[:, :cut.wav.shape[1]]) or not plain
    assert cut.wav.shape[1] == pytest.approx(expected.shape[1] - 1600, abs=4096 if subtype == "ALAC_16" else 600)
    seconds = (expected.shape[1] - cut.wav.shape[1]) / RATE
    assert len(cut.remarks) == 1
    assert float(cut.remarks[0].split()[1]) == pytest.approx(seconds, abs=0.06 if plain else 0.15), cut.remarks


@pytest.mark.parametrize("size, samples", [(0, 10), (0xFFFFFFFF, 10), (0x7FFFF000, 10), (0x80000000, 10), (8, 4),
                                           (0x7FFFFFFF - 36, 10), (0xFFFFFFFF - 36, 10), (7, 3)])
@pytest.mark.parametrize("riff_size", [0, 36, 0xFFFFFFFF, 56])
def test_lengths_that_programs_make_up(tmp_path, size, samples, riff_size):
    wav = tone(10)
    told = read_three_ways(tmp_path, patched(resized(encoded(wav, "WAV"), size), 4, "<I", riff_size))
    assert np.array_equal(told.wav, decoded(encoded(wav, "WAV"))[:, :samples])
    assert told.remarks == [f"{20 - size} bytes behind its samples are left out"] * (samples < 10)


def test_other_orders_of_bytes(tmp_path):
    data = encoded(tone(SAMPLES, 2), "WAV", "PCM_16", endian="BIG")
    assert data[:4] == b"RIFX"
    for size in (None, 0, -1):
        told = read_three_ways(tmp_path, data if size is None else resized(data, size))
        assert np.array_equal(told.wav, decoded(data)) and told.remarks == []
    for file_format, options in (("AIFF", {"endian": "LITTLE"}), ("CAF", {"endian": "LITTLE"}), ("AU", {"endian":
                                                                                                  "LITTLE"})):
        data = encoded(tone(SAMPLES, 2), file_format, "PCM_16", **options)
        assert read_header(Dribble(data)).pcm == Pcm("s16le", RATE, 2)
        assert np.array_equal(read_three_ways(tmp_path, data).wav, decoded(data))


def test_chunks_before_and_behind_the_samples(tmp_path):
    data = encoded(tone(SAMPLES), "WAV")
    odd = b"LIST" + struct.pack("<I", 5) + b"abcde\x00"
    around = data[:12] + odd + data[12:36] + odd + data[36:] + odd
    assert np.array_equal(read_three_ways(tmp_path, around).wav, decoded(data))
    data = encoded(tone(SAMPLES), "AIFF")
    around = data[:12] + b"NAME\0\0\0\3abc\0" + data[12:] + b"ANNO\0\0\0\2ab"
    assert np.array_equal(read_three_ways(tmp_path, around).wav, decoded(data))


def test_an_empty_sound_is_not_the_chunk_behind_it(tmp_path):
    """A length of 0 can be true: then a chunk follows."""
    empty = wav_header(RATE, 1, 0)
    for data in (empty, empty + b"LIST" + struct.pack("<I", 4) + b"INFO"):
        data = patched(data, 4, "<I", len(data) - 8)
        with pytest.raises(ValueError, match="expected at least one sample, got none"):
            read_three_ways(tmp_path, data)


@pytest.mark.parametrize("data", [
    b"", b"RIFF", b"fLaC" + bytes(100), b"RIFF\0\0\0\0AVI " + bytes(100), encoded(tone(10), "WAV")[:30],
    encoded(tone(10), "WAV")[:12] + encoded(tone(10), "WAV")[36:], b"FORM\0\0\0\0AIFFSSND" + bytes(99),
    encoded(tone(10), "WAV")[:12] + b"LIST\xff\xff\xff\xff" + bytes(99), b".snd\xff\xff\xff\xff" + bytes(99),
    encoded(tone(10), "W64")[:40] + bytes(999), b"caff\0\1\0\0desc" + b"\xff" * 99])
def test_no_header(data):
    assert read_header(Dribble(data)) is None


@pytest.mark.parametrize("data", [
    encoded(tone(10), "WAV", "IMA_ADPCM"), encoded(tone(10), "CAF", "ALAC_16"),
    wav_header(8000, 1, 5).replace(struct.pack("<I", 8000), bytes(4)), encoded(tone(10), "AIFF", "PCM_U8"),
    wav_header(8000, 1, 5)[:12] + b"fmt \x04\0\0\0" + bytes(4) + b"data" + bytes(4)])
def test_not_plain_samples(data):
    assert read_header(Dribble(data)).pcm is None


@given(st.sampled_from(["WAV", "RF64", "W64", "AIFF", "AU", "CAF"]), st.binary(max_size=200), st.integers(0, 150))
def test_any_header(file_format, data, size):
    header = read_header(Dribble(encoded(tone(5), file_format)[:size] + data))
    assert header is None or header.pcm is None or header.pcm.check()


@given(st.sampled_from(["WAV", "RF64", "W64", "AIFF", "AU", "CAF"]), st.integers(8, 120), st.binary(min_size=1,
                                                                                                   max_size=8))
def test_any_number_in_it(file_format, at, number):
    data = encoded(tone(50), file_format)
    fo = io.BytesIO(data[:at] + number + data[at + len(number):])
    header = read_header(fo)
    if header is not None and header.pcm is not None:
        assert header.pcm.check() and header.start <= fo.tell() <= len(data) + 8
