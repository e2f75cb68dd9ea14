"""The layer with the official names against the official package; and tensors of PyTorch in and out of batches."""

import numpy as np
import pytest
import torch

from tinyencodec.compat import EncodecModel
from tinyencodec.tools.many_signals import decode_batch, encode_batch

from .compare import AUDIO_ERROR, SCALE_ERROR, compare_codes, peak_error
from .models import CONFIGS, PAIRS, SMALL, latents_of, oracle, oracle_can, ours, signal

NAMES = [name for kind, name in PAIRS if kind == "encodec" and name in SMALL]


def batch_of(config, n_samples: int) -> np.ndarray:
    """Three signals [3, C, T] that differ in more than loudness."""
    wav = signal(config, 3 * n_samples)
    return np.stack([wav[:, i * n_samples:(i + 1) * n_samples] for i in range(3)])


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_as_the_official_package(name):
    reference, model = oracle("encodec", name), EncodecModel(ours("encodec", name))
    official, config = reference.model, CONFIGS[name]
    for attribute in ("sample_rate", "channels", "segment", "segment_length", "segment_stride", "frame_rate",
                      "normalize", "bits_per_codebook", "target_bandwidths", "bandwidth"):
        if attribute == "bandwidth":
            official.bandwidth = None  # as at first
        assert getattr(model, attribute) == getattr(official, attribute), attribute
    length = 5 * config.sampling_rate // 8 + 3  # some segments, the last one short
    length = next(n for n in range(length, 2 * length) if oracle_can("encodec", config, n))
    wavs = batch_of(config, length)
    for bandwidth in (None, *config.target_bandwidths):
        official.bandwidth = None
        if bandwidth is not None:
            official.set_target_bandwidth(bandwidth)
            model.set_target_bandwidth(bandwidth)
        theirs, mine = official.encode(torch.from_numpy(wavs)), model.encode(torch.from_numpy(wavs))
        assert isinstance(mine, list) and len(mine) == len(theirs)
        for (codes, scale), (codes_reference, scale_reference) in zip(mine, theirs):
            assert codes.shape == tuple(codes_reference.shape) and codes.dtype == codes_reference.numpy().dtype
            assert (scale is None) == (scale_reference is None)
            if scale is not None:
                assert scale.shape == tuple(scale_reference.shape) and scale.dtype == scale_reference.numpy().dtype
                np.testing.assert_allclose(scale, scale_reference.numpy(), rtol=SCALE_ERROR)
        for i, wav in enumerate(wavs):
            _, z_reference = reference.encode(wav, bandwidth or config.target_bandwidths[-1])
            frames = model.model.encode(wav, bandwidth or config.target_bandwidths[-1])
            for s, z in enumerate(latents_of(model.model, wav, frames)):
                compare_codes(mine[s][0][i], theirs[s][0][i].numpy(), z, z_reference[s], reference.embeds())
        decoded = model.decode(theirs)  # the same codes on both sides
        assert peak_error(decoded, official.decode(theirs).numpy()) <= AUDIO_ERROR
        assert model(wavs).shape == tuple(official(torch.from_numpy(wavs)).shape)


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_the_official_package_refuses(name):
    reference, model = oracle("encodec", name).model, EncodecModel(ours("encodec", name))
    for each in (reference, model):
        with pytest.raises(ValueError):
            each.set_target_bandwidth(0.123)


@pytest.mark.parametrize("name", ["dilated", "segments"])
def test_tensors_in_batches(name):
    model = ours("encodec", name)
    wavs, bandwidth = batch_of(model.config, 4000), model.bandwidths[0]
    expected = encode_batch(model, wavs, bandwidth, [4000, 1, 2345])
    tensors = torch.from_numpy(wavs)
    for batch in (encode_batch(model, tensors, bandwidth, torch.tensor([4000, 1, 2345])),
                  encode_batch(model, [tensors[0], tensors[1, :, :1], tensors[2, :, :2345]], bandwidth),
                  encode_batch(model, tensors.double(), bandwidth, [4000, 1, 2345])):
        for one, other in zip(batch, expected):
            np.testing.assert_array_equal(one, other)
    as_tensors = [None if part is None else torch.from_numpy(part) for part in expected]
    np.testing.assert_array_equal(decode_batch(model, *as_tensors), decode_batch(model, *expected))
    with pytest.raises(ValueError, match="audio: expected an array, got what NumPy cannot make one of: .*grad"):
        encode_batch(model, tensors.clone().requires_grad_(), bandwidth)
