"""What every layer of a network can do: run on a whole signal, or step through it piece by piece.

Signals are time-major, float32 [T, C]. There is only one way to compute: a whole signal is one step, which is also the
last. So all pieces together equal the whole, bit by bit.

Chapter 5 of the tutorials walks through the idea.
"""

from typing import Any

import numpy as np


class Layer:
    """A layer. It never changes; where it stands in a signal is kept in a state that `start` makes.

    Attributes
    ----------
    in_channels : C_in
    rate : outputs per input
    macs, cost : multiply-adds per input, and the time they take, counted in multiply-adds of a matrix product
    activates : whether `step` can apply ELU to its result, which then need not be read anew
    streams : whether it can step; a group norm needs the whole signal at once
    """

    in_channels: int
    rate: float = 1
    macs: float = 0
    cost: float = 0
    activates: bool = False
    streams: bool = True

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The whole signal at once: [T, C_in] -> [T', C_out]."""
        return self.step(x, self.start(), last=True)

    def start(self) -> Any:
        """The state before the first sample."""

    def step(self, x: np.ndarray, state: Any, last: bool = False) -> np.ndarray:
        """The next piece, [t, C_in] -> [t', C_out], for any t, also 0; updates `state`.

        Outputs come as soon as they are certain. `last`: the signal ends with x, and the rest comes out.
        """
        raise NotImplementedError

    def flush(self, state: Any) -> np.ndarray:
        """End the signal: the rest of the output, [t', C_out]."""
        return self.step(np.zeros((0, self.in_channels), np.float32), state, last=True)

    def needs(self, n: int) -> int:
        """How many inputs `step` must have seen before it has returned n >= 1 outputs."""
        return n
