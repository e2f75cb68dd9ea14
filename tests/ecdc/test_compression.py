"""Block by block against the whole at once; from pipes and into pipes."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.coders import PackedCoder
from tests.helpers.pipes import Pipe
from tests.helpers.signals import cut, noise
from tinyencodec.ecdc import compression as codec
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.ecdc.compression import compress, compress_stream, decompress, decompress_stream
from tinyencodec.ecdc.container import write_ecdc
from tinyencodec.ecdc.header import read_header
from tinyencodec.entropy.tables import TableCoder
from tinyencodec.system.compiler import jit

SHAPES = ["causal", "zeros", "trim", "no shortcut", "segments", "segments, no norm"]
pieces = st.lists(st.one_of(st.sampled_from([0, 1, 1, 7, 8, 9]), st.integers(0, 200)), max_size=10)


def payload(data):
    fo = io.BytesIO(data)
    read_header(fo)
    return fo.read()


def joined(sound):
    return np.concatenate(list(sound), axis=1)


def assert_same(got, expected):
    assert got.shape == expected.shape
    if jit.JIT:
        assert np.array_equal(got, expected)


@given(st.sampled_from(SHAPES), st.integers(1, 700), pieces, st.integers(0, 99), st.integers(1, 3))
def test_equals_compress_however_it_is_cut(models, shape, length, parts, seed, threads):
    model = models[shape]
    model.threads = threads
    wav = noise(model, length, seed)
    whole = compress(model, wav, 0.8)
    sound, _ = decompress(whole, model)
    outputs = {kind: kind() for kind in (io.BytesIO, Pipe)}
    for fo in outputs.values():  # the length is known
        assert compress_stream(model, iter(cut(wav, parts)), fo, 0.8, length) == length
        assert len(fo.getvalue()) == len(whole)
        assert not jit.JIT or fo.getvalue() == whole
    for kind in outputs:  # it is not
        fo = outputs[kind] = kind()
        assert compress_stream(model, iter(cut(wav, parts)), fo, 0.8) == length
    data = outputs[io.BytesIO].getvalue()
    assert not jit.JIT or payload(data) == payload(whole)
    for stored in (whole, data, outputs[Pipe].getvalue()):
        for source in (io.BytesIO(stored + b"tail"), Pipe(stored + b"tail")):
            stream = decompress_stream(source, model)
            assert (stream.sample_rate, stream.channels) == (model.sample_rate, model.channels)
            assert stream.length == (None if b'"stream"' in stored else length)
            assert_same(joined(stream), sound)
            assert stream.length == length
            if jit.JIT:
                assert io.BytesIO.read(source) == b"tail"
    assert_same(decompress(outputs[Pipe].getvalue(), model)[0], sound)


@pytest.mark.parametrize("shape", ["causal", "segments"])
def test_what_is_certain_is_there_at_once(models, shape):
    """Sound in, packet out, sound out: as soon as the model's own streams have it."""
    model, fo, expected = models[shape], Pipe(), []

    def blocks():
        encoder, decoder, n_scales, samples = model.streaming_encoder(0.4), model.streaming_decoder(), 0, 0
        for n in range(60):
            wav = noise(model, model.hop_length, n)
            yield wav
            codes, scales = encoder.push(wav), encoder.scales[n_scales:]
            n_scales += len(scales)
            samples += decoder.push(codes, scales).shape[1]
            expected.append((len(fo.getvalue()), samples))

    compress_stream(model, blocks(), fo, 0.4)
    assert expected[-1][1] > 250
    for size, samples in expected:
        decoded = 0
        with pytest.raises(EOFError):  # it breaks off, after what could be decoded
            for block in decompress_stream(Pipe(fo.getvalue()[:size]), model):
                decoded += block.shape[1]
        assert decoded == samples


def test_blocks_from_a_file_do_not_grow(models):
    model = models["causal"]
    data = compress(model, noise(model, 30 * model.sample_rate), 0.8)
    sizes = [block.shape[1] for block in decompress_stream(io.BytesIO(data), model)]
    assert max(sizes) <= codec._SECONDS * model.sample_rate and sum(sizes) == 30 * model.sample_rate
    sizes = [block.shape[1] for block in decompress_stream(Pipe(data), model)]
    assert max(sizes) <= model.sample_rate


@pytest.mark.parametrize("shape", ["causal", "segments"])
@pytest.mark.parametrize("length", [10_007, None])
def test_progress(models, shape, length):
    model, fo, seen, wav = models[shape], io.BytesIO(), [], noise(models[shape], 10_007)
    compress_stream(model, cut(wav, [5000, 0]), fo, 0.8, length, progress=lambda *now: seen.append(now))
    assert seen[-1] == (10_007, length) and seen == sorted(seen, key=lambda now: now[0])
    seen.clear()
    fo.seek(0)
    joined(decompress_stream(fo, model, progress=lambda *now: seen.append(now)))
    assert seen and all(done <= total == 10_007 for done, total in seen)


@pytest.mark.parametrize("blocks, length, message", [
    ([], None, "audio: expected at least one sample, got 'none'"), ([(1, 0)], None, "at least one sample"),
    ([(1, 10)], 9, "audio: expected 9 samples as announced, got 'more'"),
    ([(2, 10)], None, r"expects shape \[1, T\], got \[2, 10\]"), ([(1, 10)], 0, "audio: expected 0 samples"),
    ([(1, 5), (1, 4)], 100, "audio length: expected 100 samples as announced, got 9|frames: expected those of"),
])
def test_wrong_sounds(models, blocks, length, message):
    fo = Pipe()
    with pytest.raises(ValueError, match=message):
        compress_stream(models["causal"], [np.zeros(shape) for shape in blocks], fo, 0.8, length)
    assert not fo.getvalue() or len(blocks) == 2  # else nothing is written
    with pytest.raises(ValueError, match="offers"):
        compress_stream(models["causal"], [np.zeros((1, 9))], fo, 6.0)
    with pytest.raises(ValueError, match="finite"):
        compress_stream(models["causal"], [np.full((1, 9), np.nan)], fo, 0.8)


def test_shorter_than_announced(models):
    """As a damaged audio file may be: what can be corrected is."""
    model, fo = models["segments"], io.BytesIO()
    compress_stream(model, [noise(model, 500)], fo, 0.8, 10_000)
    assert b'"al": 500  , ' in fo.getvalue()
    assert decompress(fo.getvalue(), model)[0].shape == (2, 500)


def test_damaged_files(models):
    model = models["causal"]
    data = compress(model, noise(model, 3000), 0.8)
    with pytest.raises(EOFError, match="file ends early: expected 375 bytes after the header, got 374"):
        decompress_stream(io.BytesIO(data[:-1]), model)  # at once
    sound = decompress_stream(Pipe(data[:-1]), model)
    with pytest.raises(EOFError, match="file ends early"):
        joined(sound)
    with pytest.raises(ValueError, match="model: expected 'zeros', got 'causal'"):
        decompress_stream(io.BytesIO(data), models["zeros"])
    with pytest.raises(ValueError, match="not an .ecdc file"):
        decompress_stream(io.BytesIO(b"RIFF" + bytes(99)))


def test_header_can_be_read_before(models):
    model = models["causal"]
    fo = io.BytesIO(compress(model, noise(model, 100), 0.8))
    assert joined(decompress_stream(fo, model, header=read_header(fo))).shape == (1, 100)


# ---- in blocks ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coders(models):
    """Of each kind, for the small models."""
    packed = PackedCoder()
    return {"none": FixedCoder(4), "table": TableCoder(np.full((4, 16), 64, np.uint8)), "lm": packed}


@given(st.sampled_from([*SHAPES, "scaled"]), st.integers(1, 900), pieces, st.sampled_from(["none", "table", "lm"]),
       st.floats(0.05, 1.0))
def test_blocks_give_the_same_sound(models, coders, shape, length, parts, kind, block):
    model, coder = models[shape], coders[kind]
    wav = noise(model, length)
    sound, _ = decompress(compress(model, wav, 0.8), model)
    data = compress(model, wav, 0.8, coder, block)
    assert_same(decompress(data, model, coder=coder)[0], sound)
    for told in (length, None):
        outputs = []
        for fo in (io.BytesIO(), Pipe()):
            assert compress_stream(model, cut(wav, parts), fo, 0.8, told, entropy=coder, block=block) == length
            outputs.append(fo.getvalue())
        assert not jit.JIT or outputs[0] == outputs[1]
        assert not jit.JIT or not told or outputs[0] == data
        for source in (io.BytesIO(outputs[1]), Pipe(outputs[1])):
            stream = decompress_stream(source, model, coder=coder)
            assert_same(joined(stream), sound)
            assert (stream.length, stream.lost, stream.cut) == (length, [], False)


def test_protect_is_fixed_width_in_blocks(models, coders):
    model = models["causal"]
    wav = noise(model, 8000)
    data = compress(model, wav, 0.8, protect=True)
    assert data == compress(model, wav, 0.8, coders["none"], 4.0) == compress(model, wav, 0.8, protect=True, block=4)
    with pytest.raises(ValueError, match="block: expected None unless with entropy coding or protect, got 2.0"):
        compress(model, wav, 0.8, block=2.0)
    with pytest.raises(ValueError, match="entropy coding: expected none, table, lm, got 'zip'"):
        compress(model, wav, 0.8, "zip")
    with pytest.raises(ValueError, match="model causal has no language model"):
        compress(model, wav, 0.8, "lm")
    with pytest.raises(ValueError, match="keep-going: expected repeat or silence, got 'on'"):
        decompress(data, model, "on")


@pytest.mark.parametrize("shape", ["causal", "segments", "scaled"])
@pytest.mark.parametrize("kind", ["none", "table", "lm"])
@pytest.mark.parametrize("told", [True, False])
def test_lost_blocks(models, coders, shape, kind, told):
    """The sound keeps its length and what stands before the hole; silence is where the hole is said to be."""
    model, fo = models[shape], Pipe()
    wav = noise(model, 3001)
    compress_stream(model, [wav], fo, 0.8, 3001 if told else None, entropy=coders[kind], block=0.5)
    data = bytearray(fo.getvalue())
    sound = joined(decompress_stream(Pipe(bytes(data)), model, coder=coders[kind]))
    starts = [13 + int.from_bytes(data[5:9], "big")]
    while starts[-1] < len(data):
        starts.append(starts[-1] + 10 + int.from_bytes(data[starts[-1] + 8:starts[-1] + 10], "big"))
    data[starts[2] + 11] ^= 1
    with pytest.raises(ValueError, match=r"^block 2 \(.* s to .* s\): damaged"):
        joined(decompress_stream(io.BytesIO(bytes(data)), model, coder=coders[kind]))
    for how in ("repeat", "silence"):
        for source in (io.BytesIO, Pipe):
            stream = decompress_stream(source(bytes(data)), model, how, coder=coders[kind])
            heard = joined(stream)
            (first, last), = stream.lost
            first, last = round(first * 800), round(last * 800)
            assert heard.shape == sound.shape and stream.length == 3001 and 760 <= first < last <= 1368
            if shape == "causal":
                assert_same(heard[:, :first], sound[:, :first])
            elif shape == "segments":  # they know nothing of each other, but cross-fade
                overlap = model.segment_length - model.segment_stride
                assert_same(heard[:, :first], sound[:, :first])
                assert_same(heard[:, last + overlap:], sound[:, last + overlap:])
            assert heard[:, first:last].any() == (how == "repeat")


@pytest.mark.parametrize("shape", ["causal", "segments"])
def test_a_block_is_heard_when_it_has_come(models, coders, shape):
    model, fo = models[shape], Pipe()
    compress_stream(model, [noise(model, 3001)], fo, 0.8, entropy=coders["lm"], block=0.5)
    data = fo.getvalue()
    stream = iter(decompress_stream(Pipe(data[:len(data) // 2]), model, coder=coders["lm"]))
    heard = 0
    with pytest.raises(EOFError, match=r"^block [23] .*file ends early"):
        for wav in stream:
            heard += wav.shape[1]
    assert heard >= 700


@given(st.sampled_from(SHAPES), st.integers(1, 700), pieces, st.integers(2, 9), st.integers(1, 3),
       st.sampled_from([("none", None), ("table", 0), ("table", None), ("table", 5.0)]), st.integers(0, 99))
@settings(max_examples=40)
def test_searched_files_equal_however_the_sound_is_cut(models, shape, length, parts, search, threads, coding, seed):
    model, (entropy, weight) = models[shape], coding
    wav, coder = noise(model, length, seed), "none"
    if entropy == "table":
        coder = TableCoder(np.random.default_rng(seed).integers(16, 90, (4, 16)).astype(np.uint8))
    options = {"search": search, "rate_weight": weight, "entropy": coder}
    reader = None if entropy == "none" else coder
    model.threads = 1
    whole = compress(model, wav, 0.8, **options)
    model.threads = threads
    for fo, known in (io.BytesIO(), length), (Pipe(), length), (io.BytesIO(), None):
        assert compress_stream(model, iter(cut(wav, parts)), fo, 0.8, known, **options) == length
        if known and jit.JIT:
            assert fo.getvalue() == whole
        elif not known:
            assert_same(decompress(fo.getvalue(), model, coder=reader)[0], decompress(whole, model, coder=reader)[0])
    if jit.JIT and (weight == 0 or entropy == "none"):  # the codes of `encode`
        out = io.BytesIO()
        write_ecdc(out, model, model.encode(wav, 0.8, search=search), length, reader)
        assert out.getvalue() == whole


@pytest.mark.parametrize("wrong, message", [
    ({"search": 0}, "search: expected a whole number"), ({"search": 2.5}, "search: expected a whole number"),
    ({"search": 4, "rate_weight": 1}, "rate weight: expected None without entropy coding, got 1"),
    ({"rate_weight": 1, "protect": True}, "rate weight: expected None without entropy coding, got 1")])
def test_no_such_search(models, wrong, message):
    out = io.BytesIO()
    with pytest.raises(ValueError, match=message):
        compress_stream(models["causal"], [np.zeros((1, 9), np.float32)], out, 0.8, **wrong)
    assert not out.getvalue()
