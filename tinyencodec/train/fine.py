"""Spectra with bins narrower than the frame rate, as a loss: what repeats from frame to frame shows in them.

A decoder that repeats one pattern in every frame adds lines at multiples of the frame rate (75 Hz), a comb. Above
1 kHz mel bands are wider than that, so the mel loss is blind to it. Here are no bands: the logarithm of the magnitude
in each bin of windows of 1024, 2048 and 4096 samples (23, 12 and 6 Hz apart at 24 kHz), compared as mel bands are. Of
noise single bins cannot be predicted; then the best guess is the same in all of them, and lines cost.

Chapter 14 of the tutorials uses it.
"""

import torch
from torch import Tensor, nn

from tinyencodec.train.mel import log_floor, magnitude, power

WINDOWS = (1024, 2048, 4096)  # samples


class LogSpectrum(nn.Module):
    """log(magnitude + floor) of a signal at one resolution: [..., T] -> [M, frames, window / 2 + 1]."""

    window: Tensor

    def __init__(self, window: int):
        super().__init__()
        self.register_buffer("window", torch.hann_window(window), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        return log_floor(magnitude(power(wav, self.window)))


class FineScales(nn.Module):
    """`LogSpectrum` at some or all resolutions, as a list, for `losses.mel_loss`."""

    def __init__(self, windows: tuple[int, ...] = WINDOWS):
        super().__init__()
        self.scales = nn.ModuleList(LogSpectrum(window) for window in windows)

    def forward(self, wav: Tensor, picks: list[int] | None = None) -> list[Tensor]:
        """picks : which of the windows; None: all."""
        return [scale(wav) for number, scale in enumerate(self.scales) if picks is None or number in picks]
