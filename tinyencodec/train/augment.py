"""More voices out of the same hours: a source played faster or slower, through another microphone, over another line.

    speed 0.8 ... 1.25   pitch, formants and tempo move together: a smaller or larger head, a livelier or calmer speaker
    tilt -3 ... 3 dB     per octave, around 1 kHz, levelled off below 100 Hz and above 8 kHz
    band limits          a quarter of the sources lose what is above 3.5 ... 10 kHz, another what is below 60 ... 300 Hz

All three are one multiplication of the spectrum of a stretch that is longer than what is wanted: its ends, where the
transform's wrap-around is heard, are cut off. (Speed perturbation as Ko, Povey, Peddinti & Khudanpur 2015, who
take 0.9 to 1.1, for other ends.) Rooms are in `mixing`.

Chapter 14 of the tutorials uses it.
"""

from collections.abc import Callable

import numpy as np
from scipy import fft

_SPEED = 1.25  # at most, and at least its inverse
_TILT = 3.0  # dB per octave
_LIMITED = 0.25  # probability, of either limit
_TOP, _BOTTOM = (3500.0, 10_000.0), (60.0, 300.0)  # Hz
_EDGE = 0.1  # of a limit's frequency, over which the gain falls
_MARGIN = 256  # samples at either end of the result that are cut off


def altered(read: Callable[[int], np.ndarray], length: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A source that was changed at random: float32 [C, length].

    read : gives float32 [C, n] of it for any n
    """
    speed = float(np.exp(rng.uniform(-np.log(_SPEED), np.log(_SPEED))))
    n_out = fft.next_fast_len(length + 2 * _MARGIN, real=True)
    n_in = fft.next_fast_len(round(n_out * speed), real=True)
    spectrum = fft.rfft(read(n_in))
    frequencies = np.arange(spectrum.shape[1]) * sample_rate / n_out  # Hz, in the result
    return resampled(spectrum * gains(frequencies, rng), n_in, n_out)[:, _MARGIN:_MARGIN + length]


def resampled(spectrum: np.ndarray, n_in: int, n_out: int) -> np.ndarray:
    """`n_out` samples from the spectrum [C, n_in // 2 + 1] of `n_in`, as if read at another speed: float32 [C, n_out].

    What does not fit below half the sample rate is dropped.
    """
    bins = n_out // 2 + 1
    fitting = spectrum[:, :bins] if bins <= spectrum.shape[1] else np.pad(
        spectrum, ((0, 0), (0, bins - spectrum.shape[1])))
    return fft.irfft(fitting * np.float32(n_out / n_in), n_out)


def gains(frequencies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random tilt and random limits, at these frequencies in Hz."""
    octaves = np.log2(np.clip(frequencies, 100.0, 8000.0) / 1000)
    gain = 10 ** (rng.uniform(-_TILT, _TILT) * octaves / 20)
    if rng.random() < _LIMITED:
        top = np.exp(rng.uniform(*np.log(_TOP)))
        gain *= np.clip((top - frequencies) / (_EDGE * top) + 1, 0, 1)
    if rng.random() < _LIMITED:
        bottom = np.exp(rng.uniform(*np.log(_BOTTOM)))
        gain *= np.clip((frequencies - bottom) / (_EDGE * bottom) + 1, 0, 1)
    return gain.astype(np.float32)
