"""How loud is what is missing, and what was added? A loss after the measure by which listening tests are predicted.

PESQ (ITU-T P.862 and P.862.2) compares loudness: power in bands of equal width to the ear, in frames of 32 ms, above
the threshold of hearing, to a power of about 0.23. Before it compares, it forgives what is hardly heard: with X and Y
the powers of the signal and of its reconstruction, X takes on the mean spectrum of Y, as if through the same filter,
and Y the power of X in each frame. Then, with N_x and N_y the loudness of a band,

    d = |N_y - N_x| - min(N_x, N_y) / 4                      or 0, if below: what is masked
    h = ((Y + 50) / (X + 50))^1.2                            0 below 3, at most 12: what was added is heard as noise
    disturbance = 0.27 sqrt(mean of d^2) + 1.5 tanh(0.08 mean of d h), means over bands

and the loss is a mean over frames, the worst of 320 ms first (the power 6), then the stretches (the power 2), then
clips. The tanh stands for an upper limit, beyond which there would be no gradient. PESQ also aligns delays and weighs
frames. Its own disturbance goes with this loss (r = 0.96 over 37 kinds of damage to 16 sounds, means of sounds taken
off). Nothing of it may be left out: without the filter r is 0.78, without the gain 0.90, without the limit 0.91, and a
codec that learns by a less true loss does not gain. (Martin-Donas, Gomez, Gonzalez & Peinado 2018 train by a loss of
this kind.)

Chapter 14 of the tutorials shows what it hears.
"""

import torch
from torch import Tensor, nn

from tinyencodec.train import mel

_WINDOW = 0.032  # s; a quarter of it from frame to frame
_BANDS = 48
_TOP = 8000.0  # Hz
_LEVEL = 2e9  # the power of a signal: 93 dB above the threshold's 0 dB
_QUIET = 0.1  # of the batch's mean power, added to a clip's own: what is much softer than the others counts less
_STRETCH = 40  # frames; half of it from stretch to stretch


def bark(frequency: Tensor) -> Tensor:
    """Hz to the scale on which the ear's bands are evenly wide (Traunmueller 1990)."""
    return 26.81 * frequency / (1960 + frequency) - 0.53


def threshold(frequency: Tensor) -> Tensor:
    """The softest audible power at a frequency in Hz, 1 being 0 dB (Terhardt 1979)."""
    f = frequency.clamp(min=60.0) / 1000
    return 10 ** ((3.64 * f**-0.8 - 6.5 * torch.exp(-0.6 * (f - 3.3) ** 2) + 1e-3 * f**4) / 10)


class Loudness(nn.Module):
    """The ear's bands: the power in them, and how loud it is."""

    window: Tensor
    bands: Tensor
    quiet: Tensor
    exponent: Tensor

    def __init__(self, sample_rate: int):
        super().__init__()
        size = 4 * round(_WINDOW * sample_rate / 4)
        top = min(_TOP, sample_rate / 2)
        frequencies = torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)
        low, high = bark(torch.tensor([80.0, top], dtype=torch.float64))
        place = (bark(frequencies) - low) / (high - low) * _BANDS
        bands = torch.zeros(len(frequencies), _BANDS, dtype=torch.float64)
        inside = (place >= 0) & (place < _BANDS)
        bands[inside, place[inside].long()] = 1.0
        bands = bands[:, bands.sum(dim=0) > 0]  # the lowest are narrower than the distance of two frequencies
        centres = (frequencies[:, None] * bands).sum(dim=0) / bands.sum(dim=0)
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.register_buffer("bands", bands.float(), persistent=False)
        self.register_buffer("quiet", threshold(centres).float(), persistent=False)
        exponent = 0.23 * (6 / (bark(centres) + 2)).clamp(1, 2) ** 0.15  # low tones grow louder faster
        self.register_buffer("exponent", exponent.float(), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """Power of each band in each frame: [B, C, T] -> [B * C, frames, bands]."""
        return mel.power(wav, self.window) @ self.bands

    def heard(self, power: Tensor) -> Tensor:
        """How loud bands of a power are, brought to their level before."""
        exponent = self.exponent
        loud = (2 * self.quiet) ** exponent * ((0.5 + 0.5 * power / self.quiet) ** exponent - 1)
        return loud.clamp(min=0)


def level(power: Tensor) -> Tensor:
    """[M, frames, bands] brought to the same power all; less for clips that are softer than the others."""
    mean = power.sum(dim=2).mean(dim=1)
    return power * (_LEVEL / (mean + _QUIET * mean.mean() + 1e-10))[:, None, None]


def disturbance(loudness: Loudness, power_x: Tensor, power_y: Tensor) -> Tensor:
    """Of each frame, for powers [M, frames, bands] of a signal and its reconstruction at their level: [M, frames]."""
    # What is added to both sides of the quotients keeps them near 1 where there is next to nothing.
    power_x = power_x * ((power_y.mean(dim=1) + 1000) / (power_x.mean(dim=1) + 1000)).clamp(0.01, 100.0)[:, None]
    gain = (power_x.sum(dim=2) + 5000) / (power_y.sum(dim=2) + 5000)
    power_y = power_y * gain.clamp(3e-4, 5.0)[:, :, None]
    loud_x, loud_y = loudness.heard(power_x), loudness.heard(power_y)
    d = ((loud_y - loud_x).abs() - torch.minimum(loud_x, loud_y) / 4).clamp(min=0)
    h = ((power_y + 50) / (power_x + 50)) ** 1.2
    h = torch.where(h < 3, 0.0, h.clamp(max=12.0))
    return 0.27 * (d.square().mean(dim=2) + 1e-8).sqrt() + 1.5 * torch.tanh(0.08 * (d * h).mean(dim=2))


def loudness_loss(loudness: Loudness, x: Tensor, y: Tensor) -> Tensor:
    """The disturbance of y [B, C, T], a reconstruction of x."""
    frames = disturbance(loudness, level(loudness(x)), level(loudness(y)))
    length = min(_STRETCH, frames.shape[1])
    stretches = (frames**6).unfold(1, length, max(length // 2, 1)).mean(dim=2) ** (1 / 6)
    return (stretches.square().mean(dim=1) + 1e-8).sqrt().mean()
