"""Layers in a row: as a whole, piece by piece, and shared out among threads.

A layer is an object with

    layer(x)                  the batch form, [T, C_in] -> [T', C_out]
    layer.start()             the state before the first sample
    layer.step(x, state)      the next piece, [t, C_in] -> [t', C_out]; all pieces together equal the batch form
    layer.flush(state)        the rest, when the signal has ended (or `step` with `last=True`)
    layer.needs(n)            how many inputs `step` must have seen to have given n outputs
    layer.streams             whether it has `step` (a group norm needs the whole signal at once)
    layer.rate, .macs, .cost  outputs, multiply-adds and time (in multiply-adds of a product) per input

Chapter 8 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyencodec.kernels.scratch import Scratch
from tinyencodec.layers.activation import elu
from tinyencodec.layers.threads import split_evenly


class ELU:
    """The nonlinearity as a layer: [T, C] -> [T, C]."""

    rate, macs, cost, streams = 1, 0, 0, True

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return elu(x)

    def needs(self, n: int) -> int:
        return n

    def start(self) -> None:
        """It remembers nothing."""


class Stack:
    """Layers one after the other. `layers` holds them in order, ELUs included."""

    def __init__(self, layers: list):
        self.layers = layers

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The batch form: float32 [T, C_in] -> [T', C_out]."""
        return self._walk(x, Scratch(), lambda i, x, **options: self.layers[i](x, **options))

    def start(self) -> "StackState":
        """The state before the first sample."""
        return StackState([layer.start() for layer in self.layers], Scratch())

    def step(self, x: np.ndarray, state: "StackState", last: bool = False) -> np.ndarray:
        """Go on from `state`, which is updated: [t, C_in] -> [t', C_out]; see `Conv1d.step`."""
        return self._walk(x, state.scratch,
                          lambda i, x, **options: self.layers[i].step(x, state.layers[i], last, **options))

    def flush(self, state: "StackState") -> np.ndarray:
        """End the signal: what is left of the output, [t', C_out]."""
        in_channels = next(layer.in_channels for layer in self.layers if not isinstance(layer, ELU))
        return self.step(np.zeros((0, in_channels), np.float32), state, last=True)

    def _walk(self, x: np.ndarray, scratch: Scratch, apply: Callable[..., np.ndarray]) -> np.ndarray:
        """Apply layer after layer, leaving each ELU to the convolution after it, which copies its input anyway."""
        given, activate = x, False
        for i, layer in enumerate(self.layers):
            if isinstance(layer, ELU):
                activate = True
                continue
            y = apply(i, x, scratch=scratch, **({"activate": True} if activate else {}))
            if x is not given:
                scratch.give(x)
            x, activate = y, False
        return elu(x) if activate else x

    def needs(self, n: int) -> int:
        """How many inputs `step` must have seen to have given n >= 1 outputs."""
        for layer in reversed(self.layers):
            n = layer.needs(n)
        return n

    @property
    def streams(self) -> bool:
        """Whether every layer can take its signal in pieces."""
        return all(layer.streams for layer in self.layers)

    @property
    def macs(self) -> float:
        """Multiply-adds per input."""
        return sum(rate * layer.macs for rate, layer in self._rates())

    def split(self, n_groups: int, after: float = 0) -> list["Stack"]:
        """The same layers as at most `n_groups` stacks in a row that take about equally long.

        after : cost, per input of this stack, of what the thread of the last one does besides.
        """
        runs: list[list] = []  # an ELU stays with the layer that it prepares
        costs: list[float] = []
        for rate, layer in self._rates():
            if runs and isinstance(runs[-1][-1], ELU):
                runs[-1].append(layer)
                costs[-1] += rate * layer.cost
            else:
                runs.append([layer])
                costs.append(rate * layer.cost)
        costs[-1] += after
        return [Stack([layer for run in runs[group] for layer in run]) for group in split_evenly(costs, n_groups)]

    def _rates(self) -> Iterator[tuple[float, Any]]:
        """Pairs of a layer's inputs per input of the stack, and the layer."""
        rate = 1.0
        for layer in self.layers:
            yield rate, layer
            rate *= layer.rate


@dataclass
class StackState:
    """The states of a stack's layers, and the memory they share."""

    layers: list
    scratch: Scratch
