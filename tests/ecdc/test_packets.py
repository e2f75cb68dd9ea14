"""The streamed form of the container: exact bytes, and streams that lie or break off."""

import io
import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.pipes import Pipe
from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.container import EcdcReader, EcdcWriter
from tinyencodec.ecdc.header import EcdcHeader, read_header

NORMALISED = CodecConfig(sampling_rate=800, audio_channels=2, normalize=True, chunk_length_s=0.1, overlap=0.25,
                         upsampling_ratios=(4, 2), target_bandwidths=(3.0,), codebook_size=8)
CONFIGS = {"encodec_24khz": ENCODEC_24KHZ, "encodec_48khz": ENCODEC_48KHZ, "normalised": NORMALISED}


def pack(values, width):
    """The codes as one long binary number, first code lowest."""
    number = sum(value << width * i for i, value in enumerate(values))
    return number.to_bytes(-(-width * len(values) // 8), "little")


def stream_header(name, n_codebooks):
    metadata = json.dumps({"m": name, "al": 0, "nc": n_codebooks, "lm": False, "stream": True}).encode()
    return b"ECDC" + struct.pack("!BI", 0, len(metadata)) + metadata


def written(name, parts, audio_length):
    """Parts are (codes, scale)."""
    fo = Pipe()
    writer = EcdcWriter(fo, name, CONFIGS[name], len(parts[0][0]))
    for codes, scale in parts:
        writer.write(codes, scale)
    writer.finish(audio_length)
    assert writer.streamed
    return fo.getvalue()


def read(name, data):
    fo = Pipe(data)
    header = read_header(fo)
    reader = EcdcReader(fo, header, CONFIGS[name])
    parts = list(reader)
    return header, parts, reader.audio_length, fo.getvalue()[io.BytesIO.tell(fo):]


def test_golden_stream():
    codes = np.array([[1, 3, 5], [2, 4, 6]])
    data = written("encodec_24khz", [(codes[:, :1], None), (codes[:, 1:], None)], 900)
    assert data == (stream_header("encodec_24khz", 2) + b"\x00\x01" + pack([1, 2], 10) + b"\x00\x02"
                    + pack([3, 4, 5, 6], 10) + b"\x00\x00" + bytes([0, 0, 0, 0, 0, 0, 3, 132]))


def test_golden_stream_with_scales():
    parts = [(np.arange(10)[None] % 8, 0.5), (np.array([[7, 0, 1]]), 0.0)]
    assert written("normalised", parts, 81) == (
        stream_header("normalised", 1) + b"\x00\x0a" + struct.pack("!f", 0.5) + pack([0, 1, 2, 3, 4, 5, 6, 7, 0, 1], 3)
        + b"\x00\x03" + struct.pack("!f", 0.0) + pack([7, 0, 1], 3) + b"\x00\x00" + struct.pack("!Q", 81))


@given(st.sampled_from(list(CONFIGS)), st.integers(1, 100_000), st.data())
def test_round_trip(name, audio_length, data):
    config, rng = CONFIGS[name], np.random.default_rng(audio_length)
    audio_length = audio_length if name != "normalised" else 1 + audio_length % 500
    n_codebooks = data.draw(st.integers(1, min(4, config.n_codebooks)))
    sizes = list(segment_frames(config, audio_length))
    if config.segment_length is None:
        cuts = data.draw(st.lists(st.integers(0, sizes[0]), max_size=5))
        sizes = np.diff(np.sort([0, *cuts, sizes[0]])).tolist()  # zeros among them: no packet
    parts = [(rng.integers(0, config.codebook_size, (n_codebooks, n)), 0.25 if config.normalize else None)
             for n in sizes]
    header, got, length, rest = read(name, written(name, parts, audio_length) + b"more")
    assert header == EcdcHeader(name, 0, n_codebooks, stream=True)
    assert (length, rest) == (audio_length, b"more")
    for (codes, scale), (codes_2, scale_2) in zip([part for part in parts if part[0].size], got, strict=True):
        assert np.array_equal(codes, codes_2) and scale == scale_2


def test_more_frames_than_a_packet_holds():
    codes = np.random.default_rng(0).integers(0, 1024, (1, 70_000))
    _, got, length, _ = read("encodec_24khz", written("encodec_24khz", [(codes, None)], 70_000 * 320))
    assert [part.shape[1] for part, _ in got] == [65_535, 4465] and length == 70_000 * 320
    assert np.array_equal(np.concatenate([part for part, _ in got], axis=1), codes)
    long = CodecConfig(upsampling_ratios=(4, 2), chunk_length_s=25.0, overlap=0.1, target_bandwidths=(30.0,))
    with pytest.raises(ValueError, match="segments of at most 65535 frames, got 75000"):
        EcdcWriter(Pipe(), "x", long, 1)


def test_reader_takes_no_byte_that_it_does_not_need():
    parts = [(np.full((2, n), n), None) for n in (5, 1, 9)]
    data = written("encodec_24khz", parts, 15 * 320)
    fo = Pipe(data)
    at = len(stream_header("encodec_24khz", 2))
    for (codes, _), (expected, _) in zip(EcdcReader(fo, read_header(fo), ENCODEC_24KHZ), parts, strict=True):
        at += 2 + -(-expected.size * 10 // 8)
        assert np.array_equal(codes, expected) and io.BytesIO.tell(fo) == at


@pytest.mark.parametrize("name", CONFIGS)
def test_every_truncation_is_an_eof_error(name):
    parts = [(np.ones((1, n), int), 1.0 if CONFIGS[name].normalize else None)
             for n in segment_frames(CONFIGS[name], 200)]
    data = written(name, parts, 200)
    for size in range(len(data)):
        with pytest.raises(EOFError, match="file ends early: expected .* got"):
            read(name, data[:size])


@pytest.mark.parametrize("name, payload, message", [
    ("encodec_24khz", b"\x00\x00" + bytes(8), "audio length: expected 1 to 2..62 samples, got 0"),
    ("encodec_24khz", b"\x00\x00" + b"\xff" * 8, "audio length: expected 1 to 2..62 samples, got 18446744073709551615"),
    ("encodec_24khz", b"\x00\x00" + struct.pack("!Q", 1), "expected those of 1 samples, got '0 in 0 segments'"),
    ("encodec_24khz", b"\x00\x01" + bytes(4) + bytes(9) + b"\x00", "audio length"),
    ("encodec_24khz", b"\x00\x01" + bytes(2) + b"\x00\x00" + struct.pack("!Q", 321), "of 321 samples, got '1 in 1"),
    ("encodec_24khz", b"\x00\x02" + bytes(3) + b"\x00\x00" + struct.pack("!Q", 320), "of 320 samples, got '2 in 1"),
    ("normalised", b"\x00\x0b" + bytes(99), "packet: expected at most the 10 frames of a segment, got 11"),
    ("normalised", b"\x00\x01" + struct.pack("!f", -1.0) + bytes(99), "scale: expected a finite number"),
    ("normalised", b"\x00\x01" + struct.pack("!f", float("nan")) + bytes(99), "scale: expected a finite number"),
    ("normalised", (b"\x00\x09" + bytes(4 + 4)) * 2 + b"\x00\x00" + struct.pack("!Q", 130), "expected those of 130"),
])
def test_streams_that_lie(name, payload, message):
    with pytest.raises(ValueError, match=message):
        read(name, stream_header(name, 1) + payload)


def test_each_packet_is_one_write():
    """So that a pipe delivers it whole."""
    class Counted(Pipe):
        writes = 0

        def write(self, data):
            self.writes += 1
            return super().write(data)

    fo = Counted()
    writer = EcdcWriter(fo, "normalised", NORMALISED, 2)
    for n in range(3):
        assert fo.writes == 1 + n
        writer.write(np.zeros((2, 10), int), 1.0)
