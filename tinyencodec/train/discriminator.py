"""The multi-scale STFT discriminator: does a spectrogram look like that of a real recording?

For each of five windows, real and imaginary part of the short-time Fourier transform go as two channels (per channel
of audio) through 2-D convolutions over time and frequency: one of kernel 3 x 9, then three that halve the frequencies,
with dilations 1, 2, 4 in time, one of 3 x 3, and one more of 3 x 3 that gives a score per place. Weight norm, and
leaky ReLU of slope 0.2 in between; what comes out of each is also compared for feature matching. (Paper, section 3.4;
kernels as in the released code.)

Weights begin at a size that keeps signals at theirs (He et al. 2015), biases at zero. In PyTorch's own start the biases
drown the spectrum: layers respond to a copy almost as to the original, and learn more slowly to tell them apart.

Chapter 14 of the tutorials walks through it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from tinyencodec.train.mel import stft

WINDOWS = (2048, 1024, 512, 256, 128)  # samples
_SOFT = 1e-8  # added to a squared magnitude before it is raised to a power
_SLOPE = 0.2  # of the leaky ReLU


class StftDiscriminator(nn.Module):
    """One window. [B, C, T] -> (scores [B, 1, frames, places], list of five inner layers).

    power : to which magnitudes are raised; below 1, soft parts of the spectrum count more
    """

    window: Tensor

    def __init__(self, channels: int, filters: int, window: int, power: float = 1.0):
        super().__init__()
        self.power = power
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        self.convs = nn.ModuleList([
            _conv(2 * channels, filters, (3, 9)),
            *(_conv(filters, filters, (3, 9), dilation=(d, 1), stride=(1, 2)) for d in (1, 2, 4)),
            _conv(filters, filters, (3, 3))])
        self.score = _conv(filters, 1, (3, 3))

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = stft(wav.float(), self.window) * len(self.window) ** 0.5
            if self.power != 1:
                size = spectrum.real.square() + spectrum.imag.square() + _SOFT
                spectrum = spectrum * size ** ((self.power - 1) / 2)
        parts = torch.view_as_real(spectrum)  # [B * C, frames, frequencies, 2]
        x = parts.reshape(len(wav), -1, *parts.shape[1:]).permute(0, 1, 4, 2, 3).flatten(1, 2)
        x = x.contiguous(memory_format=torch.channels_last)  # [B, 2 C, frames, frequencies]
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), _SLOPE)
            features.append(x)
        return self.score(x), features


def _conv(c_in: int, c_out: int, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1),
          stride: tuple[int, int] = (1, 1)) -> nn.Module:
    padding = ((kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2)
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation)
    assert conv.bias is not None
    nn.init.kaiming_normal_(conv.weight, _SLOPE)
    nn.init.zeros_(conv.bias)
    return weight_norm(conv)


class Discriminator(nn.Module):
    """All windows. [B, C, T] -> (list of scores, list of lists of inner layers)."""

    def __init__(self, channels: int, filters: int = 32, windows: tuple[int, ...] = WINDOWS, power: float = 1.0):
        super().__init__()
        self.scales = nn.ModuleList(StftDiscriminator(channels, filters, window, power) for window in windows)

    def forward(self, wav: Tensor, picks: list[int] | None = None) -> tuple[list[Tensor], list[list[Tensor]]]:
        """picks : which of the windows; None: all."""
        found = [scale(wav) for number, scale in enumerate(self.scales) if picks is None or number in picks]
        return [scores.float() for scores, _ in found], [features for _, features in found]
