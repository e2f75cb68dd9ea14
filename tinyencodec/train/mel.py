"""Spectra for losses and figures: short-time Fourier transforms, and mel bands at seven resolutions.

64 triangular bands, evenly spaced on the mel scale m = 2595 log10(1 + f / 700), over the magnitudes of windows of
2^5 ... 2^11 samples, a quarter of a window apart (paper, section 3.4). The shortest windows have fewer frequencies
than bands; the bands between two frequencies stay empty and cost nothing but their room.

`BandLevels` are even bands, for the level of the treble, of which mel bands hear little.

Chapter 14 of the tutorials walks through it.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyencodec.train.fused import fusible

WINDOWS = tuple(2**i for i in range(5, 12))  # samples
BANDS = 64
FLOOR = 1e-4  # added before the logarithm; a sine at full scale has a magnitude of 0.5


def stft(wav: Tensor, window: Tensor) -> Tensor:
    """[..., T] -> complex [M, frames, frequencies] of M signals, windows centred a quarter window apart.

    The last one may be centred behind the end. Divided by the window's sum, so that magnitudes do not depend on its
    length. (`torch.stft` does the same; put together from quarters of windows, the backward pass takes three
    quarters of its time.)
    """
    return torch.fft.rfft(_frames(_quarters(wav, len(window))) * (window / window.sum()))


def power(wav: Tensor, window: Tensor) -> Tensor:
    """|stft|^2: [..., T] -> [M, frames, frequencies]. Its gradient takes half the time of that of `stft`."""
    return _Power.apply(_quarters(wav, len(window)), window / window.sum())


def _quarters(wav: Tensor, length: int) -> Tensor:
    """All quarters of windows of this length, [M, frames + 3, length / 4]."""
    hop, flat = length // 4, wav.reshape(-1, 1, wav.shape[-1])
    mode = "reflect" if flat.shape[2] > length else "constant"
    return F.pad(flat, (2 * hop, 2 * hop + -flat.shape[2] % hop), mode=mode).reshape(len(flat), -1, hop)


def _frames(quarters: Tensor) -> Tensor:
    n = quarters.shape[1] - 3
    return torch.cat([quarters[:, j:j + n] for j in range(4)], dim=2)


class _Power(torch.autograd.Function):
    """`power` of quarters. PyTorch's own gradient of a real transform is a complex one; this is real, too."""

    @staticmethod
    def forward(ctx: Any, quarters: Tensor, window: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(_frames(quarters) * window)
        ctx.save_for_backward(spectrum, window)
        return spectrum.real.square() + spectrum.imag.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        spectrum, window = ctx.saved_tensors
        # Of 2 Re(sum over all frequencies), the inverse transform counts twice all but the first and the last.
        slope = gradient.clone()
        slope[..., 0] *= 2
        slope[..., -1] *= 2
        frames = torch.fft.irfft(spectrum * slope, len(window), norm="forward") * window
        n, hop = frames.shape[1], len(window) // 4
        quarters = frames.new_zeros(len(frames), n + 3, hop)
        for j in range(4):
            quarters[:, j:j + n] += frames[..., j * hop:(j + 1) * hop]
        return quarters, None


@fusible
def magnitude(power: Tensor) -> Tensor:
    """The root of a power; that of 0 becomes 1e-6, since its slope there is infinite."""
    return (power + 1e-12).sqrt()


@fusible
def log_floor(x: Tensor) -> Tensor:
    """Natural logarithm of x + FLOOR."""
    return (x + FLOOR).log()


def mel_filters(sample_rate: int, window: int, bands: int = BANDS) -> Tensor:
    """The bands as a matrix [window / 2 + 1, bands], each column a triangle with a peak of 1."""
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700, dtype=torch.float64))
    corners = 700 * (10 ** (torch.linspace(0, 1, bands + 2, dtype=torch.float64) * top / 2595) - 1)  # Hz
    frequencies = torch.linspace(0, sample_rate / 2, window // 2 + 1, dtype=torch.float64)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    return torch.minimum(rising, falling).clamp(min=0).float()


class LogMel(nn.Module):
    """log(mel magnitude + floor) of a signal at one resolution: [..., T] -> [M, frames, bands]."""

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int, window: int):
        super().__init__()
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.register_buffer("filters", mel_filters(sample_rate, window), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        return log_floor(magnitude(power(wav, self.window)) @ self.filters)


class MelScales(nn.Module):
    """`LogMel` at some or all resolutions, as a list."""

    def __init__(self, sample_rate: int, windows: tuple[int, ...] = WINDOWS):
        super().__init__()
        self.scales = nn.ModuleList(LogMel(sample_rate, window) for window in windows)

    def forward(self, wav: Tensor, picks: list[int] | None = None) -> list[Tensor]:
        """picks : which of the windows; None: all."""
        return [scale(wav) for number, scale in enumerate(self.scales) if picks is None or number in picks]


class BandLevels(nn.Module):
    """Level of each of 32 even bands, frame by frame: [..., T] -> [M, frames, 32], for `losses.level_loss`.

    Even in Hz, so half of them lie in the highest octave, where a fifth of the mel bands are (at 24 kHz), and down to
    levels of -100 dB: treble is soft.
    """

    window: Tensor

    def __init__(self, window: int = 1024, bands: int = 32):
        super().__init__()
        self.bands = bands
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        spectrum = power(wav, self.window)[..., 1:]
        return (spectrum.unflatten(-1, (self.bands, -1)).sum(-1) + 1e-10).log() / 2
