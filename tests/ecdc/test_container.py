"""The container: exact bytes, integer frame counts, and files that lie."""

import io
import json
import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.ecdc import container as ecdc
from tinyencodec.ecdc import header as ecdc_header
from tinyencodec.ecdc.container import EcdcReader, EcdcWriter, read_ecdc, write_ecdc
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, read_header

NORMALISED = CodecConfig(sampling_rate=800, audio_channels=2, normalize=True, chunk_length_s=0.1, overlap=0.25,
                         upsampling_ratios=(4, 2), target_bandwidths=(3.0,), codebook_size=8)
MODELS = {name: SimpleNamespace(name=name, config=config) for name, config in
          {"encodec_24khz": ENCODEC_24KHZ, "encodec_48khz": ENCODEC_48KHZ, "normalised": NORMALISED}.items()}


class Dribble:
    """A file that returns one to three bytes at a time, cannot seek, and remembers the largest request."""

    def __init__(self, data):
        self.data, self.position, self.largest = data, 0, 0

    def read(self, size):
        self.largest = max(self.largest, size)
        piece = self.data[self.position:self.position + min(size, 1 + self.position % 3)]
        self.position += len(piece)
        return piece


def pack(values, width):
    """The codes as one long binary number, first code lowest."""
    number = sum(value << width * i for i, value in enumerate(values))
    return number.to_bytes(-(-width * len(values) // 8), "little")


def header_of(metadata, magic=b"ECDC", version=0, size=None):
    if not isinstance(metadata, bytes):
        metadata = json.dumps(metadata).encode()
    return struct.pack("!4sBI", magic, version, len(metadata) if size is None else size) + metadata


def fields(**changes):
    return {"m": "encodec_24khz", "al": 1000, "nc": 8, "lm": False} | changes


def random_frames(model, audio_length, n_codebooks, seed=0):
    rng, config = np.random.default_rng(seed), model.config
    return [(rng.integers(0, config.codebook_size, (n_codebooks, n)),
             float(np.float32(rng.random())) if config.normalize else None)
            for n in ecdc.segment_frames(config, audio_length)]


def written(model, frames, audio_length):
    fo = io.BytesIO()
    write_ecdc(fo, model, frames, audio_length)
    return fo.getvalue()


def assert_same_frames(one, other):
    for (codes, scale), (codes_2, scale_2) in zip(one, other, strict=True):
        assert np.array_equal(codes, codes_2) and scale == scale_2


# ---- exact bytes -------------------------------------------------------------------------------------


def test_golden_file():
    # 321 samples are two frames of 320; time-major: frame 0 = (1, 2), frame 1 = (3, 4)
    data = written(MODELS["encodec_24khz"], [(np.array([[1, 3], [2, 4]]), None)], 321)
    metadata = b'{"m": "encodec_24khz", "al": 321, "nc": 2, "lm": false}'
    assert data == b"ECDC\x00\x00\x00\x00" + bytes([len(metadata)]) + metadata + pack([1, 2, 3, 4], 10)


def test_golden_file_with_scales():
    # 81 samples: 80 from 0 (10 frames of 8), then 21 from 60 (3 frames). One codebook of 3 bits.
    frames = [(np.arange(10)[None] % 8, 0.5), (np.array([[7, 0, 1]]), 0.0)]
    data = written(MODELS["normalised"], frames, 81)
    payload = (struct.pack("!f", 0.5) + pack([0, 1, 2, 3, 4, 5, 6, 7, 0, 1], 3)
               + struct.pack("!f", 0.0) + pack([7, 0, 1], 3))
    assert data == header_of({"m": "normalised", "al": 81, "nc": 1, "lm": False}) + payload


@given(st.sampled_from(list(MODELS.values())), st.integers(1, 700), st.data())
def test_round_trip(model, audio_length, data):
    n_codebooks = data.draw(st.integers(1, model.config.n_codebooks))
    frames = random_frames(model, audio_length, n_codebooks, seed=audio_length)
    stored = written(model, frames, audio_length)
    for fo in (io.BytesIO(stored + b"more"), Dribble(stored)):
        header = read_header(fo)
        assert header == EcdcHeader(model.name, audio_length, n_codebooks)
        assert_same_frames(read_ecdc(fo, model, header), frames)
    size = len(stored) - len(header_of(fields(m=model.name, al=audio_length, nc=n_codebooks)))
    assert ecdc_header.payload_size(model.config, header) == size


def test_bytes_after_the_payload_stay_unread():
    model = MODELS["encodec_48khz"]
    fo = io.BytesIO(written(model, random_frames(model, 50_000, 3), 50_000) + b"trailing")
    read_ecdc(fo, model, read_header(fo))
    assert fo.read() == b"trailing"


# ---- integer frame counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("samples, frames", [(1, 1), (319, 1), (320, 1), (321, 2), (53_760, 168), (53_761, 169),
                                             (2**62, 2**62 // 320 + 1)])
def test_frames_of_one_segment(samples, frames):
    assert list(ecdc.segment_frames(ENCODEC_24KHZ, samples)) == [frames]


@pytest.mark.parametrize("samples, frames", [(1, [1]), (47_520, [149]), (47_521, [149, 1]), (48_000, [150, 2]),
                                             (95_040, [150, 149]), (95_041, [150, 149, 1]), (95_520, [150, 150, 2])])
def test_frames_of_many_segments(samples, frames):
    assert list(ecdc.segment_frames(ENCODEC_48KHZ, samples)) == frames


@given(st.integers(1, 2000), st.integers(1, 90), st.floats(0, 0.5), st.integers(1, 3))
def test_payload_size_equals_the_walk(audio_length, segment, overlap, n_codebooks):
    config = CodecConfig(sampling_rate=100, normalize=True, chunk_length_s=segment / 100, overlap=overlap,
                         upsampling_ratios=(5,), target_bandwidths=(6.0,), use_causal_conv=False)
    walk = sum(4 + math.ceil(n * n_codebooks * 10 / 8) for n in ecdc.segment_frames(config, audio_length))
    assert ecdc_header.payload_size(config, EcdcHeader("x", audio_length, n_codebooks)) == walk


def test_payload_size_of_a_claim_is_quick():
    assert ecdc_header.payload_size(ENCODEC_48KHZ, EcdcHeader("x", 2**62, 2)) > 2**50


# ---- block by block ----------------------------------------------------------------------------------


def test_writer_takes_and_reader_returns_blocks():
    config, frames = ENCODEC_24KHZ, 2 * ecdc.BLOCK_FRAMES + 5
    codes = np.random.default_rng(1).integers(0, 1024, (3, frames))
    fo = io.BytesIO()
    writer = EcdcWriter(fo, "encodec_24khz", config, 3, frames * config.hop_length)
    for part in np.split(codes, [0, 1, 700, 701], axis=1):
        writer.write(part)
    writer.finish()
    assert fo.getvalue() == written(MODELS["encodec_24khz"], [(codes, None)], frames * config.hop_length)
    for block_frames, expected in ((ecdc.BLOCK_FRAMES, [1024, 1024, 5]), (2000, [2000, 53])):
        fo.seek(0)
        blocks = [block for block, _ in EcdcReader(fo, read_header(fo), config, block_frames)]
        assert [block.shape for block in blocks] == [(3, n) for n in expected]
        assert np.array_equal(np.concatenate(blocks, axis=1), codes)


def test_each_write_is_flushed():
    class File(io.BytesIO):
        flushed = 0

        def flush(self):
            self.flushed = len(self.getvalue())

    fo, model = File(), MODELS["normalised"]
    writer = EcdcWriter(fo, model.name, model.config, 2, 1000)
    for codes, scale in random_frames(model, 1000, 2):
        writer.write(codes, scale)
        assert fo.flushed == len(fo.getvalue())


# ---- a length that is told at the end ----------------------------------------------------------------


def official_header(data):
    """How the official package reads it: struct, then `json.loads`."""
    magic, version, size = struct.unpack("!4sBI", data[:9])
    assert (magic, version) == (b"ECDC", 0)
    return json.loads(data[9:9 + size].decode()), data[9 + size:]


@given(st.sampled_from(list(MODELS.values())), st.integers(1, 700), st.integers(0, 5))
def test_length_told_at_the_end(model, audio_length, before):
    frames, fo = random_frames(model, audio_length, 2), io.BytesIO(bytes(before))
    fo.seek(before)
    writer = EcdcWriter(fo, model.name, model.config, 2)
    for codes, scale in frames:
        writer.write(codes, scale)
    writer.finish(audio_length)
    assert fo.tell() == len(fo.getvalue())
    data, known = fo.getvalue()[before:], written(model, frames, audio_length)
    fields, payload = official_header(data)
    assert (fields, payload) == official_header(known)
    spaces = len(data) - len(known)
    assert spaces == 19 - len(str(audio_length))
    assert data[9:] == known[9:].replace(b'"al": %d' % audio_length, b'"al": %d' % audio_length + b" " * spaces)
    fo.seek(before)
    assert_same_frames(read_ecdc(fo, model, read_header(fo)), frames)


def test_fewer_samples_than_announced():
    model, fo = MODELS["encodec_24khz"], io.BytesIO()
    writer = EcdcWriter(fo, model.name, model.config, 2, 1000)
    writer.write(np.zeros((2, 1), int))
    writer.finish(99)
    assert b'"al": 99  , "nc"' in fo.getvalue()
    fo.seek(0)
    assert read_header(fo).audio_length == 99


def test_unfinished_file_is_not_taken_for_a_whole_one():
    model, fo = MODELS["encodec_24khz"], io.BytesIO()
    EcdcWriter(fo, model.name, model.config, 2).write(np.zeros((2, 5), int))
    fo.seek(0)
    with pytest.raises(EOFError, match="file ends early"):
        read_ecdc(fo, model, read_header(fo))


# ---- files that lie ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_huge_claim_ends_after_the_data(model):
    fo = Dribble(header_of(fields(m=model.name, al=2**60, nc=2)) + bytes(3000))
    header = read_header(fo)
    with pytest.raises(EOFError, match="expected .* got"):
        read_ecdc(fo, model, header)
    assert fo.position == len(fo.data) and fo.largest <= 1 << 20


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_truncation_is_an_eof_error(model):
    data = written(model, random_frames(model, 1000, 2), 1000)
    for size in range(len(data)):
        fo = io.BytesIO(data[:size])
        with pytest.raises(EOFError, match="expected .* got"):
            read_ecdc(fo, model, read_header(fo))


# ---- headers -----------------------------------------------------------------------------------------


def test_other_spellings_are_read():
    spaced = b' {"v": [1], "lm":false,\n"nc":8 ,"al":1000,"m":"encodec_24khz"}'
    assert read_header(io.BytesIO(header_of(spaced))) == EcdcHeader("encodec_24khz", 1000, 8)


def test_official_language_model():
    """Refused by whatever would decode it, in one line; its header can still be had."""
    data, model = header_of(fields(lm=True)) + bytes(5000), MODELS["encodec_24khz"]
    header = read_header(io.BytesIO(data), to_decode=False)
    assert header == EcdcHeader("encodec_24khz", 1000, 8, lm=True) and header.coder_kind == "lm"
    for read in (lambda: read_header(io.BytesIO(data)), lambda: read_ecdc(io.BytesIO(bytes(5000)), model, header)):
        with pytest.raises(ValueError) as caught:
            read()
        assert str(caught.value) == (
            "coded with the official language model, which rounds differently on every machine: decode it with the "
            "official program where it was written, in the same set-up, then code the sound again")


@given(st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", fullmatch=True), st.integers(1, 2**62),
       st.integers(1, 1024), st.booleans())
def test_header_round_trip(name, audio_length, n_codebooks, lm):
    header, fo = EcdcHeader(name, audio_length, n_codebooks, lm), io.BytesIO()
    fo.write(header_bytes(header))
    assert fo.getvalue() == header_of({"m": name, "al": audio_length, "nc": n_codebooks, "lm": lm})
    assert read_header(io.BytesIO(fo.getvalue()), to_decode=False) == header


@pytest.mark.parametrize("data, message", [
    (b"RIFF", "first bytes: expected b'ECDC', got b'RIFF'"),
    (header_of(fields(), magic=b"ecdc"), "got b'ecdc'"),
    (header_of(fields(), version=2), "version: expected 0 or 1, got 2"),
    (header_of(fields(), version=1) + b"more", "header: expected at most one wrong bit, got more"),
    (header_of(b"", size=2**16 + 1), "at most 65536 bytes, got 65537"),
    (header_of(b"", size=2**32 - 1), "got 4294967295"),
    (header_of(b""), "a JSON object, got b''"),
    (header_of(b"[1, 2]"), "a JSON object, got b'.1, 2.'"),
    (header_of(b"\xff\xfe{}"), "a JSON object"),
    (header_of(b"[" * 60_000), "a JSON object"),
    (header_of(b'{"m": "x", "al": ' + b"9" * 60_000 + b"}"), "JSON object|keys"),
    (header_of({"m": "x", "al": 1, "nc": 1}), "the keys m, al, nc, lm"),
    *[(header_of(fields(m=name)), "model name") for name in
      ("", ".", "..", ".hidden", "../../etc", "a/b", "a b", "a\n", "naïve", "x" * 101, "\ud800", 7, None, ["x"])],
    *[(header_of(fields(al=length)), "audio length") for length in
      (0, -1, 2**62 + 1, 1.0, 48e3, True, "1000", None, math.nan, math.inf, [1])],
    *[(header_of(fields(nc=count)), "codebooks") for count in (0, -1, 1025, 8.0, True, "8", None)],
    *[(header_of(fields(lm=lm)), "language model") for lm in (0, 1, "false", None)],
    *[(header_of(fields(al=0, stream=stream)), "streamed form") for stream in (0, 1, "true", None)],
    (header_of(fields(stream=True)), "0 in a streamed file, got 1000"),
    (header_of(fields(al=0, lm=True, stream=True)), "false in a streamed file"),
])
def test_bad_header(data, message):
    with pytest.raises(ValueError, match="^not an .ecdc file: .*expected .* got ") as caught:
        read_header(io.BytesIO(data))
    caught.match(message)
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


def test_header_does_not_fit_the_model():
    model = MODELS["encodec_24khz"]
    with pytest.raises(ValueError, match="expected 1 to 32, got 33"):
        read_ecdc(io.BytesIO(), model, EcdcHeader("encodec_24khz", 10, 33))
    with pytest.raises(ValueError, match="model: expected 'encodec_24khz', got 'another'"):
        read_ecdc(io.BytesIO(), model, EcdcHeader("another", 10, 8))


@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf, -0.5])
def test_bad_scale_in_a_file(scale):
    data = header_of(fields(m="normalised", al=10, nc=1)) + struct.pack("!f", scale) + bytes(100)
    fo = io.BytesIO(data)
    with pytest.raises(ValueError, match="scale: expected a finite number of at least 0, got"):
        read_ecdc(fo, MODELS["normalised"], read_header(fo))


# ---- wrong use of the writer -------------------------------------------------------------------------


@pytest.mark.parametrize("frames, samples, message", [
    ([], 320, "at least one segment"),
    ([(np.zeros((2, 1), int), None)], 321, "frames: expected those of 321 samples, got '1 in 1 segment'"),
    ([(np.zeros((2, 3), int), None)], 321, "at most 2 more frames, got 3"),
    ([(np.zeros((2, 1), int), 1.0)], 320, "scale: expected None"),
    ([(np.zeros((2, 1), int), None)] * 2, 320, "codes: expected at most 0 more frames, got 1"),
    ([(np.zeros((2, 1)), None)], 320, "expected integers, got dtype"),
    ([(np.full((2, 1), 1024), None)], 320, r"got \[1024, 1024\]"),
    ([(np.zeros((33, 1), int), None)], 320, "expected 1 to 32, got 33"),
    ([(np.zeros((1, 2, 1), int), None)], 320, r"expected shape \[1, F\]"),
    ([(np.zeros((2, 1), int), None)], 0, "audio length"),
])
def test_frames_that_do_not_fit(frames, samples, message):
    with pytest.raises(ValueError, match=message):
        write_ecdc(io.BytesIO(), MODELS["encodec_24khz"], frames, samples)


@pytest.mark.parametrize("scale", [None, math.nan, math.inf, -1.0, 1e39])
def test_bad_scale_is_not_written(scale):
    with pytest.raises(ValueError, match="scale: expected a finite number"):
        write_ecdc(io.BytesIO(), MODELS["normalised"], [(np.zeros((1, 1), int), scale)], 8)


def test_wrong_number_of_segments():
    model, frames = MODELS["normalised"], random_frames(MODELS["normalised"], 333, 1)
    with pytest.raises(ValueError, match="frames: expected those of 333 samples, got '50 in 5 segments'"):
        write_ecdc(io.BytesIO(), model, frames[:-1], 333)
    with pytest.raises(ValueError, match="segments: expected those of 333 samples, got 'more'"):
        write_ecdc(io.BytesIO(), model, [*frames, frames[-1]], 333)


@pytest.mark.parametrize("length", [0, 641, 1001, -1])
def test_length_that_the_frames_do_not_have(length):
    writer = EcdcWriter(io.BytesIO(), "x", ENCODEC_24KHZ, 1, 1000)
    writer.write([[1, 2]])
    with pytest.raises(ValueError, match="expected .*, got"):
        writer.finish(length)
