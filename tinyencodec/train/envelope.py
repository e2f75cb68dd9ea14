"""Do the bands rise and fall together? What makes speech understandable, as a loss.

Understanding hangs on the envelopes of the bands between 150 Hz and 4.3 kHz over some 400 ms, and on nothing else
about them than their shape (STOI; Taal, Hendriks, Heusdens & Jensen 2011). Their correlation can be differentiated, so
a codec can learn by it. Silence has no shape: a floor keeps it from counting.

STOI itself drops silent frames, clips what is far too loud, and works at 10 kHz; the loss does without.

Chapter 14 of the tutorials uses it.
"""

import torch
from torch import Tensor, nn

from tinyencodec.train.mel import power

_LOWEST = 150.0  # Hz, centre of the first band
_BANDS = 15  # thirds of an octave
_WINDOW = 0.0256  # s; a quarter of it from frame to frame
_SPAN = 60  # frames that are correlated, 384 ms
_FLOOR = 1e-4  # a deviation that counts as none; a sine at full scale has an amplitude of 0.5


def third_octaves(sample_rate: int, window: int) -> Tensor:
    """The bands as a matrix [window / 2 + 1, bands] of zeros and ones, those below half the sample rate."""
    centres = _LOWEST * 2 ** (torch.arange(_BANDS, dtype=torch.float64) / 3)
    centres = centres[centres * 2 ** (1 / 6) <= sample_rate / 2]
    frequencies = torch.linspace(0, sample_rate / 2, window // 2 + 1, dtype=torch.float64)[:, None]
    return ((frequencies >= centres * 2 ** (-1 / 6)) & (frequencies < centres * 2 ** (1 / 6))).float()


class Envelopes(nn.Module):
    """Amplitude of each band over time: [..., T] -> [M, bands, frames] of M signals."""

    window: Tensor
    bands: Tensor

    def __init__(self, sample_rate: int):
        super().__init__()
        size = 4 * round(_WINDOW * sample_rate / 4)
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.register_buffer("bands", third_octaves(sample_rate, size), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        return (power(wav, self.window) @ self.bands + 1e-12).sqrt().transpose(1, 2)


def stretches(envelopes: Tensor) -> Tensor:
    """Of `Envelopes`, all stretches of 384 ms (or what there is), less their mean: [M, bands, n, stretch]."""
    span = min(_SPAN, envelopes.shape[2])
    e = envelopes.unfold(2, span, max(1, span // 4))
    return e - e.mean(dim=3, keepdim=True)


def shapes(envelopes: Tensor) -> Tensor:
    """`stretches` brought to length 1, if they do not belong to silence."""
    e = stretches(envelopes)
    return e / (e.square().sum(dim=3, keepdim=True) + _FLOOR**2 * e.shape[3]).sqrt()


def envelope_loss(x: Tensor, y: Tensor) -> Tensor:
    """1 - correlation of two `Envelopes` over all stretches; a mean over all bands."""
    x, y = stretches(x), stretches(y)
    size = x.square().sum(dim=3).add(1e-12).sqrt() * y.square().sum(dim=3).add(1e-12).sqrt()
    return 1 - ((x * y).sum(dim=3) / (size + _FLOOR**2 * x.shape[3])).mean()
