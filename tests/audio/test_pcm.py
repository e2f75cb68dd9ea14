"""Raw samples and WAV headers, against libsndfile; pipes that deliver what they like."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.audio.pcm import Pcm, PcmReader, encode, read_wav_header, wav_header

SUBTYPES = {"s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32", "f32le": "FLOAT", "f64le": "DOUBLE"}


class Dribble:
    """A file that returns 1 to 7 bytes at a time, and cannot seek."""

    def __init__(self, data):
        self.data, self.position = data, 0

    def read(self, size):
        piece = self.data[self.position:self.position + min(size, 1 + self.position % 7)]
        self.position += len(piece)
        return piece


def noise(channels=1, samples=500):
    return np.random.default_rng(channels).uniform(-1, 1, (channels, samples))


def wav_bytes(wav, subtype="PCM_16", file_format="WAV", rate=8000):
    fo = io.BytesIO()
    soundfile.write(fo, wav.T, rate, subtype, format=file_format)
    return fo.getvalue()


def read_all(fo, pcm, size=None, certain=False):
    reader, blocks = PcmReader(fo, pcm, size, certain, 100), []
    while (block := reader.read()).shape[1]:
        blocks.append(block)
    return np.concatenate([*blocks, block], axis=1)


def read_wav(data):
    fo = Dribble(data)
    return read_all(fo, *read_wav_header(fo))


@pytest.mark.parametrize("encoding", SUBTYPES)
@pytest.mark.parametrize("file_format", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_equals_libsndfile(encoding, file_format, channels):
    data = wav_bytes(noise(channels), SUBTYPES[encoding], file_format, 44_100)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    fo = io.BytesIO(data)
    pcm, size, certain = read_wav_header(fo)
    assert pcm == Pcm(encoding, 44_100, channels) and (size, certain) == (500 * pcm.width, True)
    got = read_wav(data)
    assert got.dtype == np.float32 and got.flags.c_contiguous and np.array_equal(got, expected.T)
    raw = fo.read()[:size]
    assert np.array_equal(read_all(Dribble(raw), pcm), got)  # the same without a header


@pytest.mark.parametrize("size, samples", [(0, 10), (0xFFFFFFFF, 10), (0x7FFFF000, 10), (0x80000000, 10), (8, 4),
                                           (7, 3)])
def test_lengths_in_the_header(size, samples):
    """Lengths that a program makes up when it writes to a pipe mean: until the end."""
    data = bytearray(wav_bytes(noise()[:, :10]))
    data[40:44] = struct.pack("<I", size)
    assert np.array_equal(read_wav(bytes(data)), read_wav(wav_bytes(noise()[:, :samples])))


def test_early_end():
    data = wav_bytes(noise())
    with pytest.raises(EOFError, match="file ends early: expected 500 samples, got 478"):
        read_wav(data[:1001])
    live = data[:40] + b"\xff" * 4 + data[44:1001]
    assert read_wav(live).shape == (1, 478)  # half a sample is dropped


def test_chunks_before_and_behind_the_samples():
    data = wav_bytes(noise())
    odd = b"LIST" + struct.pack("<I", 5) + b"abcde\x00"
    assert np.array_equal(read_wav(data[:12] + odd + data[12:36] + odd + data[36:] + odd), read_wav(data))


@pytest.mark.parametrize("data", [
    b"", b"RIFF", b"fLaC" + bytes(100), b"RIFF\0\0\0\0AVI " + bytes(100), wav_bytes(noise(), "PCM_U8"),
    wav_bytes(noise(), "IMA_ADPCM"), wav_bytes(noise(), "ULAW"), wav_bytes(noise())[:30],
    wav_bytes(noise())[:12] + wav_bytes(noise())[36:], wav_bytes(noise())[:12] + b"LIST\xff\xff\xff\xff" + bytes(99),
    wav_header(8000, 1, 5).replace(struct.pack("<I", 8000), bytes(4)), wav_header(8000, 1, 5)[:12] + b"fmt \x04\0\0\0"
    + bytes(20)])
def test_not_a_plain_wav(data):
    assert read_wav_header(Dribble(data)) is None


@given(st.binary(max_size=200), st.integers(0, 44))
def test_any_header(data, size):
    header = read_wav_header(Dribble(wav_header(8000, 1, 5)[:size] + data))
    assert header is None or header[0].check()


@pytest.mark.parametrize("channels", [1, 2])
def test_header_equals_that_of_libsndfile(channels):
    wav = np.round(noise(channels) * 32000) / 32768
    assert wav_header(8000, channels, 500) + encode(wav.astype(np.float32), "s16le") == wav_bytes(wav)


def test_header_of_a_pipe():
    assert wav_header(8000, 1, None)[4:8] == wav_header(8000, 1, None)[40:] == b"\xff" * 4
    with pytest.raises(ValueError, match="expected a signal that WAV can hold, got 40000 channels"):
        wav_header(8000, 40_000, None)


@given(st.sampled_from(["s16le", "f32le"]), st.integers(1, 3), st.integers(0, 300))
def test_raw_round_trip(encoding, channels, samples):
    wav = (np.round(noise(channels, samples) * 32000) / 32768).astype(np.float32)
    data = encode(wav, encoding)
    assert len(data) == Pcm(encoding, 8000, channels).width * samples
    assert np.array_equal(read_all(Dribble(data), Pcm(encoding, 8000, channels)), wav)


@pytest.mark.parametrize("pcm", [Pcm("u8", 8000, 1), Pcm("s16le", 0, 1), Pcm("s16le", 8000, 0), Pcm("s16le", -1, 1)])
def test_bad_forms(pcm):
    with pytest.raises(ValueError, match="expected .*, got"):
        pcm.check()
