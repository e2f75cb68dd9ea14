"""Sources altered at random: what changes, by how much, and what stays."""

import numpy as np
import pytest

from tests.train.test_corpus import make_corpus
from tinyencodec.train.augment import altered, gains, resampled
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.packed import PackedCorpus
from tinyencodec.train.recipe import Recipe

RATE = 24_000


def tone(hertz):
    """A source: a sine."""
    return lambda n: 0.5 * np.sin(2 * np.pi * hertz * np.arange(n) / RATE, dtype=np.float32)[None]


def loudest(wav):
    """Where the spectrum peaks, in Hz."""
    return float(np.argmax(np.abs(np.fft.rfft(wav[0] * np.hanning(wav.shape[1])))) * RATE / wav.shape[1])


def test_speed_lies_within_a_quarter_and_reaches_both_ends():
    found = [loudest(altered(tone(1000), 12_000, RATE, np.random.default_rng(seed))) for seed in range(60)]
    assert 795 < min(found) < 850 and 1180 < max(found) < 1270  # fast transforms have few sizes: within 1 %


def test_a_clip_is_as_long_as_asked_and_does_not_fade():
    for length in (1000, 19_200):
        wav = altered(tone(700), length, RATE, np.random.default_rng(1))
        assert wav.shape == (1, length) and wav.dtype == np.float32
        size = np.abs(wav[0])
        assert size[:200].max() == pytest.approx(size.max(), rel=0.05)
        assert size[-200:].max() == pytest.approx(size.max(), rel=0.05)


def test_the_same_draws_give_the_same_clip():
    one, other = (altered(tone(500), 3000, RATE, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("n_in, n_out", [(3000, 3000), (3000, 2400), (3000, 3750)])
def test_resampling_keeps_what_fits(n_in, n_out):
    """A wave of five periods stays one of five periods; one that is too fast for the new rate is gone."""
    t_in, t_out = np.arange(n_in) / n_in, np.arange(n_out) / n_out
    spectrum = np.fft.rfft(np.sin(2 * np.pi * 5 * t_in) + np.sin(2 * np.pi * 1400 * t_in))[None].astype(np.complex64)
    expected = np.sin(2 * np.pi * 5 * t_out) + (np.sin(2 * np.pi * 1400 * t_out) if n_out > 2800 else 0)
    assert np.abs(resampled(spectrum, n_in, n_out)[0] - expected).max() < 1e-4


def test_gains():
    """Tilts up to 3 dB per octave either way, no limits for half of the sources, deep cuts where there are."""
    frequencies = np.linspace(0, 12_000, 2401)
    drawn = np.array([gains(frequencies, np.random.default_rng(seed)) for seed in range(200)])
    middle = (frequencies > 300) & (frequencies < 3500)  # where no limit can be
    slope = 20 * np.log10(drawn[:, frequencies == 2000] / drawn[:, frequencies == 1000])
    assert -3 <= slope.min() < -2.5 and 2.5 < slope.max() <= 3
    assert (drawn[:, middle] > 0).all() and np.isfinite(drawn).all()
    assert 0.15 < np.mean(drawn[:, frequencies == 12_000] == 0) < 0.35
    assert 0.15 < np.mean(drawn[:, frequencies == 20] == 0) < 0.35


def test_mixer_alters_a_share_of_the_sources(tmp_path, monkeypatch):
    packed, calls = PackedCorpus(make_corpus(tmp_path), "train"), []

    def spy(read, length, sample_rate, rng):
        calls.append(length)
        return read(length)

    monkeypatch.setattr("tinyencodec.train.mixing.altered", spy)
    for alter, low, high in ((0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)):
        calls.clear()
        Mixer(packed, 500, 0, {"s1": 1.0}, alter).batch(0, 200)
        assert low <= len(calls) <= high and set(calls) <= {500}
    with pytest.raises(ValueError, match="alter: expected a number from 0 to 1"):
        Recipe(alter=1.5)
