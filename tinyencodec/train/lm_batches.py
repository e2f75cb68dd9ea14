"""What a language model is shown: crops of the training codes, and the held-out sounds cut as the coder cuts them.

The coder starts anew at each block of at most a few seconds, in the middle of a sound as well as at its start. So a
crop is a block: it begins with "no code yet" wherever it was cut, and lengths are drawn anew for every batch, each
factor of length as likely, up to the longest block. Training sounds lie end to end in one long array, and a crop may
run over the end of one: a model then sees cuts, which are rare in music and films but no harm.

What a batch holds depends only on the seed and the number of the step, so that training resumes exactly.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """How batches are drawn.

    frames : in a batch, all crops together, about
    shortest, longest : crops, in frames
    codebooks : the numbers K of codebooks in use at the codec's bandwidths; one is drawn for each batch, each as
        often as its size says: a model for 8 codebooks spends most of its work on 8
    noise : share of the codes seen (not of those predicted) that are replaced by random ones
    """

    frames: int = 3072
    shortest: int = 38
    longest: int = 600
    codebooks: tuple[int, ...] = (8,)
    noise: float = 0.0


def shifted(codes: Tensor) -> Tensor:
    """What the model sees when it predicts codes [B, K, F]: 1 + the codes of the frame before, at first 0."""
    return torch.cat([torch.zeros_like(codes[..., :1]), codes[..., :-1] + 1], dim=-1)


def draw_batch(stream: np.ndarray, codebook_size: int, shape: Shape, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """The batch of a step, from all training codes [F, K].

    Returns what the model sees and what it has to predict, int64 [B, K, length] both.
    """
    rng = np.random.default_rng([seed, step])
    share = np.array(shape.codebooks) / sum(shape.codebooks)
    n_codebooks = int(rng.choice(shape.codebooks, p=share))
    longest = min(shape.longest, len(stream))
    shortest = min(shape.shortest, longest)
    length = round(shortest * (longest / shortest) ** rng.uniform())
    starts = rng.integers(len(stream) - length + 1, size=max(1, shape.frames // length))
    crops = stream[starts[:, None] + np.arange(length), :n_codebooks].transpose(0, 2, 1)  # [B, K, F]
    target = torch.from_numpy(crops.astype(np.int64))
    seen = shifted(target)
    if shape.noise:
        replace = torch.from_numpy(rng.random(seen.shape) < shape.noise) & (seen > 0)
        seen = torch.where(replace, torch.from_numpy(rng.integers(1, codebook_size + 1, seen.shape)), seen)
    return seen, target


def blocks(sounds: Iterable[np.ndarray], length: int, n_codebooks: int) -> list[np.ndarray]:
    """Cut sounds [F, K] as the coder does: blocks [length or less, n_codebooks], each within one sound."""
    return [codes[at:at + length, :n_codebooks] for codes in sounds for at in range(0, len(codes), length)]


def block_batches(pieces: list[np.ndarray], frames: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch blocks [F, K] of about one length, about `frames` frames each time, short ones padded.

    Yields what the model sees and what it has to predict, int64 [B, K, F]; the target of padding is -1.
    """
    pieces = sorted(pieces, key=len)
    while pieces:
        longest = len(pieces[-1])
        take = max(1, frames // longest)
        pieces, batch = pieces[:-take], pieces[-take:]
        target = torch.full((len(batch), batch[0].shape[1], longest), -1)
        for row, piece in zip(target, batch):
            row[:, :len(piece)] = torch.from_numpy(piece.T.astype(np.int64))
        yield shifted(target), target
