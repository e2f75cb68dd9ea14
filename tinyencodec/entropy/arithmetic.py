"""Arithmetic coding: a whole message as one binary number, in hardly more bits than its probabilities require.

Each message owns an interval of the numbers from 0 to 1. Before the first symbol that is all of them. Each symbol
keeps its part of the interval, as wide as the symbol is probable, and the message is any number of what is left:
it takes -log2(width) bits, the sum of -log2(probability). Here all is in integers. With `n_bits` digits written so far

    low              the least number of the interval, `n_bits` binary digits
    width            how many numbers it holds, from low to low + width - 1
    0 <= low,  low + width <= 2^n_bits              (the invariant; at the start low = 0, width = 1, n_bits = 0)

and a symbol that owns the units `start` to `stop - 1` of 2^24 is coded in two steps:

    while width < 2^24:  low, width, n_bits = 2 low, 2 width, n_bits + 1                          one more digit
    a, b = ceil(start width / 2^24), floor((stop - 1) width / 2^24);  low, width = low + a, b - a + 1

so that 2^24 <= width < 2^25 whenever the interval is divided. New intervals lie inside the old one, hence the
invariant. Those of two symbols never overlap, since start >= the other's stop > stop - 1; with stop - start >= 2 none
is empty. A few numbers between them belong to no symbol: a decoder that meets one knows that the data are damaged.

What others treat as underflow or straddling (an interval on both sides of a power of two, whose leading digits stay
open) is nothing but addition here: `low + a` may carry, past any number of digits 1. The decoder does not see even
that, as it needs only (width, offset), where offset = number - low: new digits enter it at the bottom, and a is
subtracted.

Cost. Since b - a + 1 > (stop - start - 2) width / 2^24, a symbol of r = stop - start > 2 units costs less than
24 - log2(r - 2) bits, about 3 / r more than its ideal 24 - log2(r); one of 2 units costs less than 25. Symbols as
probable as they claim lose N / 2^22 bits each on average. `finish()` adds at most 25 digits and 7 bits to fill the
byte, `finish(shortest=True)` at most 8 bits in all.

Digits stand in bytes from the lowest bit up: digit i of the number, most significant first, is bit i % 8 of byte
i // 8. Bits and cumulative distributions are those of the official package (encodec, quantization/ac.py).
Sources: Witten, Neal, Cleary, "Arithmetic coding for data compression", CACM 30 (1987); paper, section 3.3.

But: nothing here detects damage as such; most damaged data decode to other symbols.

Chapter 12 of the tutorials walks through it.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from tinyencodec.system.compiler.jit import kernel

TOTAL_BITS = 24
TOTAL = 1 << TOTAL_BITS  # units that the symbols of one distribution share
MAX_SYMBOLS = 4096  # N, in one distribution
MIN_UNITS = 2  # of each symbol: with fewer its interval might be empty
_ROUNDOFF = np.float32(1e-8)  # probabilities are floored to multiples of it
_EXCESS = 64  # units that a distribution may have too many: a sum of 1.000004

REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)), bitorder="little")  # a byte, back to front
IMPOSSIBLE = ("impossible state: no symbol leads to these bits, so the data are damaged or were coded with other "
              "probabilities")


def quantised_cdf(p: np.ndarray) -> np.ndarray:
    """Cumulative distributions in units of 2^-24, from probabilities.

        cdf[n] = sum over m <= n of (2 + floor((2^24 - 2 N) q[m])),    q[m] = 1e-8 floor(p[m] / 1e-8)

    with each operation rounded to float32: the integers of the official package for the same p. Rounding can make more
    than 2^24 units of a sum of 1, mostly where few symbols have all of the probability. The official package stops
    there; here the most probable symbol, the first of several, gives up the excess.

    Symbol n owns the units cdf[n - 1] (0 for n = 0) to cdf[n] - 1.

    Parameters
    ----------
    p : float32 [..., N], N from 2 to 4096; each row at least 0 and with a sum of 1 (or less)

    Returns
    -------
    int32 [..., N], rising by 2 or more at each step, at most 2^24

    Raises
    ------
    ValueError : p of another dtype or size, NaN or negative, or a sum of more than 1.000004.
    """
    p = np.ascontiguousarray(p)
    if p.dtype != np.float32 or p.ndim < 1 or not 2 <= p.shape[-1] <= MAX_SYMBOLS:
        raise ValueError(f"probabilities: expected float32 [..., 2 to {MAX_SYMBOLS}], got {p.dtype} {list(p.shape)}")
    cdf = np.empty(p.shape, np.int32)
    bad = _quantise(p.reshape(-1, p.shape[-1]), cdf.reshape(-1, p.shape[-1]))
    if bad >= 0:
        row = p.reshape(-1, p.shape[-1])[bad]
        raise ValueError(f"probabilities: expected numbers of at least 0 with a sum of 1, got {row.min():.9g} to "
                         f"{row.max():.9g} with a sum of {row.sum(dtype=np.float64):.9g}")
    return cdf


def _quantise_naive(p: np.ndarray, cdf: np.ndarray) -> int:
    scale = np.float32(TOTAL - MIN_UNITS * p.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        units = np.floor(np.floor(p / _ROUNDOFF) * _ROUNDOFF * scale)
        valid = (units >= 0) & (units <= TOTAL)  # false for NaN
    units = np.where(valid, units, 0).astype(np.int64) + MIN_UNITS
    excess = units.sum(axis=1) - TOTAL
    bad = np.flatnonzero(~valid.all(axis=1) | (excess > _EXCESS))
    if len(bad):
        return int(bad[0])
    units[np.arange(len(p)), units.argmax(axis=1)] -= np.maximum(excess, 0)
    cdf[:] = np.cumsum(units, axis=1)
    return -1


@kernel("i8(f4[:,::1], i4[:,::1])", twin=_quantise_naive)
def _quantise(p: np.ndarray, cdf: np.ndarray) -> int:
    """Fill the rows of `cdf`, and return -1, or else the first row that is no distribution."""
    n = p.shape[1]
    scale, most = np.float32(TOTAL - MIN_UNITS * n), np.float32(TOTAL)
    for row in range(len(p)):
        fine, total = True, np.int64(0)  # N times 2^24 would not fit into int32
        for i in range(n):
            units = np.floor(np.floor(p[row, i] / _ROUNDOFF) * _ROUNDOFF * scale)
            valid = (units >= np.float32(0)) & (units <= most)  # false for NaN
            fine &= valid
            cdf[row, i] = np.int32(units if valid else np.float32(0)) + np.int32(MIN_UNITS)
            total += cdf[row, i]
        if not fine or total > TOTAL + _EXCESS:
            return row
        if total > TOTAL:
            cdf[row, np.argmax(cdf[row])] -= total - TOTAL
        for i in range(1, n):
            cdf[row, i] += cdf[row, i - 1]
    return -1


def bounds(cdf: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each symbol's units start and stop: cdf int [..., N] and symbols int [...], or shapes that NumPy broadcasts
    to these -> two int64 [...]."""
    symbols = np.asarray(symbols, np.int64)
    stop = np.take_along_axis(cdf, symbols[..., None], -1)[..., 0].astype(np.int64)
    start = np.take_along_axis(cdf, np.maximum(symbols - 1, 0)[..., None], -1)[..., 0].astype(np.int64)
    return np.where(symbols > 0, start, 0), stop


def _part(start: int, stop: int, width: int) -> tuple[int, int]:
    """First and last number, counted from `low`, of the part of a symbol that owns units `start` to `stop - 1`."""
    return -(-start * width // TOTAL), (stop - 1) * width // TOTAL


class ArithmeticEncoder:
    """Code one symbol at a time: the definition. `arithmetic_compiled.encode_symbols` does the same, fast."""

    def __init__(self) -> None:
        self.low, self.width, self.n_bits = 0, 1, 0

    def push(self, start: int, stop: int) -> None:
        """Append a symbol that owns the units `start` to `stop - 1` of 2^24. `ValueError` if they are fewer than 2."""
        if not 0 <= start <= stop - MIN_UNITS <= TOTAL - MIN_UNITS:
            raise ValueError(f"units of a symbol: expected {MIN_UNITS} or more from 0 to {TOTAL}, "
                             f"got {start} to {stop}")
        while self.width < TOTAL:
            self.low, self.width, self.n_bits = 2 * self.low, 2 * self.width, self.n_bits + 1
        a, b = _part(start, stop, self.width)
        self.low, self.width = self.low + a, b - a + 1

    def finish(self, shortest: bool = False) -> bytes:
        """The message. All digits of `low`, as the official package writes them; or, if `shortest`, the number of the
        interval that ends in the most zero digits, less its zero bytes at the end: a decoder reads zeros there."""
        number, last = self.low, self.low + self.width - 1
        if shortest and number > 0:
            zeros = (number - 1 ^ last).bit_length() - 1  # below the first digit in which the two differ
            number = last >> zeros << zeros
        size = -(-self.n_bits // 8)
        data = (number << 8 * size - self.n_bits).to_bytes(size, "big").translate(REVERSED.tobytes())
        return data.rstrip(b"\0") if shortest else data


class ArithmeticDecoder:
    """Decode one symbol at a time: the definition. `arithmetic_compiled.LaneDecoder` does the same, fast.

    Parameters
    ----------
    data : a message. Bytes after it do no harm, and zeros are read past the end: `finish(shortest=True)` has
        left them out

    Attributes
    ----------
    position : bits read so far; past the end, zeros count too
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.width, self.offset, self.position = 1, 0, 0

    def pull(self, cdf: Sequence[int]) -> int:
        """The next symbol, given the cumulative distribution it was coded with (as from `quantised_cdf`).

        Raises `ValueError` if no symbol can have led to these bits.
        """
        while self.width < TOTAL:
            index, shift = self.position // 8, self.position % 8
            bit = self._data[index] >> shift & 1 if index < len(self._data) else 0
            self.width, self.offset, self.position = 2 * self.width, 2 * self.offset + bit, self.position + 1
        # a <= offset if and only if start width <= 2^24 offset; the last such symbol is the only candidate.
        symbol = bisect_right(cdf, self.offset * TOTAL // self.width)
        if symbol == len(cdf):
            raise ValueError(IMPOSSIBLE)
        a, b = _part(int(cdf[symbol - 1]) if symbol else 0, int(cdf[symbol]), self.width)
        if self.offset > b:
            raise ValueError(IMPOSSIBLE)
        self.width, self.offset = b - a + 1, self.offset - a
        return symbol
