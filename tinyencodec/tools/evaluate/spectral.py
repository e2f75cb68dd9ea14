"""Where in the spectrum a sound is wrong, and whether the frames of a codec are heard in it.

The error of a band is mean |log10 X - log10 Y| over its frequencies and over time, X and Y being magnitudes in windows
of 1024 samples plus a floor, as in the mel distance: 0.05 is 1 dB. Unlike mel bands, these do not hide a dull treble
behind a good middle.

The comb: a decoder that repeats one pattern in every frame puts lines on the multiples of its frame rate, 75 Hz or so.
Between 1.2 and 6 kHz the power on each multiple is compared with that 15 to 35 Hz beside it, in windows of a third of
a second, and the mean over the multiples is taken, in dB. A sound without frames has about 0 or, in deep voices and
music, whatever its own tones make of it: so what counts is how much it rises.
"""

import numpy as np

from tinyencodec.tools.evaluate.distance import FLOOR, spectrum

BANDS = ((0, 1), (1, 4), (4, 8), (8, 12), (12, 24))  # kHz; those that a sample rate reaches
_WINDOW = 1024  # samples
_RANGE = (1200.0, 6000.0)  # Hz, of the comb
_BESIDE = (15.0, 35.0)  # Hz from a line
_SECONDS = 0.34  # of a window, or a little less
_TINY = 1e-12


def band_error(x: np.ndarray, y: np.ndarray, sample_rate: int, low: float, high: float) -> float | None:
    """Of a sound [C, T] and its reconstruction, from `low` up to `high` kHz; None if the sample rate ends below."""
    khz = np.linspace(0, sample_rate / 2000, _WINDOW // 2 + 1)
    inside = (khz >= low) & (khz < high)
    if 2000 * low >= sample_rate:
        return None
    a, b = (np.log10(spectrum(wav, _WINDOW)[:, :, inside] + FLOOR) for wav in (x, y))
    return float(np.abs(a - b).mean())


def comb_rise(x: np.ndarray, y: np.ndarray, sample_rate: int, frame_rate: float) -> float | None:
    """By how many dB the comb stands out further from y than from x; None where there is none to measure."""
    rise = comb(y, sample_rate, frame_rate) - comb(x, sample_rate, frame_rate)
    return rise if np.isfinite(rise) else None


def comb(wav: np.ndarray, sample_rate: int, frame_rate: float) -> float:
    """How far multiples of `frame_rate` (Hz) stand out of [C, T], in dB. NaN if the sample rate leaves none."""
    window = 2 ** int(np.log2(_SECONDS * sample_rate))
    frames = np.square(spectrum(wav, window))
    frames = frames[:, 2:-3] if frames.shape[1] > 5 else frames  # those at the ends see the sound mirrored, or cut off
    power = frames.mean(axis=(0, 1)) + _TINY
    step = sample_rate / window  # Hz
    frequencies = step * np.arange(len(power))
    first, last = np.ceil(_RANGE[0] / frame_rate), min(_RANGE[1], sample_rate / 2 - _BESIDE[1]) // frame_rate
    levels = []
    for line in frame_rate * np.arange(first, last + 1):
        distance = np.abs(frequencies - line)
        beside = power[(distance >= _BESIDE[0]) & (distance <= _BESIDE[1])]
        levels.append(10 * np.log10(power[distance <= step].mean() / beside.mean()))
    return float(np.mean(levels)) if levels else float("nan")
