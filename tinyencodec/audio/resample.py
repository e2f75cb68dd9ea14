"""Sample rates and channels of a signal that may come in pieces.

Resampling by up / down is one FIR filter: put up - 1 zeros after each sample, low-pass, keep every down-th,

    y[n] = sum over k of h[half + n * down - k * up] * x[k],     h of 2 * half + 1 taps, half = 10 * max(up, down)

where h is a sinc under a Kaiser window (beta 5) that cuts at the lower of the two Nyquist frequencies. Filter
and arithmetic are those of `scipy.signal.resample_poly`, from the oldest x[k] to the latest: the result is the same bit
by bit, however the signal was cut, since y[n] is the same sum in the same order whenever all its x[k] have come.

Channels: the mean as mono mix follows the official package's `utils.py`.

Chapter 1 of the tutorials walks through it.
"""

import math

import numpy as np

from tinyencodec.system.compiler.jit import kernel

MAX_RATE, MAX_RATIO = 1_000_000, 1_000  # Hz; output to input rate and back
_MAX_STEPS = 1 << 16  # up or down; the filter has 20 times as many taps, and making it takes six times its memory


class Resampler:
    """Changes the rate of a signal that comes in pieces. Keeps about 20 * max(1, down / up) samples of it.

    Parameters
    ----------
    sr_in, sr_out : Hz, as `convert_audio`
    channels : C of the signal

    Raises
    ------
    ValueError : a rate out of range, or two too far apart.
    """

    def __init__(self, sr_in: int, sr_out: int, channels: int) -> None:
        sr_in, sr_out = checked_rate(sr_in), checked_rate(sr_out)
        if max(sr_in, sr_out) > MAX_RATIO * min(sr_in, sr_out):
            raise ValueError(f"sample rates: expected a ratio of at most {MAX_RATIO}, got {sr_in} Hz to {sr_out} Hz")
        common = math.gcd(sr_in, sr_out)
        self.up, self.down = sr_out // common, sr_in // common
        if max(self.up, self.down) > _MAX_STEPS:
            raise ValueError(f"sample rates: expected two whose ratio is of integers up to {_MAX_STEPS}, "
                             f"got {sr_in} Hz to {sr_out} Hz")
        self.half = 10 * max(self.up, self.down)
        self.filter: np.ndarray | None = None  # designed when first needed
        self.waiting = np.zeros((channels, 0), np.float32)  # samples that outputs to come depend on
        self.start = 0  # index of the first of them in the signal
        self.made = 0  # samples returned

    def push(self, wav: np.ndarray) -> np.ndarray:
        """Take the next samples, float32 [C, n] (n may be 0); return those that are certain, float32 [C, m]."""
        if self.up == self.down:
            return wav
        self.waiting = np.concatenate([self.waiting, wav], axis=1)
        return self._make(-(-(self._taken() * self.up - self.half) // self.down))

    def flush(self) -> np.ndarray:
        """End the signal; return the rest, such that T samples have become ceil(T * up / down)."""
        return self._make(-(-self._taken() * self.up // self.down))

    def _taken(self) -> int:
        return self.start + self.waiting.shape[1]

    def _make(self, end: int) -> np.ndarray:
        """Outputs `made` to end - 1."""
        if end <= self.made:
            return self.waiting[:, :0].copy()
        if self.filter is None:
            self.filter = _phases(_low_pass(self.half, max(self.up, self.down)) * np.float32(self.up), self.up)
        y = np.empty((len(self.waiting), end - self.made), np.float32)
        at = self.half + self.made * self.down - self.start * self.up
        _filter(np.ascontiguousarray(self.waiting), self.filter, at, self.down, y)
        self.made = end
        first = max(self.start, -(-(end * self.down - self.half) // self.up))  # that output `end` depends on
        self.waiting, self.start = self.waiting[:, first - self.start:].copy(), first
        return y


def _low_pass(half: int, ratio: int) -> np.ndarray:
    """2 * half + 1 taps, float32 with a sum of 1, that pass what is below 1 / ratio of the Nyquist frequency."""
    cutoff = 1 / ratio
    taps = cutoff * np.sinc(cutoff * (np.arange(2 * half + 1) - half)) * np.kaiser(2 * half + 1, 5.0)
    return (taps / taps.sum()).astype(np.float32)


def _phases(taps: np.ndarray, up: int) -> np.ndarray:
    """[up, L]: row p holds taps p, p + up, p + 2 up ..., the last first, as an output meets its inputs in time."""
    filled = np.pad(taps, (0, -len(taps) % up))
    return np.ascontiguousarray(filled.reshape(-1, up).T[:, ::-1])


def _filter_naive(x: np.ndarray, phases: np.ndarray, at: int, step: int, y: np.ndarray) -> None:
    up, length = phases.shape
    last, phase = np.divmod(at + step * np.arange(y.shape[1]), up)
    y[:] = 0
    for i in range(length):
        k = last - length + 1 + i
        there = (k >= 0) & (k < x.shape[1])
        y[:, there] += x[:, k[there]] * phases[phase[there], i]


@kernel("void(f4[:,::1], f4[:,::1], i8, i8, f4[:,::1])", twin=_filter_naive)
def _filter(x: np.ndarray, phases: np.ndarray, at: int, step: int, y: np.ndarray) -> None:
    """Output n stands `at + n * step` places after x[0], where x has up - 1 zeros between its samples."""
    up, length = phases.shape
    for c in range(len(x)):
        for n in range(y.shape[1]):
            last = (at + n * step) // up
            taps, total = phases[at + n * step - last * up], np.float32(0)
            for k in range(max(0, last - length + 1), min(last + 1, x.shape[1])):
                total += x[c, k] * taps[k - last + length - 1]
            y[c, n] = total


class Converter:
    """Checks, mixes and resamples a signal that comes in pieces; `convert_audio` says how, and what it raises."""

    def __init__(self, sr_in: int, sr_out: int, c_in: int, c_out: int) -> None:
        self.sr_in, self.c_out, self.taken = checked_rate(sr_in), c_out, 0
        if c_out not in (1, 2, c_in):
            raise ValueError(f"channels: expected 1, 2 or the input's {c_in}, got {c_out!r}")
        self.resampler = Resampler(sr_in, sr_out, c_out)

    def push(self, wav: np.ndarray) -> np.ndarray:
        """Take the next samples, float [C, n] with n >= 1; return float32 [channels, m], m >= 0."""
        return self.convert(checked_audio(wav, self.sr_in, self.taken))

    def convert(self, wav: np.ndarray) -> np.ndarray:
        """As `push`, for samples that have been checked."""
        self.taken += wav.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):  # sums beyond float32 are infinite: the model refuses them
            mixed = _mix(wav, self.c_out)
        return self.resampler.push(mixed)

    def flush(self) -> np.ndarray:
        """End the signal; return the rest."""
        return self.resampler.flush()


def convert_audio(wav: np.ndarray, sr_in: int, sr_out: int, channels: int) -> np.ndarray:
    """Convert a signal to another number of channels and another sample rate.

    To mono: the mean of all channels. Mono to stereo: twice the same. More than two channels to
    stereo: channels 0 and 1 stay left and right, each other channel goes to both sides at half
    weight, and all is scaled by 2 / C. Nothing is lost, the mean of the two sides is the mono mix,
    and a full-scale input stays within full scale. Any count stays as it is when asked for.

    Resampling is `scipy.signal.resample_poly` with its default Kaiser window; T samples become
    ceil(T * sr_out / sr_in).

    Parameters
    ----------
    wav : float [C, T], T >= 1
    sr_in, sr_out : Hz, integers from 1 to 1 000 000, neither over 1000 times the other, nor above 65 536 once both are
        divided by their greatest common divisor
    channels : 1, 2, or the C of the input

    Returns
    -------
    float32 [channels, T'], never a view of `wav`

    Raises
    ------
    ValueError : wrong shape or dtype, no samples, a sample that is not finite (saying when), a rate
        or channel count out of range.
    """
    sr_in, sr_out = checked_rate(sr_in), checked_rate(sr_out)
    wav = checked_audio(wav, sr_in)
    converter = Converter(sr_in, sr_out, len(wav), channels)
    return np.concatenate([converter.convert(wav), converter.flush()], axis=1)


def _mix(wav: np.ndarray, channels: int) -> np.ndarray:
    # Channels are added one after the other, since NumPy's `sum` takes another order for another layout.
    count = len(wav)
    if channels == count:
        return wav
    if channels == 1:
        return sum(wav[1:], start=wav[:1]) / np.float32(count)
    if count == 1:
        return np.repeat(wav, 2, axis=0)
    return (wav[:2] + sum(wav[3:], start=wav[2]) / 2) * np.float32(2 / count)


def checked_audio(wav: np.ndarray, sample_rate: int, start: int = 0) -> np.ndarray:
    """`wav` as float32 [C, T], or a `ValueError`; its first sample is number `start` of the signal."""
    wav = np.asarray(wav)
    if wav.ndim != 2 or 0 in wav.shape:
        raise ValueError(f"audio: expected shape [C, T] with T >= 1, got {list(wav.shape)}")
    if wav.dtype.kind != "f":
        raise ValueError(f"audio: expected floating-point samples, got {wav.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and refused below
        wav = wav.astype(np.float32, copy=False)
    finite = np.isfinite(wav)
    if not finite.all():
        t = int(np.argmin(finite.all(axis=0)))
        c = int(np.argmin(finite[:, t]))
        raise ValueError(f"audio: expected finite samples, got {wav[c, t]} in channel {c} "
                         f"at {(start + t) / sample_rate:.4f} s")
    return wav


def checked_rate(rate: int) -> int:
    """`rate` in Hz, or a `ValueError` unless it is an integer in range."""
    if not isinstance(rate, (int, np.integer)) or isinstance(rate, bool) or not 1 <= rate <= MAX_RATE:
        raise ValueError(f"sample rate: expected an integer from 1 to {MAX_RATE} Hz, got {rate!r}")
    return int(rate)
