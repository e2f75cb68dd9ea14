"""What a good reconstruction is, in numbers: x is the signal, y its reconstruction, both [B, C, T].

(Paper, section 3.4. The relative squared error is ours, for the start: unlike L1 it does not pull a silent output to
stay silent, since its gradient at y = 0 is the signal itself.)

Chapter 14 of the tutorials walks through it.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tinyencodec.train.fused import fusible

FAINT = 1e-3  # an amplitude (RMS) that counts as next to nothing: what is relative to a signal's size stays finite
_QUIET = 0.1  # of the batch's mean power, added to a clip's own: what is much softer than the others counts less


def l1_time(x: Tensor, y: Tensor) -> Tensor:
    """Mean |x - y|."""
    return (x - y).abs().mean()


def relative_squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Energy of x - y by the energy of x, a mean over clips: about 1 for silence, 0.1 at 10 dB."""
    error, energy = (x - y).square().mean(dim=(1, 2)), x.square().mean(dim=(1, 2))
    return (error / (energy + _QUIET * energy.mean() + FAINT**2)).mean()


def emphasise(wav: Tensor, share: float) -> Tensor:
    """x[t] - share * x[t - 1], which lifts high frequencies: by 6 dB an octave if `share` is close to 1."""
    return torch.cat([wav[..., :1], wav[..., 1:] - share * wav[..., :-1]], dim=-1) if share else wav


def mel_loss(x: list[Tensor], y: list[Tensor]) -> Tensor:
    """Mean and root mean square of the difference of two `MelScales`, summed; a mean over clips and scales."""
    return torch.stack([_mel_scale(a, b) for a, b in zip(x, y)]).mean()


def level_loss(x: Tensor, y: Tensor) -> Tensor:
    """How far off the mean level of each band is, over a clip's frames (`BandLevels`); a mean over clips and bands.

    The single frames of noise cannot be predicted, and a decoder comes nearest to them all by being too soft. Here
    chance cancels over the frames, and what is left is how much too soft (or loud) a band is.
    """
    return (x - y).mean(dim=1).abs().mean()


@fusible
def _mel_scale(a: Tensor, b: Tensor) -> Tensor:
    difference = a - b
    return difference.abs().mean() + (difference.square().mean(dim=(1, 2)) + 1e-8).sqrt().mean()


def mel_distance(x: list[Tensor], y: list[Tensor]) -> Tensor:
    """Mean absolute difference of two `MelScales`, in powers of ten. A figure to report: 0.05 is 1 dB."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(x, y)]).mean() / math.log(10)


def hinge_real_fake(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """What the discriminator learns by: scores above 1 for real signals, below -1 for others; a mean over scales."""
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake)]).mean()


def hinge_generator(fake: list[Tensor]) -> Tensor:
    """What the codec learns by: scores above 1 for its output; a mean over scales."""
    return torch.stack([F.relu(1 - score).mean() for score in fake]).mean()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Mean |difference| of the discriminator's inner layers by their mean size; a mean over scales and layers."""
    terms = [(r.detach() - f).abs().mean() / r.detach().abs().mean().clamp(min=FAINT)
             for real_scale, fake_scale in zip(real, fake) for r, f in zip(real_scale, fake_scale)]
    return torch.stack(terms).mean()


def si_snr(x: Tensor, y: Tensor) -> Tensor:
    """Scale-invariant signal-to-noise ratio in dB of each signal, [..., T] -> [...] (Le Roux et al. 2018)."""
    x, y = x - x.mean(dim=-1, keepdim=True), y - y.mean(dim=-1, keepdim=True)
    projection = (x * y).sum(-1, keepdim=True) / x.square().sum(-1, keepdim=True).clamp(min=1e-10) * x
    noise = (y - projection).square().sum(-1)
    return 10 * torch.log10(projection.square().sum(-1).clamp(min=1e-10) / noise.clamp(min=1e-10))
