"""Lay a decoded sound over the original: the same delay, length and level, so that all coders are measured alike.

A decoder may start late or early (an encoder's look-ahead, a filter bank's delay), and not all files tell by how
much. The delay is the lag d with the greatest cross-correlation

    c[d] = sum over channels and t of x[t] * y[t + d]

and the gain that of least squares between the magnitudes X and Y of their short-time spectra,

    g = sum X Y / sum Y^2

Between the waveforms themselves it would turn down a decoder that keeps the spectrum but not the phases, and equal
energy would turn up one that leaves out the lowest frequencies; where a sound is only louder or softer, all agree.
"""

from typing import NamedTuple

import numpy as np

from tinyencodec.tools.evaluate.distance import spectrum

MOST_DELAY = 0.15  # seconds, late or early
MOST_GAIN = 2.0  # up, or its inverse down
_WINDOW = 1024  # samples


class Matched(NamedTuple):
    """A decoded sound laid over the original: float64 [C, T], the delay found (samples) and the gain applied."""

    wav: np.ndarray
    delay: int
    gain: float


def match(original: np.ndarray, decoded: np.ndarray, sample_rate: int) -> Matched:
    """Lay `decoded`, [C, any length], over `original`, [C, T]: shifted, cut or filled with silence, level-matched."""
    delay = find_delay(original, decoded, int(MOST_DELAY * sample_rate))
    aligned = shift(decoded, delay, original.shape[1])
    gain = find_gain(original, aligned)
    return Matched(gain * aligned, delay, gain)


def find_delay(original: np.ndarray, decoded: np.ndarray, most: int) -> int:
    """The delay of `decoded` in samples, from -most to most; of several as good the smallest. 0 for silence."""
    size = original.shape[1] + decoded.shape[1] + most
    size = 1 << (size - 1).bit_length()
    x, y = (np.fft.rfft(wav.astype(np.float64), size) for wav in (original, decoded))
    correlation = np.fft.irfft((x.conj() * y).sum(axis=0), size)  # lag d at d, or at size + d if negative
    lags = np.array(sorted(range(-most, most + 1), key=abs))
    return int(lags[np.argmax(correlation[lags])])


def shift(wav: np.ndarray, delay: int, length: int) -> np.ndarray:
    """`wav`, [C, t], from sample `delay` on, with silence before its start and behind its end: float64 [C, length]."""
    shifted = np.zeros((wav.shape[0], length))
    start, end = max(0, delay), min(wav.shape[1], delay + length)
    if start < end:
        shifted[:, start - delay:end - delay] = wav[:, start:end]
    return shifted


def find_gain(original: np.ndarray, decoded: np.ndarray) -> float:
    """What `decoded` is to be multiplied by to be as loud, at most `MOST_GAIN` up or down; 1 for silence."""
    x, y = spectrum(original, _WINDOW), spectrum(decoded, _WINDOW)
    return float(np.clip((x * y).sum() / np.square(y).sum(), 1 / MOST_GAIN, MOST_GAIN)) if np.any(decoded) else 1.0
