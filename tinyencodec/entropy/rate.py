"""Rate and distortion: what a bit is worth, where the choice of codes decides how many there are.

An entropy coder spends more bits on a rare code than on a frequent one. So the nearest entry can be a bad bargain: one
a little further off may save several bits. Codes are chosen by beam search (`codec.beam`) for the least

    error / 2  +  price * bits,        price = weight * (greedy error / greedy bits) / 2

where error is the squared error of a frame's latent, bits are those of its codes by the coder's probabilities, and the
greedy error and bits are the means of the block's frames with the codes that `codec.rvq` chooses, at fixed width. With
weight 1 a bit is worth as much error as one of them stands for there. 0 is plain beam search. (The Lagrangian of
rate-distortion theory, and entropy-constrained vector quantisation: Chou, Lookabaugh, Gray, IEEE Trans. ASSP 37 (1989).
The official code does not do it.)

Decoding does not change: these are codes like any others. But all of it is computed in an arithmetic that is fixed to
the last bit, so that every machine chooses the same codes.

Chapter 15 of the tutorials walks through it.
"""

import math
from typing import NamedTuple

import numpy as np

from tinyencodec.codec.beam import half_squares
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.entropy.arithmetic import TOTAL_BITS
from tinyencodec.system.compiler.jit import kernel
from tinyencodec.system.errors import require

WEIGHT = 1.0  # at 6 kbit/s as good as the greedy choice, in fewer bits: measured, see the results
_MOST = 1000.0
_FINE = 10  # binary digits of a number that count for its logarithm


def check_weight(weight: float) -> float:
    """The weight; `ValueError` unless it is a number from 0 to 1000."""
    number = isinstance(weight, int | float | np.integer | np.floating) and not isinstance(weight, bool)
    require(number and 0 <= weight <= _MOST, "rate weight", f"a number from 0 to {_MOST:g}", weight)
    return float(weight)


class RateSearch(NamedTuple):
    """How codes are chosen by error and bits.

    width : choices that are kept, as `search` elsewhere
    weight : of the bits, see above
    """

    quantizer: ResidualVectorQuantizer
    n_codebooks: int
    width: int
    weight: float

    def price(self, z: np.ndarray) -> np.float32:
        """Of a bit, in halves of a squared error, in a block of latents float32 [F, D]."""
        codes = self.quantizer.encode(z, self.n_codebooks)
        error = math.fsum(half_squares(z - self.quantizer.decode(codes)).tolist())  # the same in any order
        bits = codes.size * math.log2(len(self.quantizer.codebooks[0]))
        return np.float32(self.weight * error / max(1, bits))

    def choose(self, z: np.ndarray, penalties: np.ndarray) -> np.ndarray:
        """Codes int32 [K, F] of latents float32 [F, D]. penalties: bits times price, float32 [K, F or 1, N]."""
        return self.quantizer.encode(z, self.n_codebooks, self.width, penalties if self.weight else None)


def _log2_table() -> np.ndarray:
    """log2(1 + (i + 1/2) / 2^_FINE), float32, digit by digit: squaring a number doubles its logarithm."""
    x = 1 + (np.arange(1 << _FINE) + 0.5) / (1 << _FINE)
    log = np.zeros_like(x)
    for digit in range(1, 25):
        x = x * x
        log += np.where(x >= 2, 0.5**digit, 0)
        x = np.where(x >= 2, x / 2, x)
    return log.astype(np.float32)


_LOG2 = _log2_table()


def _bits_naive(cdf: np.ndarray, log2: np.ndarray, out: np.ndarray) -> None:
    fraction, exponent = np.frexp(np.diff(cdf, axis=1, prepend=0))  # units = fraction 2^exponent, 1/2 <= fraction < 1
    place = ((2 * fraction - 1) * len(log2)).astype(np.int64)
    out[:] = (TOTAL_BITS + 1 - exponent).astype(np.float32) - log2[place]


@kernel("void(i4[:,::1], f4[::1], f4[:,::1])", twin=_bits_naive)
def _bits(cdf: np.ndarray, log2: np.ndarray, out: np.ndarray) -> None:
    for row in range(len(cdf)):
        before = np.int32(0)
        for n in range(cdf.shape[1]):
            parts = np.float32(cdf[row, n] - before).view(np.int32)  # exponent and fraction
            before = cdf[row, n]
            out[row, n] = np.float32(TOTAL_BITS + 127 - (parts >> 23)) - log2[(parts >> 23 - _FINE) & (1 << _FINE) - 1]


def bits_of(cdf: np.ndarray) -> np.ndarray:
    """Bits that each symbol costs, to 0.001: cumulative units int32 [..., N] (`arithmetic`) -> float32 [..., N]."""
    out = np.empty(cdf.shape, np.float32)
    _bits(np.ascontiguousarray(cdf).reshape(-1, cdf.shape[-1]), _LOG2, out.reshape(-1, cdf.shape[-1]))
    return out
