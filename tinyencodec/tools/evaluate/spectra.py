"""Short-time spectra, for distances, gains and pictures."""

from typing import Any

import numpy as np

RANGE = 80  # dB that pictures show, below the loudest point of the original
_WINDOW = 1024  # samples, of pictures
_WIDEST, _TALLEST = 1200, 256  # points, of pictures


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


def levels(wav: np.ndarray) -> np.ndarray:
    """A spectrogram in dB, of channels mixed: [C, T] -> float64 [frequencies, frames], lowest frequency first.

    It has linear frequencies, and at most 256 of them and 1200 frames: beyond that, means of the power.
    """
    frames = -(-wav.shape[1] // (_WINDOW // 4))
    magnitudes = spectrum(wav.mean(axis=0, keepdims=True), _WINDOW)[0, :frames, 1:]
    power = _pool(_pool(np.square(magnitudes).T, _TALLEST).T, _WIDEST).T
    return 10 * np.log10(power)


def _pool(rows: np.ndarray, most: int) -> np.ndarray:
    """Means of neighbouring rows, such that at most `most` are left."""
    count = min(most, len(rows))
    edges = np.arange(count + 1) * len(rows) // count
    return np.add.reduceat(rows, edges[:-1], axis=0) / np.diff(edges)[:, None]
