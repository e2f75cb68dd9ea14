"""How loud is what is missing, and what was added? A loss after the measure by which listening tests are predicted.

PESQ (ITU-T P.862 and P.862.2) compares loudness: power in bands of equal width to the ear, above the threshold of
hearing, to the power 0.23. Differences below a quarter of the loudness are masked and do not count. What was added
counts more than what is missing, since it is heard as something of its own. With P the power and N the loudness of
a band in a frame of 32 ms, x the signal and y its reconstruction,

    d = |N_y - N_x| - min(N_x, N_y) / 4                      or 0, if below
    h = ((P_y + 50) / (P_x + 50))^1.2                        0 below 3, at most 12
    disturbance = 0.1 sqrt(sum over bands of d^2) + 0.0309 * sum over bands of d h

and the loss is its root mean square over the frames, a mean over clips. PESQ itself also aligns levels, filters and
delays, gives loud frames less weight, and bad stretches more; the loss does without. (Martin-Donas, Gomez, Gonzalez &
Peinado 2018 train by a loss of this kind.)

Chapter 14 of the tutorials tells how losses share the gradient.
"""

import torch
from torch import Tensor, nn

from tinyencodec.train.mel import stft

_WINDOW = 0.032  # s; a quarter of it from frame to frame
_BANDS = 48
_TOP = 8000.0  # Hz
_LEVEL = 1e7  # the mean power of a signal: 70 dB above the threshold's 0 dB
_QUIET = 0.1  # of the batch's mean power, added to a clip's own: what is much softer than the others counts less
_POWER = 0.23


def bark(frequency: Tensor) -> Tensor:
    """Hz to the scale on which the ear's bands are evenly wide (Traunmueller 1990)."""
    return 26.81 * frequency / (1960 + frequency) - 0.53


def threshold(frequency: Tensor) -> Tensor:
    """The softest audible power at a frequency in Hz, 1 being 0 dB (Terhardt 1979)."""
    f = frequency.clamp(min=60.0) / 1000
    return 10 ** ((3.64 * f**-0.8 - 6.5 * torch.exp(-0.6 * (f - 3.3) ** 2) + 1e-3 * f**4) / 10)


class Loudness(nn.Module):
    """Power of each band in each frame, and its loudness: [B, C, T] -> two of [B * C, frames, bands]."""

    window: Tensor
    bands: Tensor
    quiet: Tensor

    def __init__(self, sample_rate: int):
        super().__init__()
        size = 4 * round(_WINDOW * sample_rate / 4)
        top = min(_TOP, sample_rate / 2)
        frequencies = torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)
        low, high = bark(torch.tensor([50.0, top], dtype=torch.float64))
        place = (bark(frequencies) - low) / (high - low) * _BANDS
        bands = torch.zeros(len(frequencies), _BANDS, dtype=torch.float64)
        inside = (place >= 0) & (place < _BANDS)
        bands[inside, place[inside].long()] = 1.0
        bands = bands[:, bands.sum(dim=0) > 0]  # the lowest are narrower than the distance of two frequencies
        centres = (frequencies[:, None] * bands).sum(dim=0) / bands.sum(dim=0)
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.register_buffer("bands", bands.float(), persistent=False)
        self.register_buffer("quiet", threshold(centres).float(), persistent=False)

    def forward(self, wav: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """scale : what to multiply powers by, [B * C, 1, 1]; see `level`."""
        spectrum = stft(wav, self.window)
        power = ((spectrum.real.square() + spectrum.imag.square()) @ self.bands) * scale
        return power, (self.quiet / 0.5) ** _POWER * ((0.5 + 0.5 * power / self.quiet) ** _POWER - 0.5**_POWER)

    def level(self, wav: Tensor) -> Tensor:
        """The `scale` that brings the power in the bands to 70 dB; less for clips that are softer than the others."""
        spectrum = stft(wav, self.window)
        power = ((spectrum.real.square() + spectrum.imag.square()) @ self.bands).sum(dim=2).mean(dim=1)
        return (_LEVEL / (power + _QUIET * power.mean() + 1e-10))[:, None, None]


def loudness_loss(loudness: Loudness, x: Tensor, y: Tensor) -> Tensor:
    """The disturbance of y [B, C, T], a reconstruction of x."""
    scale = loudness.level(x)
    (power_x, loud_x), (power_y, loud_y) = loudness(x, scale), loudness(y, scale)
    masked = torch.minimum(loud_x, loud_y.detach()) / 4
    d = ((loud_y - loud_x).abs() - masked).clamp(min=0)
    h = ((power_y.detach() + 50) / (power_x + 50)) ** 1.2
    h = torch.where(h < 3, 0.0, h.clamp(max=12.0))
    disturbance = 0.1 * (d.square().sum(dim=2) + 1e-8).sqrt() + 0.0309 * (d * h).sum(dim=2)
    return (disturbance.square().mean(dim=1) + 1e-8).sqrt().mean()
