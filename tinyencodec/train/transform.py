"""The start as a transform codec: before its first step a new codec already passes the sound through.

From random weights a codec first has to find out, at length, that its latent can hold a waveform; ours then never
used more than a fifth of its dimensions. So it begins as what audio codecs were before: each frame of the latent is
the lowest coefficients of a cosine transform, of the frame's own samples if the model is causal, else of a window of
two frames (MDCT; Princen & Bradley 1986). Stereo starts as mid and side, three coefficients of mid to one of side.

    plan              the transform, cut into one matrix per strided convolution: blocks of 2, 8, 40 ... samples
    transform_start   those matrices as weights, in the module of that name

An ELU is no straight line, but ELU(v) - ELU(-v) is 2 v for small v. So each number v travels through the network as a
pair of channels, v and -v, which the next layer subtracts, and all channels are small (`LEVEL`). Channels that are
left over get random weights. So do the branches of residual units and the LSTMs, but they start nearly mute where
there is a pair: what is not linear about the codec grows from there.

Between them the rows of the latent have a power that is the square root of the coefficients': the quantiser, to which
all errors are the same, then makes its noise follow the spectrum halfway, as speech codecs do.

Chapter 14 of the tutorials uses it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tinyencodec.codec.config import CodecConfig

LEVEL = 0.12  # standard deviation of the channels
_SHAPE = 0.5  # how far the noise follows the spectrum: the latent's deviation is the coefficients' to 1 minus this
_LEAST = 1e-5  # deviation of a coefficient that the clips leave empty


@dataclass
class Stage:
    """What a strided convolution does to the numbers that go through, n of them before and m after.

    encode : [m, taps, n], numbers of `taps` time steps to numbers of one
    decode : [n, taps, m], the way back, of the transposed convolution: numbers of one step to those of `taps`
    whole : whether the taps are those of a stride's own time steps; else they are all of the kernel
    """

    encode: Tensor
    decode: Tensor
    whole: bool


@dataclass
class Plan:
    """A transform in steps.

    enter : [C', C], the signal's channels to the first numbers; leave : [C, C'], the way back
    stages : from the signal to the coefficients
    latent : [m], what a coefficient is multiplied by in the latent
    """

    enter: Tensor
    leave: Tensor
    stages: list[Stage]
    latent: Tensor


def cosines(size: int) -> Tensor:
    """The discrete cosine transform (type 2) as an orthogonal matrix [size, size], float64, low frequencies first."""
    k, t = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (t + 0.5) * k) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def lapped_cosines(size: int) -> Tensor:
    """The MDCT with a sine window, [size, 2 size], float64: its transpose undoes it where windows overlap."""
    k, t = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(2 * size, dtype=torch.float64)
    window = torch.sin(math.pi / (2 * size) * (t + 0.5))
    return torch.cos(math.pi / size * (t + 0.5 + size / 2) * (k + 0.5)) * window * math.sqrt(2 / size)


def plan(config: CodecConfig, wav: Tensor) -> Plan:
    """The transform for a model, levelled by clips [B, C, T] (normalised already, if the model does that).

    Blocks of samples grow by one stride per stage, as they are, while pairs of channels hold them; where they do not
    any more, and in the last stage, they are turned into as many of their lowest coefficients as there is room for.
    """
    strides, n_audio = config.upsampling_ratios[::-1], config.audio_channels
    mix = torch.eye(n_audio, dtype=torch.float64)
    if n_audio == 2:
        mix = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) * math.sqrt(0.5)
    mixed = torch.einsum("mc,bct->bmt", mix, wav.double().cpu())
    level = LEVEL / float(mixed.std())
    forth, back = torch.eye(n_audio, dtype=torch.float64) * level, torch.eye(n_audio, dtype=torch.float64) / level
    stages, block, channels, deviation = [], 1, config.num_filters, torch.ones(1)
    for number, stride in enumerate(strides, 1):
        block, channels, last = block * stride, 2 * channels, number == len(strides)
        lapped = last and not config.use_causal_conv
        taps = 2 * stride if lapped else stride
        split, joined = torch.block_diag(*[forth] * taps), torch.block_diag(*[back] * taps)
        if last or 2 * len(forth) * stride > channels:
            room = min(channels // 2, config.hidden_size) if last else channels // 2
            rows = _of_channels(lapped_cosines(block) if lapped else cosines(block), _shares(room, block, n_audio))
            windows = mixed.unfold(2, rows.shape[1] // n_audio, block).permute(0, 2, 3, 1).flatten(2)
            deviation = (windows @ rows.t()).square().mean(dim=(0, 1)).sqrt().clamp(min=_LEAST)
            forth, back = rows * (LEVEL / deviation)[:, None], rows.t() * (deviation / LEVEL)
        else:
            forth, back = split, joined
        stages.append(Stage((forth @ joined).unflatten(1, (taps, -1)),
                            (split @ back).unflatten(0, (taps, -1)).transpose(0, 1), not lapped))
    latent = deviation ** (1 - _SHAPE)
    return Plan(level * mix, mix.t() / level, stages, latent / latent.square().mean().sqrt() / LEVEL)


def _shares(room: int, size: int, n_audio: int) -> list[int]:
    """How many of `size` coefficients each channel gets."""
    if n_audio == 1:
        return [min(room, size)]
    mid = min(size, room * 3 // 4)
    return [mid, min(size, room - mid)]


def _of_channels(transform: Tensor, counts: list[int]) -> Tensor:
    """The first rows of [size, time] for each channel, its count of them: [sum of counts, time * channels]."""
    rows = torch.zeros(sum(counts), transform.shape[1], len(counts), dtype=torch.float64)
    for channel, part in enumerate(rows.split(counts)):
        part[:, :, channel] = transform[:len(part)]
    return rows.flatten(1)
