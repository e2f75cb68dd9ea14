"""Residual vector quantisation: a latent vector as a few indices, each correcting the one before.

    r_1 = z,    i_k = argmin_n |r_k - e_k[n]|^2,    r_{k+1} = r_k - e_k[i_k],    z' = sum_k e_k[i_k]

Codebook k holds N vectors e_k[n]. Since |r|^2 is the same for each n, the nearest entry is the one
that maximises r . e_k[n] - |e_k[n]|^2 / 2, a matrix product with a bias. (Paper, section 3.2;
the scheme is that of SoundStream, arXiv 2107.03312, algorithm 1.) Codebooks are learnt elsewhere,
in `train.quantizer`.

Chapter 9 of the tutorials walks through it.
"""

import numpy as np

from tinyencodec.codec.beam import beam_search
from tinyencodec.kernels.gemm import gemm, pack

_BLOCK = 128  # frames scored at a time: 128 x N scores stay in cache


class ResidualVectorQuantizer:
    """K codebooks of N entries in D dimensions. `codebooks`: K arrays, float32 [N, D]."""

    def __init__(self, codebooks: list[np.ndarray]):
        self.codebooks = codebooks
        self._matrices = [pack(entries.T) for entries in codebooks]  # [D, N]
        with np.errstate(over="ignore"):  # an entry of a length beyond float32 is never the nearest
            self._half_norms = [(-0.5 * np.square(entries, dtype=np.float64).sum(axis=1)).astype(np.float32)
                                for entries in codebooks]

    def encode(self, z: np.ndarray, n_codebooks: int | None = None, search: int = 1,
               penalties: np.ndarray | None = None) -> np.ndarray:
        """Quantise latents with the first `n_codebooks` codebooks (None: all).

        z : float32 [F, D]
        search, penalties : choices that are kept, and what entries cost besides their error: see `beam`

        Returns int32 [K, F], each entry in 0 ... N-1; on a tie the lowest index.
        """
        k = len(self.codebooks) if n_codebooks is None else n_codebooks
        if search > 1 or penalties is not None:
            return beam_search(z, list(zip(self.codebooks, self._matrices, self._half_norms))[:k], search, penalties)
        codes = np.empty((k, len(z)), np.int32)
        residual = np.array(z, np.float32, order="C")
        for row, entries, matrix, half_norms in zip(codes, self.codebooks, self._matrices, self._half_norms):
            for start in range(0, len(z), _BLOCK):
                left = residual[start:start + _BLOCK]
                scores = gemm(left, matrix, len(left), left.shape[1], half_norms)  # [f, D] -> [f, N]
                nearest = row[start:start + _BLOCK] = scores.argmax(axis=1)
                left -= entries[nearest]
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Sum of the entries that the codes name: int [K, F] -> float32 [F, D]."""
        z = np.zeros((codes.shape[1], self.codebooks[0].shape[1]), np.float32)
        for row, entries in zip(codes, self.codebooks):
            z += entries[row]
        return z
