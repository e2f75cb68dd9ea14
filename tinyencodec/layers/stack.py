"""Layers one after the other, as one layer.

Chapter 8 of the tutorials walks through it.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from tinyencodec.layers.activation import elu
from tinyencodec.layers.layer import Layer
from tinyencodec.system.threads import split_evenly


class ELU(Layer):
    """The nonlinearity as a layer: [T, C] -> [T, C]. It has no state."""

    def step(self, x: np.ndarray, state: None, last: bool = False) -> np.ndarray:
        return elu(x)


class Stack(Layer):
    """Layers one after the other. `layers` holds them in order, ELUs included; its state is the list of theirs."""

    def __init__(self, layers: list):
        self.layers = layers
        self.in_channels = next(layer.in_channels for layer in layers if not isinstance(layer, ELU))
        self.streams = all(layer.streams for layer in layers)
        self.macs = sum(rate * layer.macs for rate, layer in self._rates())

    def start(self) -> list:
        return [layer.start() for layer in self.layers]

    def step(self, x: np.ndarray, state: list, last: bool = False) -> np.ndarray:
        steps = zip(self.layers, state, [*self.layers[1:], None])
        for layer, layer_state, after in steps:
            if layer.activates and isinstance(after, ELU):
                x = layer.step(x, layer_state, last, activate=True)
                next(steps)  # the ELU, which this has done
            else:
                x = layer.step(x, layer_state, last)
        return x

    def needs(self, n: int) -> int:
        for layer in reversed(self.layers):
            n = layer.needs(n)
        return n

    def split(self, n_groups: int, after: float = 0) -> list["Stack"]:
        """The same layers as at most `n_groups` stacks in a row that take about equally long.

        after : cost, per input of this stack, of the other work that the last one's thread does.
        """
        runs: list[list] = []  # an ELU stays with the layer before
        costs: list[float] = []
        for rate, layer in self._rates():
            if runs and isinstance(layer, ELU):
                runs[-1].append(layer)
                costs[-1] += rate * layer.cost
            else:
                runs.append([layer])
                costs.append(rate * layer.cost)
        costs[-1] += after
        return [Stack([layer for run in runs[group] for layer in run]) for group in split_evenly(costs, n_groups)]

    def frame_rate_apart(self, inputs_per_frame: int) -> list[tuple[float, bool, "Stack"]]:
        """The same layers as stacks in a row, each with its inputs per input of this one, and whether it is fast.

        The layers of a stack that is not fast all take or make one row per frame.
        """
        groups = groupby(self._rates(), lambda pair: round(pair[0] * min(1, pair[1].rate) * inputs_per_frame) > 1)
        runs = [(fast, list(group)) for fast, group in groups]
        return [(run[0][0], fast, Stack([layer for _, layer in run])) for fast, run in runs]

    def _rates(self) -> Iterator[tuple[float, Layer]]:
        """Pairs of a layer's inputs per input of the stack, and the layer."""
        rate = 1.0
        for layer in self.layers:
            yield rate, layer
            rate *= layer.rate
