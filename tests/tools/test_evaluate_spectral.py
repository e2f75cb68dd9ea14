"""Errors by band, the comb, and the use of codebooks, by definition."""

import numpy as np
import pytest

from tinyencodec.tools.evaluate.codebooks import CodebookUse, perplexity
from tinyencodec.tools.evaluate.spectral import BANDS, band_error, comb, comb_rise

RATE = 24_000


def noise(seconds=2.0, seed=0, channels=1):
    return np.random.default_rng(seed).standard_normal((channels, int(seconds * RATE))) * 0.1


def filtered(wav, gain):
    """Multiply the spectrum by a function of the frequency in Hz."""
    return np.fft.irfft(np.fft.rfft(wav) * gain(np.fft.rfftfreq(wav.shape[1], 1 / RATE)), wav.shape[1])


def band_errors(x, y, rate):
    return {f"error_{low}_{high}": band_error(x, y, rate, low, high) for low, high in BANDS}


@pytest.mark.parametrize("rate, count", [(8000, 2), (16_000, 3), (24_000, 4), (48_000, 5)])
def test_bands_reach_as_far_as_the_sample_rate(rate, count):
    errors = band_errors(noise(), noise(seed=1), rate)
    assert [error is not None for error in errors.values()] == [number < count for number in range(5)]


def test_a_fall_of_6_db_in_one_band_is_an_error_there_alone():
    x = noise()
    errors = band_errors(x, filtered(x, lambda f: np.where((f > 4000) & (f < 8000), 0.5, 1.0)), RATE)
    assert errors["error_4_8"] == pytest.approx(0.30, abs=0.02)
    assert max(errors["error_0_1"], errors["error_1_4"], errors["error_8_12"]) < 0.01
    assert band_error(x, x, RATE, 1, 4) == 0


@pytest.mark.parametrize("frame_rate", [75.0, 150.0])
@pytest.mark.parametrize("channels", [1, 2])
def test_comb_tells_decibels(frame_rate, channels):
    """None in noise; and 6 dB more for lines of twice the amplitude, once they stand out."""
    t = np.arange(2 * RATE) / RATE
    lines = sum(np.cos(2 * np.pi * frame_rate * k * t + k * k) for k in range(int(1000 / frame_rate), 100))
    levels = [comb(noise(channels=channels) + size * lines, RATE, frame_rate) for size in (0.0, 0.05, 0.1)]
    assert levels[0] == pytest.approx(0, abs=0.5)
    assert levels[1] > 15 and levels[2] - levels[1] == pytest.approx(6, abs=0.3)


def test_lines_of_another_spacing_are_no_comb():
    t = np.arange(2 * RATE) / RATE
    lines = sum(np.cos(2 * np.pi * 87 * k * t + k * k) for k in range(10, 90))
    assert comb(noise() + 0.1 * lines, RATE, 75.0) < 1
    assert comb_rise(noise(), noise() + 0.1 * lines, RATE, 87.0) > 15


def test_comb_where_there_is_nothing_to_measure():
    assert np.isfinite(comb(noise(0.1), RATE, 75.0)) and np.isfinite(comb(np.zeros((1, 9000)), RATE, 75.0))
    assert np.isnan(comb(noise(), 2000, 75.0)) and comb_rise(noise(), noise(), 2000, 75.0) is None


def test_perplexity():
    assert perplexity(np.array([5, 5, 5, 5])) == pytest.approx(4)
    assert perplexity(np.array([7, 0, 0])) == pytest.approx(1)
    assert perplexity(np.array([1, 1, 2])) == pytest.approx(2**1.5)


def test_codebooks_count_frames_entries_and_fewer_codebooks():
    use = CodebookUse(3, 4)
    use.add(np.array([[0, 1, 2, 3], [0, 0, 1, 1]]))
    use.add(np.array([[0, 1], [0, 0]]))
    assert use.frames == 6
    assert [(row["codebook"], row["used"]) for row in use.rows()] == [(1, 1.0), (2, 0.5)]
    assert use.rows()[1]["perplexity"] == pytest.approx(perplexity(np.array([4, 2])))
