"""The figures of `tinyencodec evaluate` are those that training reports."""

import numpy as np
import pytest
import torch

from tinyencodec.tools.evaluate.distance import WINDOWS, MelScales, mel_distance, mel_filters, si_snr
from tinyencodec.train import losses, mel


def sounds(channels, samples, seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((channels, samples)).cumsum(axis=1)
    x = 0.5 * x / np.abs(x).max()
    return x, 0.8 * x + 0.05 * random.standard_normal(x.shape)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sample_rate, samples", [(24_000, 24_000), (48_000, 24_001), (24_000, 1000), (8000, 33)])
def test_mel_distance(channels, sample_rate, samples):
    x, y = sounds(channels, samples)
    ours, theirs = MelScales(sample_rate), mel.MelScales(sample_rate)
    a, b = ours(x), theirs(torch.from_numpy(x).float()[None])
    for mine, other in zip(a, b):
        assert mine.shape == tuple(other.shape)
        assert np.abs(mine - other.numpy() / np.log(10)).max() < 2e-3  # float32, and a floor of 1e-4
    expected = losses.mel_distance(b, theirs(torch.from_numpy(y).float()[None])).item()
    assert mel_distance(a, ours(y)) == pytest.approx(expected, abs=2e-6, rel=1e-5)


def test_constants_and_filters():
    assert WINDOWS == mel.WINDOWS
    for window in WINDOWS:
        assert np.abs(mel_filters(24_000, window) - mel.mel_filters(24_000, window).numpy()).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 2])
def test_si_snr(channels):
    x, y = sounds(channels, 24_000)
    expected = losses.si_snr(torch.from_numpy(x).flatten(), torch.from_numpy(y).flatten()).item()
    assert si_snr(x, y) == pytest.approx(expected, abs=1e-9)
    silent = losses.si_snr(torch.from_numpy(x).flatten(), torch.zeros(x.size, dtype=torch.float64)).item()
    assert si_snr(x, 0 * y) == pytest.approx(silent, abs=1e-9)
