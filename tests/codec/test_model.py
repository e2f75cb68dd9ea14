"""The whole codec: lengths, segments, causality, determinism, bad input."""

import concurrent.futures
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinyencodec
from tests.helpers.paths import DATA
from tests.helpers.signals import assert_same, noise
from tinyencodec.codec.segments import EncodedFrame, OverlapAdd
from tinyencodec.system.compiler import jit

SHAPES = ["causal", "zeros", "trim", "no shortcut", "scaled", "segments", "segments, no norm"]
shapes, seeds = st.sampled_from(SHAPES), st.integers(0, 2**32 - 1)


@given(shapes, st.integers(1, 500), st.data())
def test_lengths(models, shape, length, data):
    model = models[shape]
    bandwidth = data.draw(st.sampled_from(model.bandwidths))
    frames = model.encode(noise(model, length), bandwidth)
    stride, window = model.segment_stride or length, model.segment_length or length
    assert len(frames) == -(-length // stride)
    for i, frame in enumerate(frames):
        samples = min(window, length - i * stride)
        assert frame.codes.shape == (model.codebooks_for(bandwidth), -(-samples // model.hop_length))
        assert (frame.scale is None) != model.config.normalize
    wav = model.decode(frames, length)
    assert wav.shape == (model.channels, length) and wav.dtype == np.float32
    assert np.isfinite(wav).all()
    full = model.decode(frames)
    assert length <= full.shape[1]
    np.testing.assert_array_equal(full[:, :length], wav)


@given(shapes, st.integers(1, 400), seeds)
def test_compress_and_decompress(models, shape, length, seed):
    model, wav = models[shape], noise(models[shape], length, seed)
    data = tinyencodec.compress(model, wav, 0.8)
    back, rate = tinyencodec.decompress(data, model)
    assert rate == model.sample_rate
    assert_same(back, model.decode(model.encode(wav, 0.8), length))


@pytest.mark.parametrize("shape", SHAPES)
def test_codes_follow_the_signal(models, shape):
    """The random weights are of use: most entries of the first codebook occur."""
    model = models[shape]
    codes = np.concatenate([frame.codes for frame in model.encode(noise(model, 4000), 1.6)], axis=1)
    assert all(len(np.unique(row)) >= 8 for row in codes)


def test_lower_rates_are_prefixes(models):
    model, wav = models["causal"], noise(models["causal"], 300)
    all_codes = model.encode(wav, 1.6)[0].codes
    np.testing.assert_array_equal(model.encode(wav, 0.4)[0].codes, all_codes[:1])


@given(seeds, st.integers(0, 399))
def test_causality(models, seed, t):
    """A causal encoder looks no further than the frame; the first frames also see what their padding mirrors."""
    model, wav = models["zeros"], noise(models["zeros"], 400, seed)
    changed = wav.copy()
    changed[0, t] += 10
    z, z_changed = (model.encoder(np.ascontiguousarray(w.T)) for w in (wav, changed))
    np.testing.assert_array_equal(z[:t // model.hop_length], z_changed[:t // model.hop_length])
    y, y_changed = (model.decoder(latent) for latent in (z, z_changed))
    before = t // model.hop_length * model.hop_length
    np.testing.assert_array_equal(y[:before], y_changed[:before])
    assert before == 0 or t < 20 or (z != z_changed).any()


@pytest.mark.skipif(not jit.JIT, reason="NumPy's product may depend on the number of rows")
def test_frames_alone_and_together(models):
    """Batch equals single: quantising many frames at once is quantising each."""
    quantizer = models["causal"].quantizer
    z = np.random.default_rng(0).standard_normal((700, 8)).astype(np.float32)
    together = quantizer.encode(z)
    alone = np.concatenate([quantizer.encode(row[None]) for row in z], axis=1)
    np.testing.assert_array_equal(together, alone)


def test_signals_do_not_touch_each_other(models):
    """One model, several signals, in turn and in parallel threads: as if each were the only one."""
    model = models["segments"]
    signals = [noise(model, length, length) for length in (40, 333, 500, 77, 161, 420)]
    expected = [model.decode(model.encode(wav, 1.6)) for wav in signals]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda wav: model.decode(model.encode(wav, 1.6)), signals * 3))
    for i, wav in enumerate(parallel):
        np.testing.assert_array_equal(wav, expected[i % len(signals)])


DIGEST = """
import hashlib, sys, numpy as np, tinyencodec
model = tinyencodec.load_model()
wav = tinyencodec.read_audio(sys.argv[1], model.sample_rate, model.channels)[:, :24000]
frames = model.encode(wav, 6)
print(hashlib.sha256(frames[0].codes.tobytes() + model.decode(frames).tobytes()).hexdigest())
"""


@pytest.mark.skipif(not jit.JIT, reason="NumPy's product may depend on the number of threads")
def test_thread_counts_do_not_matter():
    file = str(DATA / "speech.flac")
    digests = set()
    for threads in ("1", "2", "5"):
        environment = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
        run = subprocess.run([sys.executable, "-c", DIGEST, file], env=os.environ | environment, check=True,
                             capture_output=True, text=True)
        digests.add(run.stdout)
    assert len(digests) == 1


def test_scale_follows_loudness(models):
    model, wav = models["segments"], noise(models["segments"], 100)
    frame, louder = (model.encode(w, 1.6)[0] for w in (wav, wav * 8))
    assert louder.scale == pytest.approx(8 * frame.scale)
    assert frame.scale == pytest.approx(np.sqrt(np.square(wav.mean(axis=0)).mean()) + 1e-8)
    np.testing.assert_array_equal(frame.codes, louder.codes)


def test_silence_has_a_scale(models):
    model = models["segments"]
    frames = model.encode(np.zeros((2, 300), np.float32), 1.6)
    assert [frame.scale for frame in frames] == [pytest.approx(1e-8)] * len(frames)
    assert np.isfinite(model.decode(frames)).all()


def test_overlap_add_of_equal_pieces_is_the_whole():
    signal = np.random.default_rng(0).standard_normal((2, 45)).astype(np.float32)
    fade = OverlapAdd(8)
    pieces = [fade.add(signal[:, start:start + 12]) for start in range(0, 45, 8)]
    np.testing.assert_allclose(np.concatenate([*pieces, fade.finish()], axis=1), signal, atol=1e-6)


def test_overlap_add_cross_fades_in_straight_lines():
    fade = OverlapAdd(6)
    pieces = [fade.add(np.zeros((1, 10), np.float32)), fade.add(np.ones((1, 10), np.float32)), fade.finish()]
    faded = np.concatenate(pieces, axis=1)[0]
    np.testing.assert_allclose(faded, [0] * 6 + [0.2, 0.4, 0.6, 0.8] + [1] * 6, atol=1e-6)


@pytest.mark.parametrize("wav, message", [
    (np.zeros(10, np.float32), "expects shape [1, T] with T >= 1, got [10]"),
    (np.zeros((2, 10), np.float32), "expects shape [1, T] with T >= 1, got [2, 10]"),
    (np.zeros((1, 0), np.float32), "expects shape [1, T] with T >= 1, got [1, 0]"),
    (np.zeros((1, 10), np.int16), "expected floating-point samples, got int16"),
    (np.array([[0.0, np.nan]]), "expected finite samples, got NaN or infinity"),
    (np.array([[0.0, 1e39]]), "expected finite samples, got NaN or infinity"),
])
def test_encode_refuses(models, wav, message):
    with pytest.raises(ValueError, match=r".*") as error:
        models["causal"].encode(wav, 0.8)
    assert message in str(error.value)


@pytest.mark.parametrize("bandwidth", [0, 0.5, -1, 1e9, float("nan")])
def test_bandwidths_that_are_not_offered(models, bandwidth):
    with pytest.raises(ValueError, match="offers 0.4, 0.8, 1.6 kbit/s, got"):
        models["causal"].encode(np.zeros((1, 9), np.float32), bandwidth)


def frame(codes, scale=None):
    return EncodedFrame(np.asarray(codes), scale)


@pytest.mark.parametrize("shape, frames, message", [
    ("causal", [], "expected 1 frame, got 0"),
    ("causal", [frame([[1]]), frame([[1]])], "expected 1 frame, got 2"),
    ("segments", [], "expected at least 1 frame, got 0"),
    ("causal", [frame([[16]])], "expected 0 ... 15, got [16, 16]"),
    ("causal", [frame([[-1]])], "expected 0 ... 15, got [-1, -1]"),
    ("causal", [frame([[1.0]])], "expected integers, got dtype('float64')"),
    ("causal", [frame([1, 2])], "expected shape [1 ... 4, F], got [2]"),
    ("causal", [frame(np.zeros((5, 2), int))], "expected shape [1 ... 4, F], got [5, 2]"),
    ("causal", [frame(np.zeros((2, 0), int))], "expected at least 1 frame, got 0"),
    ("segments", [frame([[1]], 2.0), frame([[1]], 2.0)], "expected segments of [2] frames, got [1, 1]"),
    ("causal", [frame([[1]], 2.0)], "scale: expected None, got 2.0"),
    ("segments", [frame(np.zeros((1, 20), int))], "scale: expected a number, got None"),
])
def test_decode_refuses(models, shape, frames, message):
    with pytest.raises(ValueError) as error:
        models[shape].decode(frames)
    assert message in str(error.value)


def test_decode_refuses_a_length_beyond_the_codes(models):
    with pytest.raises(ValueError, match="expected a length from 0 to 16 samples, got 17"):
        models["causal"].decode([frame([[1, 2]])], 17)


def test_progress_is_reported(models):
    seen = []
    frames = models["segments"].encode(noise(models["segments"], 500), 0.8, progress=lambda *step: seen.append(step))
    assert seen[-1] == (500, 500) and len(seen) == len(frames)


def test_digest_of_the_bundled_model_changes_with_the_sound():
    """Guards the test above it against comparing nothing."""
    model = tinyencodec.load_model()
    wav = tinyencodec.read_audio(DATA / "speech.flac", model.sample_rate, model.channels)
    digests = {hashlib.sha256(model.encode(part, 6)[0].codes.tobytes()).hexdigest()
               for part in (wav[:, :6000], wav[:, 6000:12000])}
    assert len(digests) == 2
