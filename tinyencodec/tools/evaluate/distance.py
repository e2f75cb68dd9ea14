"""Two distances between a sound x and its reconstruction y, in float64: of waveforms, and of mel spectra.

SI-SNR: y is split into the part that is a multiple of x, and the rest, which is noise; 10 log10 of their energies'
ratio, in dB. (Le Roux et al. 2018.) It tells whether the waveform is followed, and says little about how it sounds.

Mel distance: mean |log10 X - log10 Y| over 64 mel bands, time, and windows of 2^5 ... 2^11 samples, where X and Y
are magnitudes, plus a floor 74 dB below a sine at full scale. 0.05 is 1 dB. It is blind to phase. The bands' peaks are
even steps of 2595 log10(1 + f / 700) apart, and the windows, Hann, a quarter of their length.

Both are what training reports about held-out sound, without PyTorch.
"""

from typing import Any

import numpy as np

WINDOWS = tuple(2**i for i in range(5, 12))  # samples
BANDS = 64
FLOOR = 1e-4  # added to a magnitude; a sine at full scale has 0.5
_TINY = 1e-10  # energy: so that there is a logarithm


def spectrum(wav: np.ndarray, window: int) -> np.ndarray:
    """Magnitudes of a short-time Fourier transform by the window's sum: [C, T] -> [C, frames, window / 2 + 1].

    Windows are centred on each quarter of a window, the last one perhaps behind the end. Beyond its ends the sound is
    mirrored, or silent if it is no longer than a window.
    """
    hop = window // 4
    mode: Any = "reflect" if wav.shape[1] > window else "constant"
    padded = np.pad(wav.astype(np.float64), ((0, 0), (2 * hop, 2 * hop + -wav.shape[1] % hop)), mode=mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    transform = np.fft.rfft(frames * (hann / hann.sum()))
    return np.sqrt(transform.real**2 + transform.imag**2 + 1e-12)


def si_snr(x: np.ndarray, y: np.ndarray) -> float:
    """Scale-invariant signal-to-noise ratio in dB of y, of the shape of x; all channels taken as one signal."""
    x, y = (np.ravel(wav).astype(np.float64) for wav in (x, y))
    x, y = x - x.mean(), y - y.mean()
    part = (x @ y) / max(x @ x, _TINY) * x
    noise = y - part
    return float(10 * np.log10(max(part @ part, _TINY) / max(noise @ noise, _TINY)))


def mel_filters(sample_rate: int, window: int) -> np.ndarray:
    """Triangles with a peak of 1, each between the peaks beside it: [window / 2 + 1, BANDS]."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)  # Hz
    frequencies = np.linspace(0, sample_rate / 2, window // 2 + 1)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    return np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clip(min=0)


class MelScales:
    """Log mel spectra at seven resolutions, of sounds of one sample rate (Hz)."""

    def __init__(self, sample_rate: int) -> None:
        self._filters = [(window, mel_filters(sample_rate, window)) for window in WINDOWS]

    def __call__(self, wav: np.ndarray) -> list[np.ndarray]:
        """log10(magnitude + floor): [C, T] -> for each window [C, frames, BANDS]."""
        return [np.log10(spectrum(wav, window) @ filters + FLOOR) for window, filters in self._filters]


def mel_distance(x: list[np.ndarray], y: list[np.ndarray]) -> float:
    """Mean absolute difference of two sounds' `MelScales`, a mean over windows and channels."""
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(x, y)]))
