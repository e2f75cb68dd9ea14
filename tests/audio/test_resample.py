"""Resampling in pieces against SciPy on the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from tests.helpers.signals import cut
from tinyencodec.audio.resample import Converter, Resampler, convert_audio

RATIOS = [(44_100, 24_000), (24_000, 44_100), (48_000, 24_000), (24_000, 48_000), (16_000, 24_000), (8000, 24_000),
          (48_000, 32_000), (22_050, 48_000), (24_000, 24_000), (7, 3), (3, 7), (1, 10), (10, 1), (997, 1000)]
pieces = st.lists(st.one_of(st.sampled_from([0, 1, 1, 2]), st.integers(0, 500)), max_size=12)


def noise(channels, length, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, length)).astype(np.float32)


def in_pieces(resampler, wav, parts):
    return np.concatenate([*map(resampler.push, cut(wav, parts)), resampler.flush()], axis=1)


@given(st.one_of(st.sampled_from(RATIOS), st.tuples(st.integers(1, 200), st.integers(1, 200))), st.integers(1, 2),
       st.integers(1, 2000), pieces, st.integers(0, 99))
def test_equals_scipy_however_it_is_cut(rates, channels, length, parts, seed):
    wav = noise(channels, length, seed)
    sr_in, sr_out = rates
    got = in_pieces(Resampler(sr_in, sr_out, channels), wav, parts)
    expected = resample_poly(wav, sr_out, sr_in, axis=1)
    assert got.dtype == np.float32 and got.shape == expected.shape == (channels, -(-length * sr_out // sr_in))
    different = np.flatnonzero((got != expected).any(axis=0))
    assert not len(different), f"first difference at sample {different[0]} of {got.shape[1]}"
    assert np.array_equal(convert_audio(wav, sr_in, sr_out, channels), expected)


def test_far_apart_and_without_common_divisor():
    wav = noise(1, 5000)
    for sr_in, sr_out in ((44_101, 24_000), (24_000, 24), (24, 24_000)):
        got = in_pieces(Resampler(sr_in, sr_out, 1), wav[:, :5000 if sr_in > 24 else 20], [1, 333, 1000])
        assert np.array_equal(got, resample_poly(wav[:, :5000 if sr_in > 24 else 20], sr_out, sr_in, axis=1))


def test_samples_come_as_soon_as_they_can():
    """A sample is made when the filter does not reach beyond what has come."""
    resampler, wav = Resampler(44_100, 24_000, 1), noise(1, 3000)
    taken = made = 0
    for block in cut(wav, [1] * 500):
        made += resampler.push(block).shape[1]
        taken += block.shape[1]
        assert made == max(0, -(-(taken * 80 - 10 * 147) // 147))  # 44.1 to 24 kHz is 80 / 147


@pytest.mark.parametrize("rates", [(44_100, 24_000), (8000, 48_000), (48_000, 8000)])
def test_memory_does_not_grow(rates):
    resampler = Resampler(*rates, 2)
    for _ in range(50):
        resampler.push(noise(2, 1000))
        assert resampler.waiting.shape[1] <= 20 * max(1, rates[0] / rates[1]) + 2


def test_no_samples():
    assert Resampler(44_100, 24_000, 2).flush().shape == (2, 0)
    assert Resampler(24_000, 24_000, 2).flush().shape == (2, 0)


@pytest.mark.parametrize("rates", [(0, 8000), (8000, 0), (8000, 1.5), (10**7, 8000), (10, 24_000)])
def test_bad_rates(rates):
    with pytest.raises(ValueError, match="sample rate.*: expected .*, got"):
        Resampler(*rates, 1)


@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 300), pieces, st.booleans())
def test_channels_are_mixed_the_same_however_it_is_cut(c_in, c_out, length, parts, transposed):
    c_out = c_in if c_out == 3 else c_out
    wav = noise(c_in, length)
    converter = Converter(8000, 8000, c_in, c_out)
    blocks = [np.asfortranarray(block) if transposed else block for block in cut(wav, parts) if block.shape[1]]
    got = np.concatenate([*map(converter.push, blocks), converter.flush()], axis=1)
    assert np.array_equal(got, convert_audio(wav, 8000, 8000, c_out))


def test_time_of_a_bad_sample_counts_from_the_start():
    converter = Converter(8000, 24_000, 1, 1)
    converter.push(noise(1, 8000))
    with pytest.raises(ValueError, match="got nan in channel 0 at 1.5000 s"):
        converter.push(np.full((1, 4001), 0.0) + np.where(np.arange(4001) == 4000, np.nan, 0))
