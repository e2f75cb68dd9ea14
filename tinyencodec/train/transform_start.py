"""A `transform.plan` as the weights of a new codec; `transform` tells why, and what the pairs are.

Chapter 14 of the tutorials uses it.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinyencodec.train.layers import Conv, ConvTranspose, Residual, SkipLSTM
from tinyencodec.train.mixing import HEARD
from tinyencodec.train.network import Chain, Codec
from tinyencodec.train.transform import LEVEL, Plan, plan

_BRANCH = 0.5**0.5 * LEVEL  # deviation of a residual unit's branch where there is no pair
_FAINT = 0.02 * LEVEL  # where there is one
_GATE = -2.0  # bias of the last LSTM layer's output gates, which nearly shuts them


@torch.no_grad()
def transform_start(codec: Codec, wav: Tensor) -> None:
    """Set the weights of a new codec so that it is a transform codec, levelled by clips [B, C, T].

    Raises `ValueError` if all clips are silent.
    """
    wav = wav[wav.square().mean(dim=(1, 2)).sqrt() > HEARD]
    if not len(wav):
        raise ValueError("transform start: expected clips with sound in them, got silent ones only")
    scale = codec.scale(wav)
    wav = wav if scale is None else wav / scale
    steps = plan(codec.config, wav)
    _start_decoder(codec.decoder, steps, _start_encoder(codec.encoder, steps, wav), wav)


def _start_encoder(chain: Chain, steps: Plan, x: Tensor) -> Tensor:
    convs = [layer for layer in chain.layers if isinstance(layer, Conv)]
    first, *strided, last = convs
    stages = dict(zip(strided, steps.stages))
    known = 0  # channels that hold pairs
    for layer in chain.layers:
        if layer is first:
            known = _write(first, _as_pairs(steps.enter[:, None]), first.pad_left)
        elif layer is last:
            known = _write(last, _of_pairs(torch.diag(steps.latent)[:, None]), last.pad_left)
        elif layer in stages:
            stage = stages[layer]
            known = _write(layer, _as_pairs(_of_pairs(stage.encode)), layer.pad_left if stage.whole else 0)
        x = _through(layer, x, known)
    return x


def _start_decoder(chain: Chain, steps: Plan, x: Tensor, wav: Tensor) -> None:
    first, last = (cast(Conv, chain.layers[i]) for i in (0, -1))
    stages = list(steps.stages)
    known = 0
    for layer in chain.layers:
        if layer is first:
            known = _write(first, _as_pairs(torch.diag(1 / steps.latent)[:, None]), first.pad_left)
        elif layer is last:
            known = _write(last, _of_pairs(steps.leave[:, None]), last.pad_left)
        elif isinstance(layer, ConvTranspose):
            stage = stages.pop()
            known = _write(layer, _as_pairs(_of_pairs(stage.decode)), layer.trim_left if stage.whole else 0)
        x = _through(layer, x, known)
    y = x[..., :wav.shape[2]]
    gain = float((y * wav).sum() / y.square().sum())  # every ELU bends a little
    if last.norm is None:
        last.conv.scale(gain)
    else:
        last.norm.weight.mul_(gain)


def _as_pairs(rows: Tensor) -> Tensor:
    """[m, taps, n] that compute m numbers -> [2 m, taps, n] that compute each, and its negative."""
    return torch.cat([rows, -rows])


def _of_pairs(rows: Tensor) -> Tensor:
    """[m, taps, n] that read n numbers -> [m, taps, 2 n] that read them from pairs behind an ELU."""
    return torch.cat([0.5 * rows, -0.5 * rows], dim=2)


def _write(layer: Conv | ConvTranspose, rows: Tensor, first_tap: int) -> int:
    """Make [m, taps, n] the weights of the layer's first outputs, which see nothing else; returns m."""
    weight = layer.conv.folded().clone()
    outputs = weight if isinstance(layer, Conv) else weight.transpose(0, 1)  # [out, in, kernel], a view
    n_out, taps, n_in = rows.shape
    outputs[:n_out] = 0
    outputs[:n_out, :n_in, first_tap:first_tap + taps] = rows.transpose(1, 2).to(weight)
    layer.conv.put(weight)
    return n_out


def _through(layer: nn.Module, x: Tensor, known: int) -> Tensor:
    """Settle what a layer does with the channels beyond the first `known`; returns its output for x."""
    if isinstance(layer, (Conv, ConvTranspose)):
        _level(layer, x, known, LEVEL)
    elif isinstance(layer, Residual):
        _start_residual(layer, x, known)
    elif isinstance(layer, SkipLSTM):
        lstm = layer.lstm
        getattr(lstm, f"bias_ih_l{lstm.num_layers - 1}")[-lstm.hidden_size:] = _GATE
    return cast(Tensor, layer(x))


def _level(layer: Conv | ConvTranspose, x: Tensor, known: int, target: float) -> None:
    """Scale the outputs from `known` on to a deviation of `target`, and let a norm keep the level it meets."""
    norm, layer.norm = layer.norm, None
    y = layer(x)
    if known < y.shape[1]:
        factors = target / y.std(dim=(0, 2)).clamp(min=1e-6)
        factors[:known] = 1.0
        weight = layer.conv.folded()
        layer.conv.put(weight * (factors[:, None, None] if isinstance(layer, Conv) else factors[None, :, None]))
        y = layer(x)
    layer.norm = norm
    if norm is not None:
        norm.weight.fill_(float(y.std()))
        weight = layer.conv.weight
        weight.div_(torch.linalg.vector_norm(weight) / y.shape[1]**0.5)  # the norm undoes it; see `Kernel.put`


def _start_residual(unit: Residual, x: Tensor, known: int) -> None:
    first, second, shortcut = (cast(Conv, layer) for layer in (unit.block["1"], unit.block["3"], unit.shortcut))
    n = x.shape[1]
    if shortcut is not None:
        weight = torch.eye(n).to(x)[:, :, None]
        if n > known:
            weight[known:, known:, 0] = 0.5**0.5 * torch.linalg.qr(torch.randn(n - known, n - known))[0].to(x)
        shortcut.conv.put(weight)
        _level(shortcut, x, n, LEVEL)
    _level(first, F.elu(x), 0, LEVEL)
    targets = torch.full((n,), _BRANCH).to(x)
    targets[:known] = _FAINT
    _level(second, F.elu(first(F.elu(x))), 0, 1.0)
    if second.norm is None:
        second.conv.scale(targets)
    else:
        second.norm.weight.copy_(targets)
