"""The whole codec in pieces against the whole at once: the same codes and the same sound."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyencodec
from tests.helpers.paths import DATA
from tests.helpers.signals import assert_same, cut, noise
from tinyencodec.codec.config import ENCODEC_48KHZ
from tinyencodec.codec.segments import segment_frames, split_frames
from tinyencodec.layers.tiles import TileRunner
from tinyencodec.system.compiler import jit

SHAPES = ["causal", "zeros", "trim", "no shortcut", "scaled", "segments", "segments, no norm"]
shapes, seeds = st.sampled_from(SHAPES), st.integers(0, 2**32 - 1)
lengths_of_pieces = st.lists(st.one_of(st.sampled_from([0, 1, 1, 7, 8, 9]), st.integers(0, 120)), max_size=15)


def first_layer_that_differs(stack, x, parts):
    """For the message of a failure: the layer whose pieces first differ from its batch form."""
    if not stack.streams:
        return "in a segment"
    for i, layer in enumerate(stack.layers):
        if hasattr(layer, "step"):
            state, pieces = layer.start(), []
            blocks = cut(x.T, parts)
            for j, block in enumerate(blocks):
                pieces.append(layer.step(np.ascontiguousarray(block.T), state, j == len(blocks) - 1))
            if not np.array_equal(np.concatenate(pieces), layer(x)):
                return f"layer {i} ({type(layer).__name__})"
        x = layer(x)
    return "no single layer"


@given(shapes, st.integers(1, 700), lengths_of_pieces, st.integers(1, 4), seeds)
def test_encoder(models, shape, length, parts, threads, seed):
    model, wav = models[shape], noise(models[shape], length, seed)
    model.threads = threads
    whole = model.encode(wav, 1.6)
    stream = model.streaming_encoder(1.6)
    pieces = [stream.push(chunk) for chunk in cut(wav, parts)]
    assert all(piece.dtype == np.int32 for piece in pieces)
    codes = np.concatenate([*pieces, stream.flush()], axis=1)
    expected = np.concatenate([frame.codes for frame in whole], axis=1)
    if jit.JIT and not np.array_equal(codes, expected):
        pytest.fail(f"codes differ; {first_layer_that_differs(model.encoder, np.ascontiguousarray(wav.T), parts)}")
    if jit.JIT:
        assert_same(codes, expected, "codes")
    assert stream.scales == [frame.scale for frame in whole if frame.scale is not None]


@given(shapes, st.integers(1, 700), st.lists(st.integers(0, 30), max_size=8), st.integers(1, 4), st.booleans(),
       st.booleans(), seeds)
def test_decoder(models, shape, length, parts, threads, known_length, live, seed):
    model, wav = models[shape], noise(models[shape], length, seed)
    model.threads = threads
    frames = model.encode(wav, 0.8)
    whole = model.decode(frames)
    codes = np.concatenate([frame.codes for frame in frames], axis=1)
    scales = [frame.scale for frame in frames if frame.scale is not None]
    stream = model.streaming_decoder(length if known_length else None, live=live)
    pieces = [stream.push(block, scales if i == 0 else ()) for i, block in enumerate(cut(codes, parts))]
    pieces.append(stream.flush(None if live else length))
    assert all(piece.dtype == np.float32 and piece.flags.c_contiguous for piece in pieces)
    expected = whole if live and not known_length else whole[:, :length]
    assert_same(np.concatenate(pieces, axis=1), expected, "audio")


@pytest.mark.parametrize("shape", ["causal", "zeros", "trim", "no shortcut"])
def test_delay(models, shape):
    """The first codes and the first sound come exactly when the layers' arithmetic says, then one frame each."""
    model = models[shape]
    stream, wav, frames, appeared = model.streaming_encoder(1.6), noise(model, 400), 0, {}
    for t in range(400):
        for frame in range(frames, frames := frames + stream.push(wav[:, t:t + 1]).shape[1]):
            appeared[frame] = t + 1
    assert appeared[0] == model.encoder_delay
    assert all(samples == model.encoder.needs(frame + 1) for frame, samples in appeared.items())
    later = [appeared[frame] for frame in sorted(appeared) if appeared[frame] > model.encoder_delay]
    assert set(np.diff(later)) == {model.hop_length}
    if model.config.use_causal_conv:  # frame n comes out with its own last sample
        assert all(appeared[frame] == max(model.encoder_delay, (frame + 1) * model.hop_length) for frame in appeared)

    codes = model.encode(wav, 1.6)[0].codes
    stream, sizes = model.streaming_decoder(live=True), []
    for frame in range(codes.shape[1]):
        sizes.append(stream.push(codes[:, frame:frame + 1]).shape[1])
    assert sizes.index(next(size for size in sizes if size)) + 1 == model.decoder_delay
    assert set(sizes[model.decoder_delay:]) == {model.hop_length}


def test_delay_of_segments(models):
    model = models["segments"]
    stream, wav = model.streaming_encoder(1.6), noise(model, model.segment_length)
    assert model.encoder_delay == model.segment_length
    assert stream.push(wav[:, :-1]).shape[1] == 0
    assert stream.push(wav[:, -1:]).shape[1] == model.frames_per_segment == model.decoder_delay


def test_flush_at_every_residue(models):
    model = models["causal"]
    for length in range(1, 6 * model.hop_length + 1):
        wav = noise(model, length, length)
        stream = model.streaming_encoder(1.6)
        codes = np.concatenate([stream.push(wav), stream.flush()], axis=1)
        assert_same(codes, model.encode(wav, 1.6)[0].codes, f"codes of {length} samples")


@given(st.integers(1, 90), st.integers(1, 5), st.integers(1, 5), seeds)
def test_tiles_and_threads(models, length, tile_frames, threads, seed):
    model = models["causal"]
    x = np.ascontiguousarray(noise(model, length, seed).T)
    runner = TileRunner(model.encoder, model.hop_length, model.frame_bytes, threads)
    runner.tile = tile_frames * model.hop_length
    z = np.concatenate(list(runner.run(x, last=True)))
    assert_same(z.T, model.encoder(x).T, "latent")


@pytest.mark.skipif(not jit.JIT, reason="NumPy's product may depend on the number of rows")
def test_threads_on_a_recording():
    """Long enough for several tiles: threads really share the layers, and change no bit."""
    model = tinyencodec.load_model()
    file = DATA / "speech.flac"
    wav = np.tile(tinyencodec.read_audio(file, model.sample_rate, model.channels), 2)
    assert wav.shape[1] > 4 * TileRunner(model.encoder, model.hop_length, model.frame_bytes, threads=2).tile
    results = []
    for threads in (1, 2, 3, 7):
        model.threads = threads
        frames = model.encode(wav, 12.0)
        results.append((frames[0].codes, model.decode(frames)))
    for codes, sound in results[1:]:
        assert_same(codes, results[0][0], "codes")
        assert_same(sound, results[0][1], "audio")


def test_memory_does_not_grow(models):
    """The states hold no more after a long signal than after a short one."""
    def held(state):
        if isinstance(state, np.ndarray):
            return state.nbytes
        if dataclasses.is_dataclass(state):
            return sum(held(getattr(state, field.name)) for field in dataclasses.fields(state))
        return sum(map(held, state)) if isinstance(state, list) else 0

    model = models["causal"]
    state, sizes = model.encoder.start(), []
    for _ in range(50):
        model.encoder.step(np.ones((240, 1), np.float32), state)
        sizes.append(held(state))
    assert len(set(sizes[2:])) == 1


def test_an_empty_signal(models):
    for model in models.values():
        encoder, decoder = model.streaming_encoder(0.8), model.streaming_decoder()
        nothing = (model.codebooks_for(0.8), 0)
        assert encoder.push(np.zeros((model.channels, 0), np.float32)).shape == nothing
        assert encoder.flush().shape == nothing
        assert decoder.flush().shape == (model.channels, 0)


def test_wrong_use(models):
    model = models["causal"]
    encoder = model.streaming_encoder(0.8)
    with pytest.raises(ValueError, match=r"expects shape \[1, T\], got \[2, 5\]"):
        encoder.push(np.zeros((2, 5), np.float32))
    encoder.push(np.ones((1, 50), np.float32))
    with pytest.raises(ValueError, match="finite"):
        encoder.push(np.full((1, 5), np.nan))
    codes = encoder.flush()
    np.testing.assert_array_equal(codes.shape, (2, 7))  # the bad chunks left no trace
    for call in (encoder.flush, lambda: encoder.push(np.ones((1, 1)))):
        with pytest.raises(ValueError, match="after flush"):
            call()
    with pytest.raises(ValueError, match="offers"):
        model.streaming_encoder(7)

    decoder = model.streaming_decoder()
    decoder.push(codes)
    with pytest.raises(ValueError, match="expected 2 codebooks as before, got 1"):
        decoder.push(codes[:1])
    with pytest.raises(ValueError, match="scale: expected none for this model, got 1"):
        decoder.push(codes, [1.0])
    with pytest.raises(ValueError, match="length: expected 49 to 56 samples, got 57"):
        decoder.flush(57)
    assert decoder.flush(50).shape[1] == 50 - 49  # nothing was lost by asking for too much
    with pytest.raises(ValueError, match="after flush"):
        decoder.push(codes)
    with pytest.raises(ValueError, match="length: expected 50 as at the start, got 51"):
        model.streaming_decoder(50).flush(51)
    with pytest.raises(ValueError, match="length"):
        model.streaming_decoder(-1)
    segments = models["segments"].streaming_decoder()
    segments.push(np.zeros((1, 15), int))
    with pytest.raises(ValueError, match="scales: expected one for each segment, got fewer"):
        segments.flush()
    segments = models["segments"].streaming_decoder(length=5)
    with pytest.raises(ValueError, match="codes: expected those of 5 samples, got more"):
        segments.push(np.zeros((1, 4), int), [1.0, 1.0])


@given(st.sampled_from(["segments", "segments, no norm"]), st.integers(1, 900))
def test_segments_can_be_told_from_the_number_of_frames(models, shape, length):
    config = models[shape].config
    sizes = list(segment_frames(config, length))
    assert split_frames(config, sum(sizes)) == sizes


def test_segments_at_48_khz():
    """Two segments of which neither is full, and a number of frames that no signal has."""
    assert list(segment_frames(ENCODEC_48KHZ, 47_600)) == [149, 1] == split_frames(ENCODEC_48KHZ, 150)
    assert list(segment_frames(ENCODEC_48KHZ, 48_000)) == [150, 2] == split_frames(ENCODEC_48KHZ, 152)
    odd = dataclasses.replace(ENCODEC_48KHZ, overlap=0.5)
    with pytest.raises(ValueError, match="expected as many frames as a signal can have, such as 77, got 76"):
        split_frames(odd, 76)
