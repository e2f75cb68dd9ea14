"""The LSTM over time: layers in a row, and a skip connection around all of them.

At each step, with the logistic function s and elementwise products (Hochreiter & Schmidhuber 1997;
gate order and the two biases as in PyTorch):

    [i f g o] = W_ih x + b_ih + W_hh h + b_hh
    c <- s(f) c + s(i) tanh(g)
    h <- s(o) tanh(c)

W_ih x does not depend on the previous step, so it is one large product for the whole signal. Only
W_hh h and the gates run step by step.

Chapter 7 of the tutorials walks through it.
"""

from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.gemm import PackedMatrix, gemm, pack, unpack
from tinyencodec.kernels.tile import LONG, WIDTH, run_row
from tinyencodec.layers.activation import _sigmoid, _tanh, sigmoid, tanh
from tinyencodec.layers.layer import Layer
from tinyencodec.system.compiler.jit import kernel

_PANEL = LONG * WIDTH  # columns of W_hh that a step sums at once


@dataclass
class LSTMState:
    """h, c : float32 [layers, H], the output and the cell of each layer at the latest step."""

    h: np.ndarray
    c: np.ndarray


class LSTM(Layer):
    """y = x + lstm(x), with the state starting at zero.

    Parameters
    ----------
    layers : for each layer (weight_ih [4H, H], weight_hh [4H, H], bias_ih [4H], bias_hh [4H])
    """

    def __init__(self, layers: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]):
        self.in_channels = layers[0][1].shape[1]  # H
        self.layers = [(pack(w_ih.T), pack(w_hh.T, _PANEL), (b_ih + b_hh).astype(np.float32))
                       for w_ih, w_hh, b_ih, b_hh in layers]
        self.macs = 8 * self.in_channels**2 * len(layers)
        self.cost = 1.8 * self.macs  # reading all of W_hh for each step takes longer than the arithmetic

    def start(self) -> LSTMState:
        """The state before the first sample: zeros."""
        h, c = np.zeros((2, len(self.layers), self.in_channels), np.float32)
        return LSTMState(h, c)

    def step(self, x: np.ndarray, state: LSTMState, last: bool = False) -> np.ndarray:
        """See `Layer.step`: [T, H] -> [T, H]. Nothing is ever held back."""
        y = np.ascontiguousarray(x, np.float32)
        for (w_ih, w_hh, bias), h, c in zip(self.layers, state.h, state.c):
            gates = gemm(y, w_ih, len(y), self.in_channels, bias)  # [T, H] -> [T, 4H]
            y = np.empty(x.shape, np.float32)
            _recur(gates.reshape(-1), w_hh.data, h, c, y.reshape(-1), np.zeros(len(bias) + _PANEL, np.float32))
        return np.add(x, y, out=y)


def _recur_naive(gates: np.ndarray, w_hh: np.ndarray, h: np.ndarray, c: np.ndarray, out: np.ndarray,
                 sums: np.ndarray) -> None:
    matrix = unpack(PackedMatrix(len(h), 4 * len(h), w_hh, _PANEL))
    for gate, y in zip(gates.reshape(-1, 4 * len(h)), out.reshape(-1, len(h))):
        i, f, g, o = np.split(gate + h @ matrix, 4)
        c[:] = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h[:] = sigmoid(o) * tanh(c)
        y[:] = h


@kernel("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], f4[::1])", twin=_recur_naive)
def _recur(gates: np.ndarray, w_hh: np.ndarray, h: np.ndarray, c: np.ndarray, out: np.ndarray,
           sums: np.ndarray) -> None:
    size = h.size
    total = 4 * size
    n_panels = -(-total // _PANEL)
    for t in range(out.size // size):
        for j in range(total):
            sums[j] = gates[t * total + j]
        for panel in range(n_panels):
            column = _PANEL * (panel if t % 2 == 0 else n_panels - 1 - panel)
            width = _PANEL if total - column > WIDTH else WIDTH
            run_row(1, width, h, 0, 0, 1, 0, size, w_hh, column * size, sums, column, 0, sums, column, 0)
        i, f, g, o = sums[:size], sums[size:2 * size], sums[2 * size:3 * size], sums[3 * size:total]
        for j in range(size):
            c[j] = _sigmoid(f[j]) * c[j] + _sigmoid(i[j]) * _tanh(g[j])
            h[j] = out[t * size + j] = _sigmoid(o[j]) * _tanh(c[j])
