"""The residual block: what a layer adds to its input.

    y = shortcut(x) + conv(ELU(conv(ELU(x)))),      kernels 3 and 1, with half the channels in between

The shortcut is a convolution of kernel 1, or the identity. Without norms the two sums become one: the second
convolution continues from the shortcut's result. A few rows at a time go through all of it, so that what is in between
stays in the fastest cache: where a signal is long and has few channels, moving it takes longer than the arithmetic.

Chapters 6 and 8 of the tutorials walk through it.
"""

import numpy as np

from tinyencodec.kernels.gemm import EDGE, PackedMatrix, gemm_run, unpack
from tinyencodec.kernels.tile import ROWS
from tinyencodec.layers.activation import elu, elu_in_place, elu_of
from tinyencodec.layers.conv import Conv1d, ConvState
from tinyencodec.layers.layer import Layer
from tinyencodec.system.compiler.jit import kernel

_FLOATS, _LEAST = 1 << 12, 64  # of x that go through at once, but at least so many rows
_NONE = np.zeros(0, np.float32)


class ResidualBlock(Layer):
    """y = shortcut(x) + second(ELU(first(ELU(x)))); `shortcut` None: the identity. Its state is that of `first`."""

    def __init__(self, first: Conv1d, second: Conv1d, shortcut: Conv1d | None):
        self.first, self.second, self.shortcut = first, second, shortcut
        self.in_channels, self.streams, self.activates = first.in_channels, first.streams, True
        self.bias = second.bias if shortcut is None else shortcut.bias + second.bias  # of the sum
        self.macs = self.cost = first.macs + second.macs + (0 if shortcut is None else shortcut.macs)
        self._weights = (first.matrix.data, first.group_matrix.data if first.group > 1 else _NONE,
                         np.tile(first.bias, first.group), second.matrix.data,
                         _NONE if shortcut is None else shortcut.matrix.data, self.bias)
        rows = max(_LEAST, _FLOATS // self.in_channels) // (2 * ROWS) * 2 * ROWS
        self._rows, self._room = rows, (rows + first.span) * (self.in_channels + first.out_channels) + EDGE

    def needs(self, n: int) -> int:
        return self.first.needs(n)

    def start(self) -> ConvState:
        return self.first.start()

    def step(self, x: np.ndarray, state: ConvState, last: bool = False, *, activate: bool = False) -> np.ndarray:
        """See `Layer.step`: [t, C] -> [t', C]. `activate` applies ELU to the result."""
        first = self.first
        if self.second.norm is not None:
            inner = elu_in_place(first.step(elu(x), state, last))
            y = self.second(inner) + (x if self.shortcut is None else self.shortcut(x))
            return elu_in_place(y) if activate else y

        def block(run: np.ndarray, y: np.ndarray) -> None:
            _block(run.reshape(-1), self.in_channels, first.pad_left, first.kernel_size, first.dilation, first.group,
                   y.reshape(-1), self._rows, np.empty(self._room, np.float32), *self._weights, activate)

        return first.each_run(x, state, last, self.in_channels, block)


def _block_naive(x: np.ndarray, channels: int, lag: int, kernel_size: int, dilation: int, group: int, y: np.ndarray,
                 at_once: int, scratch: np.ndarray, first: np.ndarray, grouped: np.ndarray, bias: np.ndarray,
                 second: np.ndarray, shortcut: np.ndarray, sum_bias: np.ndarray, activate: bool) -> None:
    def elu(x: np.ndarray) -> np.ndarray:
        return np.maximum(x, 0) + np.expm1(np.minimum(x, 0))

    x, y, half = x.reshape(-1, channels), y.reshape(-1, channels), len(bias) // group
    n, active = len(y), elu(x)
    rows = np.concatenate([active[j * dilation:j * dilation + n] for j in range(kernel_size)], axis=1)
    inner = elu(rows @ unpack(PackedMatrix(kernel_size * channels, half, first)) + bias[:half])
    y[:] = x[lag:lag + n]
    if shortcut.size:
        y[:] = y @ unpack(PackedMatrix(channels, channels, shortcut))
    y += sum_bias + inner @ unpack(PackedMatrix(half, channels, second))
    if activate:
        y[:] = elu(y)


@kernel("void(f4[::1], i8, i8, i8, i8, i8, f4[::1], i8, f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], "
        "b1)",
        twin=_block_naive)
def _block(x: np.ndarray, channels: int, lag: int, kernel_size: int, dilation: int, group: int, y: np.ndarray,
           at_once: int, scratch: np.ndarray, first: np.ndarray, grouped: np.ndarray, bias: np.ndarray,
           second: np.ndarray, shortcut: np.ndarray, sum_bias: np.ndarray, activate: bool) -> None:
    """y[t] for each window x[t], x[t + dilation] ... of the padded signal; x[t + lag] is what the shortcut takes.

    first, grouped : the first convolution for one row, and for `group` rows at once; bias : `group` times
    at_once : rows; scratch : room for so many, windows of them, and a tile
    """
    n_rows, half = y.size // channels, bias.size // group
    span = (kernel_size - 1) * dilation + 1
    taps, tap_step, tap_length = (1, 0, kernel_size * channels) if dilation == 1 else \
        (kernel_size, dilation * channels, channels)
    edge = scratch[:EDGE]
    active = scratch[EDGE:EDGE + (at_once + span) * channels]
    inner = scratch[EDGE + (at_once + span) * channels:]
    for row in range(0, n_rows, at_once):
        rows = min(at_once, n_rows - row)
        given, taken, made = x[row * channels:], x[(row + lag) * channels:], y[row * channels:]
        for i in range((rows + span - 1) * channels):
            active[i] = elu_of(given[i])
        done = rows // group * group if group > 1 else 0
        if not shortcut.size:
            for i in range(rows * channels):
                made[i] = taken[i] + sum_bias[i % channels]
        for product in range(4):  # with one call for all of them, four times less is compiled
            signal, n, step, n_runs, apart, run, matrix, n_out, start, start_step, result = \
                active, done // group, group * channels, 1, 0, (kernel_size + group - 1) * channels, grouped, \
                group * half, bias, 0, inner
            if product == 1:
                signal, n, step, n_runs, apart, run, matrix, n_out, result = \
                    active[done * channels:], rows - done, channels, taps, tap_step, tap_length, first, half, \
                    inner[done * half:]
            elif product == 2:
                signal, n, step, run, matrix, n_out, start, result = \
                    taken, rows if shortcut.size else 0, channels, channels, shortcut, channels, sum_bias, made
            elif product == 3:
                for i in range(rows * half):
                    inner[i] = elu_of(inner[i])
                signal, n, step, run, matrix, n_out, start, start_step, result = \
                    inner, rows, half, half, second, channels, made, channels, made
            gemm_run(signal, n, step, n_runs, apart, run, matrix, n_out, start, start_step, result, edge)
        if activate:
            for i in range(rows * channels):
                made[i] = elu_of(made[i])
