"""The start: weights that let the signal through, in the encoder as strong as it came, in the decoder too.

PyTorch's default shrinks the part of the output that depends on the input a million times, and training that begins
there stays with silence. So the first batch is sent through layer by layer, and each convolution's weight is scaled
until its output has a standard deviation of 1: per channel where weight norm has a number for it, in all for a
transposed convolution, whose weight norm counts *input* channels (after Salimans & Kingma 2016, section 3). Where two
branches are added, each gets half of the power. The last layer starts at a tenth of the audio: what it says is still
wrong, and loud errors would only have to be unlearnt. Biases stay zero.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from tinyencodec.train.layers import Conv, ConvTranspose, Residual
from tinyencodec.train.network import Chain, Codec

_LOUDNESS = 0.1  # of a new codec's output, relative to the audio


@torch.no_grad()
def initialise(codec: Codec, wav: Tensor) -> None:
    """Scale the weights of a new codec by a batch [B, C, T]. Nothing is needed, nor done, where group norms scale."""
    if codec.config.norm_type != "weight_norm":
        return
    latent = _fit_chain(codec.encoder, wav)
    output = _fit_chain(codec.decoder, latent)
    cast(Conv, codec.decoder.layers[-1]).conv.scale(float(_LOUDNESS * wav.std() / output.std()))


def _fit_chain(chain: Chain, x: Tensor) -> Tensor:
    for layer in chain.layers:
        if isinstance(layer, Residual):
            x = _fit_residual(layer, x)
        elif isinstance(layer, (Conv, ConvTranspose)):
            x = _fit(layer, x)
        else:
            x = layer(x)
    return x


def _fit_residual(block: Residual, x: Tensor) -> Tensor:
    first, second = cast(Conv, block.block["1"]), cast(Conv, block.block["3"])
    _fit(second, F.elu(_fit(first, F.elu(x))), target=0.5**0.5)
    if block.shortcut is not None:
        _fit(block.shortcut, x, target=0.5**0.5)
    return block(x)


def _fit(layer: Conv | ConvTranspose, x: Tensor, target: float = 1.0) -> Tensor:
    """Scale the layer until its output for x has this standard deviation; returns that output."""
    y = layer(x)
    deviation = y.std(dim=(0, 2)) if isinstance(layer, Conv) else y.std()
    layer.conv.scale(target / deviation.clamp(min=1e-4))
    return layer(x)
