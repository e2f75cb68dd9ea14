"""SEANet: the encoder from waveform to latent, and the decoder back.

Encoder: a convolution, then per stride s a residual block, ELU and a convolution of stride s and
kernel 2s that doubles the channels; then the LSTM, ELU, and a last convolution to D channels. The
decoder is its mirror image with transposed convolutions. (Paper, section 3.1; strides in encoder
order 2, 4, 5, 8, for one latent frame per 320 samples.)

Both are plain lists of layers, numbered as in the official modules, so that a layer's name is also
its tensors' prefix. There is no tanh at the end, unlike some drawings: the released code and
weights have none.

Chapter 8 of the tutorials walks through it.
"""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d
from tinyencodec.layers.lstm import LSTM
from tinyencodec.layers.norm import fold_weight_norm
from tinyencodec.layers.residual import ResidualBlock
from tinyencodec.layers.stack import ELU, Stack

Tensors = MutableMapping[str, np.ndarray]


def encoder(config: CodecConfig, tensors: Tensors) -> Stack:
    """Waveform [T, C] to latent [ceil(T / hop), D]."""
    make = _Builder(config, tensors, "encoder")
    make.conv()
    for ratio in reversed(config.upsampling_ratios):
        for j in range(config.num_residual_layers):
            make.residual(dilation=config.dilation_growth_rate ** j)
        make.elu()
        make.conv(stride=ratio)
    if config.num_lstm_layers:
        make.lstm()
    make.elu()
    make.conv()
    return Stack(make.layers)


def decoder(config: CodecConfig, tensors: Tensors) -> Stack:
    """Latent [F, D] to waveform [F * hop, C]."""
    make = _Builder(config, tensors, "decoder")
    make.conv()
    if config.num_lstm_layers:
        make.lstm()
    for ratio in config.upsampling_ratios:
        make.elu()
        make.conv_transpose(ratio)
        for j in range(config.num_residual_layers):
            make.residual(dilation=config.dilation_growth_rate ** j)
    make.elu()
    make.conv()
    return Stack(make.layers)


class _Builder:
    """Appends layers, each with the tensors found under its number, which are taken out of the mapping."""

    def __init__(self, config: CodecConfig, tensors: Tensors, side: str) -> None:
        self.config, self.tensors, self.side = config, tensors, side
        self.layers: list = []

    def elu(self) -> None:
        self.layers.append(ELU())

    def conv(self, stride: int = 1) -> None:
        self.layers.append(self._conv(self._prefix(), stride=stride))

    def conv_transpose(self, ratio: int) -> None:
        prefix, config = self._prefix(), self.config
        self.layers.append(ConvTranspose1d(*self._weights(prefix), stride=ratio, causal=config.use_causal_conv,
                                           trim_right_ratio=config.trim_right_ratio, norm=self._norm(prefix)))

    def residual(self, dilation: int) -> None:
        prefix = self._prefix()
        shortcut = self._conv(prefix + "shortcut.") if self.config.use_conv_shortcut else None
        self.layers.append(ResidualBlock(self._conv(prefix + "block.1.", dilation=dilation),
                                         self._conv(prefix + "block.3."), shortcut))

    def lstm(self) -> None:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        prefix = self._prefix() + "lstm."
        w_ih, w_hh, b_ih, b_hh = ([self.tensors.pop(f"{prefix}{name}_l{i}") for i in range(self.config.num_lstm_layers)]
                                  for name in names)
        self.layers.append(LSTM(list(zip(w_ih, w_hh, b_ih, b_hh))))

    def _prefix(self) -> str:
        return f"{self.side}.layers.{len(self.layers)}."

    def _conv(self, prefix: str, **shape: Any) -> Conv1d:
        return Conv1d(*self._weights(prefix), causal=self.config.use_causal_conv, pad_mode=self.config.pad_mode,
                      norm=self._norm(prefix), **shape)

    def _weights(self, prefix: str) -> tuple[np.ndarray, np.ndarray]:
        prefix, tensors = prefix + "conv.", self.tensors
        if self.config.norm_type == "weight_norm":
            weight = fold_weight_norm(tensors.pop(prefix + "weight_g"), tensors.pop(prefix + "weight_v"))
        else:
            weight = tensors.pop(prefix + "weight")
        return weight, tensors.pop(prefix + "bias")

    def _norm(self, prefix: str) -> tuple[np.ndarray, np.ndarray] | None:
        if self.config.norm_type == "weight_norm":
            return None
        return self.tensors.pop(prefix + "norm.weight"), self.tensors.pop(prefix + "norm.bias")
