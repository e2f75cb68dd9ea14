"""The codec piece by piece: sound in, codes out, and back, with memory that does not grow.

    encoder = model.streaming_encoder(bandwidth=6.0)
    codes = encoder.push(wav[:, :1000])         # int [K, f], as many frames as are certain by now
    codes = encoder.flush()                     # the rest

All pieces together are what `model.encode` gives for the whole, however it was cut. In fact
`model.encode` is one large push: the signal goes through the layers in tiles that fit the
processor's cache, and with several threads as on an assembly line (`pipeline`).

**Latency.** A causal model gives one frame per `hop_length` samples, except at the start: padding by
reflection needs later samples, in each layer. `model.encoder_delay` says how many samples come
before the first codes, and `model.decoder_delay` how many frames before the first sound; after that,
the n-th frame comes out with its last sample, and decodes at once. A model with segments works per
segment.
"""

from typing import NamedTuple

import numpy as np

from tinyencodec.pipeline import run_stages
from tinyencodec.stack import Stack

_TILE = 1 << 21  # bytes of the widest activation in one tile
_ROWS = 8  # a tile is a multiple of so many frames, to fill the register tile in the deepest layers


class Engine:
    """A stack that is fed any amount at a time, in tiles, by up to `threads` threads.

    Parameters
    ----------
    stack : the layers
    frames_per_input : frames that one input stands for (encoder: 1 / hop; decoder: 1)
    after : function of a tile's result, run behind the last layer; `cost`, its time, as `Layer.cost`
    """

    def __init__(self, stack: Stack, frame_bytes: int, inputs_per_frame: int, threads: int, after=None, cost: float = 0):
        frames = max(1, _TILE // frame_bytes // _ROWS) * _ROWS
        self.tile = frames * inputs_per_frame
        stacks = stack.split(threads, after=cost)
        self.stages = [_stage(part, part.start()) for part in stacks]
        if after is not None:
            last = self.stages[-1]
            self.stages[-1] = lambda piece: Piece(after(last(piece).x), piece.last)

    def run(self, x: np.ndarray, last: bool = False):
        """Feed x [T, C]; yield the results, tile by tile."""
        starts = range(0, max(1, len(x)), self.tile)
        pieces = (Piece(x[start:start + self.tile], last and start == starts[-1]) for start in starts)
        if len(starts) == 1:  # not worth a thread
            for piece in pieces:
                for stage in self.stages:
                    piece = stage(piece)
                yield piece.x
        else:
            for piece in run_stages(pieces, self.stages):
                yield piece.x


class Piece(NamedTuple):
    """What goes down the assembly line: an array, and whether the signal ends with it."""

    x: np.ndarray
    last: bool


def _stage(stack: Stack, state):
    return lambda piece: Piece(stack.step(piece.x, state, piece.last), piece.last)
