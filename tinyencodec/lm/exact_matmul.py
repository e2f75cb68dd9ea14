"""The matrix product of the language model, in the arithmetic of `exact`.

    out[m, n] = bias[n] + x[m, 0] w[0, n] + x[m, 1] w[1, n] + ...      from left to right, each step rounded on its own

It is the codec's product (`gemm`) except for one point: there, each product and sum are fused into one rounding, which
is faster and as accurate, but NumPy has no such operation. Here two lines of NumPy give every bit, and the result does
not depend on what computes it.

Chapter 13 of the tutorials uses it.
"""

from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.gemm import PackedMatrix, gemm, pack


@dataclass(frozen=True)
class Affine:
    """A packed [K, N] matrix, and a bias, float32 [N]."""

    matrix: PackedMatrix
    bias: np.ndarray

    @classmethod
    def pack(cls, matrix: np.ndarray, bias: np.ndarray) -> "Affine":
        """From a float32 matrix [K, N] and a bias [N]."""
        return cls(pack(matrix), np.array(bias, np.float32))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x float32 [M, K], C-contiguous -> new float32 [M, N]."""
        assert x.ndim == 2 and x.shape[1] == self.matrix.n_in
        return gemm(x, self.matrix, len(x), self.matrix.n_in, self.bias, fused=False)
