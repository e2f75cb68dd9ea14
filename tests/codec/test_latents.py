"""The continuous side: latents before the quantiser, after it, and back to sound."""

import numpy as np
import pytest

import tinyencodec
from tests.helpers.models import SHAPES
from tests.helpers.signals import assert_same, noise


def scales_of(frames):
    scales = [frame.scale for frame in frames]
    return None if scales[0] is None else scales


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("length", [1, 7, 239, 1000])
def test_codes_are_the_latents_quantised(models, shape, length):
    model = models[shape]
    wav = noise(model, length)
    frames = model.encode(wav, model.bandwidths[-1])
    codes = np.concatenate([frame.codes for frame in frames], axis=1)
    z = model.latents(wav)
    assert z.dtype == np.float32 and z.shape == (model.config.hidden_size, codes.shape[1])
    np.testing.assert_array_equal(model.quantizer.encode(np.ascontiguousarray(z.T)), codes)


@pytest.mark.parametrize("shape", SHAPES)
def test_decoding_what_codes_stand_for_is_decoding_the_codes(models, shape):
    model = models[shape]
    wav = noise(model, 1003)
    frames = model.encode(wav, model.bandwidths[0])
    z = model.latents_of(np.concatenate([frame.codes for frame in frames], axis=1))
    assert z.dtype == np.float32 and z.shape[0] == model.config.hidden_size
    expected = model.decode(frames, 1003)
    assert_same(model.decode_latents(z, scales_of(frames), 1003), expected)
    assert model.decode_latents(z.astype(np.float64), scales_of(frames)).shape[1] >= 1003


def test_the_bundled_model_sounds_better_without_its_quantiser():
    model = tinyencodec.load_model()
    t = np.arange(24_000) / model.sample_rate
    wav = (0.3 * np.sin(2 * np.pi * 220 * t) * (1 + np.sin(2 * np.pi * 3 * t)))[None].astype(np.float32)

    def error(decoded):
        return float(np.square(decoded - wav).mean())

    quantised = error(model.decode(model.encode(wav, 1.5), 24_000))
    assert error(model.decode_latents(model.latents(wav), length=24_000)) < quantised


def test_one_thread_or_more(models):
    model = models["causal"]
    wav = noise(model, 200_000)
    z = model.latents(wav)
    before, model.threads = model.threads, 1
    try:
        assert_same(model.latents(wav), z)
        one = model.decode_latents(z)
        model.threads = 3
        assert_same(model.decode_latents(z), one)
    finally:
        model.threads = before


@pytest.mark.parametrize("z, message", [
    (np.zeros((8, 0), np.float32), r"latents: expected shape \[8, F\] with F >= 1, got \[8, 0\]"),
    (np.zeros((7, 3), np.float32), r"latents: expected shape \[8, F\] with F >= 1, got \[7, 3\]"),
    (np.zeros((8, 3), np.int32), "latents: expected floating-point numbers"),
    (np.full((8, 3), np.nan, np.float32), "latents: expected finite numbers"),
    (np.full((8, 3), 1e300), "latents: expected finite numbers")])
def test_bad_latents(models, z, message):
    with pytest.raises(ValueError, match=message):
        models["causal"].decode_latents(z)


def test_bad_scales_and_lengths(models):
    z = np.zeros((8, 30), np.float32)
    with pytest.raises(ValueError, match="scales: expected None"):
        models["causal"].decode_latents(z, [1.0])
    with pytest.raises(ValueError, match="scales: expected one for each segment, got None"):
        models["scaled"].decode_latents(z)
    with pytest.raises(ValueError, match="scale: expected a finite number of at least 0"):
        models["scaled"].decode_latents(z, [-1.0])
    with pytest.raises(ValueError, match="scales: expected one for each of 2 segments, got 1"):
        models["segments"].decode_latents(z, [1.0])
    with pytest.raises(ValueError, match="decode: expected a length from 0 to 240 samples, got 241"):
        models["causal"].decode_latents(z, length=241)
    with pytest.raises(ValueError, match="codes: expected 0 ... 15"):
        models["causal"].latents_of(np.full((1, 3), 16))


class Tensor:
    """As a tensor of PyTorch that has a gradient, or is of a type that NumPy lacks."""

    def __init__(self, error):
        self.error = error

    def __array__(self, *args, **options):
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("Can't call numpy() on Tensor that requires grad."),
                                   TypeError("Got unsupported ScalarType BFloat16")])
def test_what_numpy_cannot_take_is_a_value_error(models, error):
    model, given = models["causal"], Tensor(error)
    for call in (model.encode, model.latents, model.latents_of, model.decode_latents,
                 model.streaming_encoder(0.4).push, model.streaming_decoder().push):
        with pytest.raises(ValueError, match="expected an array, got what NumPy cannot make one of: "):
            call(given)
