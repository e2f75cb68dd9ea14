"""Samples as bytes, against libsndfile; pipes that deliver what they like."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.sounds import Dribble
from tinyencodec.audio.headers import read_header
from tinyencodec.audio.pcm import Pcm, PcmReader, encode, wav_header

SUBTYPES = {"u8": "PCM_U8", "ulaw": "ULAW", "alaw": "ALAW", "s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32",
            "f32le": "FLOAT", "f64le": "DOUBLE"}


def noise(channels=1, samples=500):
    return np.random.default_rng(channels).uniform(-1, 1, (channels, samples))


def wav_bytes(wav, subtype="PCM_16", file_format="WAV", rate=8000):
    fo = io.BytesIO()
    soundfile.write(fo, wav.T, rate, subtype, format=file_format)
    return fo.getvalue()


def read_all(fo, pcm, size=None, promised=None):
    reader, blocks = PcmReader(fo, pcm, size, promised, 100), []
    while (block := reader.read()).shape[1]:
        blocks.append(block)
    return np.concatenate([*blocks, block], axis=1), reader.missing


@pytest.mark.parametrize("encoding", SUBTYPES)
@pytest.mark.parametrize("file_format", ["WAV", "WAVEX"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_equals_libsndfile(encoding, file_format, channels):
    data = wav_bytes(noise(channels), SUBTYPES[encoding], file_format, 44_100)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    fo = Dribble(data)
    pcm, size, start = read_header(fo)[:3]
    assert pcm == Pcm(encoding, 44_100, channels) and size == 500 * pcm.width
    got, missing = read_all(fo, pcm, size, size)
    assert got.dtype == np.float32 and got.flags.c_contiguous and np.array_equal(got, expected.T) and missing == 0
    raw = data[start:start + size]
    assert np.array_equal(read_all(Dribble(raw), pcm)[0], got)  # the same without a header


@pytest.mark.parametrize("encoding", ["ulaw", "alaw"])
def test_all_values_of_the_laws(encoding):
    """Against libsndfile; a few by hand, from the tables of ITU-T G.711."""
    every = bytes(range(256))
    expected, _ = soundfile.read(io.BytesIO(every), samplerate=8000, channels=1, format="RAW", dtype="float32",
                                 subtype=SUBTYPES[encoding])
    got = Pcm(encoding, 8000, 1).decode(every)[0]
    assert np.array_equal(got, expected)
    known = {"ulaw": {0x80: 32124, 0x00: -32124, 0xFF: 0, 0x7F: 0, 0xFE: 8},
             "alaw": {0xAA: 32256, 0x2A: -32256, 0xD5: 8, 0x55: -8}}[encoding]
    assert {code: got[code] * 32768 for code in known} == known


def test_big_endian():
    wav = np.array([[-1, -0.5, 0.25, 0.75]], np.float32)
    for little, big in (("s16le", "s16be"), ("s24le", "s24be"), ("s32le", "s32be"), ("f32le", "f32be")):
        width = Pcm(little, 8000, 1).width
        data = {"s16le": wav * 2**15, "s32le": wav * 2**31, "s24le": wav * 2**31, "f32le": wav}[little]
        data = data.astype("<f4" if little == "f32le" else "<i2" if width == 2 else "<i4")[0]
        data = b"".join(sample.tobytes()[-width:] for sample in data)
        turned = b"".join(data[at:at + width][::-1] for at in range(0, len(data), width))
        for encoding, some in ((little, data), (big, turned)):
            assert np.array_equal(Pcm(encoding, 8000, 1).decode(some), wav), encoding
    assert np.array_equal(Pcm("s8", 8000, 1).decode(b"\x80\x40"), [[-1, 0.5]])


def test_early_end():
    pcm = Pcm("s16le", 8000, 1)
    got, missing = read_all(Dribble(bytes(957)), pcm, 1000, 1000)
    assert (got.shape, missing) == ((1, 478), 22)  # half a sample is dropped
    assert read_all(Dribble(bytes(957)), pcm, None, None)[1] == 0
    assert read_all(Dribble(bytes(957)), pcm, 500, 500)[0].shape == (1, 250)


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
    assert np.array_equal(read_all(Dribble(data), Pcm(encoding, 8000, channels))[0], wav)


@pytest.mark.parametrize("pcm", [Pcm("s17le", 8000, 1), Pcm("s16le", 0, 1), Pcm("s16le", 8000, 0), Pcm("s16le", -1, 1)])
def test_bad_forms(pcm):
    with pytest.raises(ValueError, match="expected .*, got"):
        pcm.check()
