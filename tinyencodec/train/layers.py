"""The layers of `conv`, `conv_transpose`, `lstm` and `seanet` once more, in PyTorch, to be trained.

Same paddings, same trimming, same parameters under the same names (`checkpoint`), so that a trained model runs in
NumPy as it is. Here signals are [B, C, T], weight norm is computed at every step, and there is no streaming.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train.fused import elu


class Kernel(nn.Module):
    """The parameters of one convolution: a weight, with weight norm or plain, and a bias, which starts at zero.

    shape : of the weight, [out, in, kernel], or [in, out, kernel] of a transposed one
    n_out : output channels
    """

    def __init__(self, shape: tuple[int, int, int], n_out: int, weight_norm: bool):
        super().__init__()
        initial = torch.randn(shape) / math.sqrt(shape[1] * shape[2])
        if weight_norm:
            self.weight_g = nn.Parameter(torch.linalg.vector_norm(initial, dim=(1, 2), keepdim=True))
            self.weight_v = nn.Parameter(initial)
        else:
            self.weight = nn.Parameter(initial)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.weight_norm = weight_norm

    def folded(self) -> Tensor:
        """The weight that acts: w = g * v / |v| with weight norm."""
        if not self.weight_norm:
            return self.weight
        return self.weight_v * (self.weight_g / torch.linalg.vector_norm(self.weight_v, dim=(1, 2), keepdim=True))

    @torch.no_grad()
    def put(self, weight: Tensor) -> None:
        """Set the weight that acts; with weight norm, as directions of length 1: shorter ones would turn faster."""
        if self.weight_norm:
            length = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
            self.weight_g.copy_(length)
            self.weight_v.copy_(torch.where(length > 0, weight / length, self.weight_v))  # zeros have no direction
        else:
            self.weight.copy_(weight)

    @torch.no_grad()
    def scale(self, factor: Tensor | float) -> None:
        """Multiply the weight by a number, or by one per index of its first dimension, [A]."""
        weight = self.weight_g if self.weight_norm else self.weight
        weight.mul_(factor.reshape(-1, 1, 1) if isinstance(factor, Tensor) and factor.ndim else factor)


def pad(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Pad [B, C, T] in time by zeros or by its mirror image, with the short-input rule of `conv.pad`."""
    if not left and not right:
        return x
    if mode == "constant":
        return F.pad(x, (left, right))
    zeros = max(0, max(left, right) + 1 - x.shape[2])
    if not zeros:
        return _Mirrored.apply(x.transpose(1, 2), left, right).transpose(1, 2)
    padded = F.pad(F.pad(x, (0, zeros)), (left, right), mode="reflect")
    return padded[..., :padded.shape[2] - zeros]


class _Mirrored(torch.autograd.Function):
    """[B, T, C] continued by its mirror image. In bfloat16 some times as fast as `F.pad`, either way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, left: int, right: int) -> Tensor:
        ctx.ends = left, right
        length = x.shape[1]
        y = x.new_empty(len(x), left + length + right, x.shape[2])
        y[:, left:left + length] = x
        y[:, :left] = x[:, 1:left + 1].flip(1)
        y[:, left + length:] = x[:, length - 1 - right:length - 1].flip(1)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        left, right = ctx.ends
        length = g.shape[1] - left - right
        x = g[:, left:left + length].clone()
        x[:, 1:left + 1] += g[:, :left].flip(1)
        x[:, length - 1 - right:length - 1] += g[:, left + length:].flip(1)
        return x, None, None


def correlate(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """[B, C, T] by [C', C, kernel] -> [B, C', T']. Both lie in memory with channels last, where few are faster."""
    x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return F.conv2d(x, weight, bias, dilation=(1, dilation)).squeeze(2)


def in_blocks(x: Tensor, size: int) -> Tensor:
    """[B, C, T] -> [B, size * C, T / size], channels of a block's first sample first. With channels last, a view."""
    return x.transpose(1, 2).reshape(len(x), -1, size * x.shape[1]).transpose(1, 2)


def out_of_blocks(x: Tensor, size: int) -> Tensor:
    """The reverse of `in_blocks`."""
    return x.transpose(1, 2).reshape(len(x), x.shape[2] * size, -1).transpose(1, 2)


class TimeGroupNorm(nn.GroupNorm):
    """One mean and variance for all channels and times: [B, C, T] -> [B, C, T]. Keeps channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2)
        flat = rows.flatten(1)
        normal = F.layer_norm(flat, flat.shape[1:], eps=self.eps).reshape(rows.shape)
        weight, bias = (value.to(normal.dtype) for value in (self.weight, self.bias))
        return torch.addcmul(bias, normal, weight).transpose(1, 2)


class Conv(nn.Module):
    """Convolution with EnCodec's padding, and a group norm if the model has one: [B, C, T] -> [B, C', ceil(T / s)].

    With a stride, it is computed as one over blocks of as many samples, which have more channels and need no stride.
    """

    def __init__(self, config: CodecConfig, c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1):
        super().__init__()
        weight_norm = config.norm_type == "weight_norm"
        self.conv = Kernel((c_out, c_in, kernel), c_out, weight_norm)
        self.norm = None if weight_norm else TimeGroupNorm(1, c_out)
        self.stride, self.dilation, self.pad_mode = stride, dilation, config.pad_mode
        self.span = (kernel - 1) * dilation + 1
        self.pad_left = self.span - stride - (0 if config.use_causal_conv else (self.span - stride) // 2)

    def forward(self, x: Tensor) -> Tensor:
        n_out = -(-x.shape[2] // self.stride)
        right = (n_out - 1) * self.stride + self.span - self.pad_left - x.shape[2]  # completes the last window
        x = pad(x, self.pad_left, right, self.pad_mode)
        weight = self.conv.folded()
        if self.stride > 1:
            x, weight = in_blocks(x, self.stride), in_blocks(weight, self.stride)  # kernels are multiples of strides
        y = correlate(x, weight, self.conv.bias, self.dilation)
        return y if self.norm is None else self.norm(y)


class ConvTranspose(nn.Module):
    """Transposed convolution with EnCodec's trimming: [B, C, T] -> [B, C', T * stride].

    Computed as a convolution that makes blocks of `stride` samples, each from as many inputs as kernels overlap.
    """

    def __init__(self, config: CodecConfig, c_in: int, c_out: int, kernel: int, stride: int):
        super().__init__()
        weight_norm = config.norm_type == "weight_norm"
        self.conv = Kernel((c_in, c_out, kernel), c_out, weight_norm)
        self.norm = None if weight_norm else TimeGroupNorm(1, c_out)
        self.stride, trim = stride, kernel - stride
        right = math.ceil(trim * config.trim_right_ratio) if config.use_causal_conv else trim // 2
        self.trim_left = trim - right

    def forward(self, x: Tensor) -> Tensor:
        weight, stride, n_out = self.conv.folded(), self.stride, x.shape[2] * self.stride
        later = self.trim_left > 0 or self.norm is not None  # whether anything behind the last whole block is needed
        blocks = weight.reshape(*weight.shape[:2], -1, stride).flip(2).permute(3, 1, 0, 2).flatten(0, 1)
        x = F.pad(x, (blocks.shape[2] - 1, blocks.shape[2] - 1 if later else 0))
        y = out_of_blocks(correlate(x, blocks, self.conv.bias.repeat(stride)), stride)
        y = y if self.norm is None else self.norm(y)
        return y[..., self.trim_left:self.trim_left + n_out] if later else y


class Residual(nn.Module):
    """y = shortcut(x) + conv(ELU(conv(ELU(x)))). The two convolutions are numbers 1 and 3, as ELUs count."""

    def __init__(self, config: CodecConfig, channels: int, dilation: int):
        super().__init__()
        inner = channels // config.compress
        self.block = nn.ModuleDict({"1": Conv(config, channels, inner, config.residual_kernel_size, dilation=dilation),
                                    "3": Conv(config, inner, channels, 1)})
        self.shortcut = Conv(config, channels, channels, 1) if config.use_conv_shortcut else None

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        return self.block["3"](elu(self.block["1"](elu(x))))

    def forward(self, x: Tensor) -> Tensor:
        return (x if self.shortcut is None else self.shortcut(x)) + self.branch(x)


class SkipLSTM(nn.Module):
    """y = x + lstm(x) over time, [B, C, T] -> [B, C, T]. Biases start at zero.

    Under autocast in bfloat16 like the rest: with tiny_24khz the latent's error is 46 dB below it, and 47 dB with the
    LSTM in float32.
    """

    def __init__(self, channels: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers)
        with torch.no_grad():
            for name, value in self.lstm.named_parameters():
                if name.startswith("bias"):
                    value.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)  # [T, B, C] inside
