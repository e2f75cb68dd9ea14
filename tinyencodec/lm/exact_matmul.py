"""The matrix product of the language model, in the arithmetic of `exact`.

    out[m, n] = bias[n] + x[m, 0] w[0, n] + x[m, 1] w[1, n] + ...      from left to right, each step rounded on its own

It differs from the codec's product (`gemm`) in that one point: there a product and a sum are fused into one rounding,
which is faster and as good, but NumPy has no such operation. Here every bit can be had by two lines of NumPy, and
nothing in the result depends on who computes it. The register tile is the same (`tile`).

Chapter 13 of the tutorials uses it.
"""

from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.jit import kernel
from tinyencodec.kernels.tile import (
    FEW,
    ROWS,
    WIDTH,
    few_rows_wide_unfused,
    many_rows_wide_unfused,
    one_row_wide_unfused,
)

PANEL = 2 * WIDTH  # columns that one tile makes


@dataclass(frozen=True)
class Affine:
    """A matrix and a bias, cut into panels of PANEL columns, the last filled up with zeros."""

    n_in: int
    n_out: int
    weight: np.ndarray  # float32, flat: [panels, n_in, PANEL]
    bias: np.ndarray  # float32 [panels * PANEL]

    @classmethod
    def pack(cls, matrix: np.ndarray, bias: np.ndarray) -> "Affine":
        """From a float32 matrix [K, N] and a bias [N]."""
        n_in, n_out = matrix.shape
        padded = np.pad(matrix, ((0, 0), (0, -n_out % PANEL))).astype(np.float32)
        panels = np.ascontiguousarray(padded.reshape(n_in, -1, PANEL).transpose(1, 0, 2))  # -> [panels, K, PANEL]
        return cls(n_in, n_out, panels.reshape(-1), np.pad(bias, (0, -n_out % PANEL)).astype(np.float32))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x float32 [M, K], C-contiguous -> new float32 [M, N]."""
        assert x.dtype == np.float32 and x.flags.c_contiguous and x.ndim == 2 and x.shape[1] == self.n_in
        out = np.empty((len(x), self.n_out), np.float32)
        _affine(x, self.weight, self.bias, out)
        return out


def _affine_naive(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None:
    n_in, n_out = x.shape[1], out.shape[1]
    matrix = weight.reshape(-1, n_in, PANEL).transpose(1, 0, 2).reshape(n_in, -1)[:, :n_out]
    out[:] = bias[:n_out]
    for k in range(n_in):
        out += x[:, k:k + 1] * matrix[k]


@kernel("void(f4[:,::1], f4[::1], f4[::1], f4[:,::1])", twin=_affine_naive)
def _affine(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None:
    (n_rows, n_in), n_out = x.shape, out.shape[1]
    x_flat, out_flat = x.reshape(n_rows * n_in), out.reshape(n_rows * n_out)
    edge = np.empty(ROWS * PANEL, np.float32)  # a tile whose last columns are padding
    for column in range(0, n_out, PANEL):
        columns = min(PANEL, n_out - column)
        row = 0
        while row < n_rows:
            rows = ROWS if row + ROWS <= n_rows else FEW if row + FEW <= n_rows else 1
            if columns == PANEL:
                result, result_at, result_step = out_flat, row * n_out + column, n_out
            else:
                result, result_at, result_step = edge, 0, PANEL
            if rows == ROWS:
                many_rows_wide_unfused(x_flat, row * n_in, n_in, 1, 0, n_in, weight, column * n_in,
                                       bias, column, 0, result, result_at, result_step)
            elif rows == FEW:
                few_rows_wide_unfused(x_flat, row * n_in, n_in, 1, 0, n_in, weight, column * n_in,
                                      bias, column, 0, result, result_at, result_step)
            else:
                one_row_wide_unfused(x_flat, row * n_in, n_in, 1, 0, n_in, weight, column * n_in,
                                     bias, column, 0, result, result_at, result_step)
            if columns < PANEL:
                for r in range(rows):
                    for j in range(columns):
                        out_flat[(row + r) * n_out + column + j] = edge[r * PANEL + j]
            row += rows
