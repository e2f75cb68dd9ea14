"""A stack fed any amount at a time, in tiles that stay in cache, by one thread or several.

However long the signal, memory is that of a few tiles. The result is the same whatever the tiles,
the pieces fed, and the number of threads.

Chapter 8 of the tutorials uses it.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from tinyencodec.layers.stack import Stack
from tinyencodec.system.threads import run_stages

_TILE = 1 << 21  # bytes of the widest signal in one tile
_MORE = 4  # tiles that one thread gives at once to layers at the frame rate: they have most of the weights to read
_ROWS = 8  # frames; a multiple of this fills the register tile even where a frame is one row


class Piece(NamedTuple):
    """What goes from stage to stage: an array [t, C], and whether the signal ends with it."""

    x: np.ndarray
    last: bool


class TileRunner:
    """Runs one signal through a stack, tile by tile.

    Parameters
    ----------
    stack : the layers
    inputs_per_frame : of the stack (encoder: the hop; decoder: 1)
    frame_bytes : size of the widest signal between two layers, per frame
    threads : at most so many work at once
    finish, cost : applied to each tile's result; its time per input, in the measure of `Layer.cost`
    """

    def __init__(self, stack: Stack, inputs_per_frame: int, frame_bytes: int, threads: int = 1,
                 finish: Callable[[np.ndarray], np.ndarray] = lambda x: x, cost: float = 0) -> None:
        self.tile = max(1, _TILE // frame_bytes // _ROWS) * _ROWS * inputs_per_frame
        if threads == 1:
            parts = [_stage(part, round(self.tile * rate) if fast else None)
                     for rate, fast, part in stack.frame_rate_apart(inputs_per_frame)]
            stages = [lambda piece: reduce(lambda given, part: part(given), parts, piece)]
            self.tile *= _MORE
        else:
            stages = [_stage(part) for part in stack.split(threads, after=cost)]
        last_stage = stages[-1]
        self.stages: list[Callable] = [*stages[:-1], lambda piece: finish(last_stage(piece).x)]

    def run(self, x: np.ndarray, last: bool = False) -> Iterator[np.ndarray]:
        """Feed x [T, C] (T may be 0), the signal's end if `last`; yield the results of its tiles."""
        starts = range(0, max(1, len(x)), self.tile)
        pieces = (Piece(x[start:start + self.tile], last and start == starts[-1]) for start in starts)
        if len(starts) > 1:
            yield from run_stages(pieces, self.stages)
        else:  # not worth a thread
            yield self._one_by_one(next(pieces))

    def _one_by_one(self, piece: Any) -> np.ndarray:
        for stage in self.stages:
            piece = stage(piece)
        return piece


def _stage(stack: Stack, most: int | None = None) -> Callable[[Piece], Piece]:
    """Steps through the stack. `most` : inputs at a time"""
    state = stack.start()

    def stage(piece: Piece) -> Piece:
        starts = range(0, max(1, len(piece.x)), most or max(1, len(piece.x)))
        made = [stack.step(piece.x[start:][:most], state, piece.last and start == starts[-1]) for start in starts]
        return Piece(np.concatenate(made) if len(made) > 1 else made[0], piece.last)

    return stage
