"""The arithmetic coder, compiled: a whole message in one call, several messages side by side.

Bit for bit the coder of `arithmetic`, whose classes are the twins here. Two things differ. The encoder cannot keep
`low` as one long integer: its last digits are an int64, those before are bytes that only a carry can still change,
and each carry ends at the first byte that is not full. The decoder's state (width, offset, position) is a row of an
array, one for each message or "lane", so that one call goes on with many of them: a language model that predicts
the next codes of several blocks at once wants all their last codes first.

But: each lane is decoded after the other; what is gained is the call, not the arithmetic.

Chapter 12 of the tutorials walks through it.
"""

from collections.abc import Sequence

import numba
import numpy as np

from tinyencodec.entropy.arithmetic import (
    ENDED,
    IMPOSSIBLE,
    MIN_UNITS,
    REVERSED,
    TOTAL,
    TOTAL_BITS,
    ArithmeticDecoder,
    ArithmeticEncoder,
)
from tinyencodec.kernels.jit import kernel

_FIRST, _END, _WIDTH, _OFFSET, _POSITION, _STATUS = range(6)  # columns of the lanes' states
_FINE, _AT_END, _LOST = range(3)  # values of _STATUS


def encode_symbols(start: np.ndarray, stop: np.ndarray, shortest: bool = False) -> bytes:
    """Code a whole message, in which symbol i owns the units start[i] to stop[i] - 1 of 2^24.

    start, stop : int64 [S]; `arithmetic.bounds` gives them
    shortest : as in `ArithmeticEncoder.finish`

    Raises `ValueError` if a symbol owns fewer than 2 units.
    """
    start, stop = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(stop, np.int64)
    assert start.shape == stop.shape == (len(start),)
    wrong = np.flatnonzero((start < 0) | (stop - start < MIN_UNITS) | (stop > TOTAL))
    if len(wrong):
        raise ValueError(f"units of symbol {wrong[0]}: expected {MIN_UNITS} or more from 0 to {TOTAL}, "
                         f"got {start[wrong[0]]} to {stop[wrong[0]]}")
    out = np.empty(3 * len(start) + 1, np.uint8)  # no symbol needs more than 24 new digits
    return out[:_encode(start, stop, shortest, out)].tobytes()


def _encode_naive(start: np.ndarray, stop: np.ndarray, shortest: bool, out: np.ndarray) -> int:
    encoder = ArithmeticEncoder()
    for first, end in zip(start.tolist(), stop.tolist()):
        encoder.push(first, end)
    data = encoder.finish(shortest)
    out[:len(data)] = np.frombuffer(data, np.uint8)
    return len(data)


@numba.njit(error_model="numpy")
def _carried(low: int, n_low: int, out: np.ndarray, size: int) -> int:
    """`low` without what is beyond its `n_low` digits, a 1 at most, which is added to the number in out[:size]."""
    if low >> n_low:
        low -= 1 << n_low
        i = size - 1
        while out[i] == 255:
            out[i] = 0
            i -= 1
        out[i] += 1
    return low


@kernel("i8(i8[::1], i8[::1], b1, u1[::1])", twin=_encode_naive)
def _encode(start: np.ndarray, stop: np.ndarray, shortest: bool, out: np.ndarray) -> int:
    """Write the message to `out` and return its size. From the first symbol on, the last 24 to 32 digits are in `low`:
    as many as `width` has, or all, so that a sum of the two carries at most 1."""
    low, width, n_low, size = 0, 1, 0, 0
    for i in range(len(start)):
        while width < TOTAL:
            low, width, n_low = 2 * low, 2 * width, n_low + 1
        a = (start[i] * width + TOTAL - 1) >> TOTAL_BITS
        b = ((stop[i] - 1) * width) >> TOTAL_BITS
        low, width = _carried(low + a, n_low, out, size), b - a + 1
        while n_low > 32:
            n_low -= 8
            out[size] = low >> n_low
            low, size = low & ((1 << n_low) - 1), size + 1
    if shortest and low > 0:
        last, zeros = low + width - 1, 0
        while (low - 1) >> (zeros + 1) != last >> (zeros + 1):
            zeros += 1
        low = _carried(last >> zeros << zeros, n_low, out, size)
    while n_low > 0:  # the last byte is filled with zeros
        n_low -= 8
        out[size] = (low >> n_low if n_low >= 0 else low << -n_low) & 255
        size += 1
    while shortest and size > 0 and out[size - 1] == 0:
        size -= 1
    for i in range(size):
        out[i] = REVERSED[out[i]]
    return size


class LaneDecoder:
    """Decode several messages side by side, each as `arithmetic.ArithmeticDecoder` would.

    A lane at its end or in an impossible state yields symbols 0 from there on; `check` tells.

    payloads : B messages
    zeros_follow : read zeros past the end of each, as `encode_symbols(..., shortest=True)` needs
    """

    def __init__(self, payloads: Sequence[bytes], zeros_follow: bool = False) -> None:
        self._data = np.frombuffer(bytearray(b"".join(payloads)), np.uint8)
        self._zeros_follow = zeros_follow
        ends = np.cumsum([len(payload) for payload in payloads], dtype=np.int64)
        self._states = np.zeros((len(ends), 6), np.int64)
        self._states[1:, _FIRST], self._states[:, _END], self._states[:, _WIDTH] = ends[:-1], ends, 1

    @property
    def position(self) -> np.ndarray:
        """Bits that each lane has read, int64 [B]; zeros past the end count too."""
        return self._states[:, _POSITION].copy()

    @property
    def settled(self) -> np.ndarray:
        """bool [B], as `ArithmeticDecoder.settled`."""
        return self._states[:, _OFFSET] == 0

    def check(self, lane: int) -> None:
        """Raise the `EOFError` or `ValueError` that has ended this lane, if one has."""
        if self._states[lane, _STATUS] == _AT_END:
            raise EOFError(ENDED)
        if self._states[lane, _STATUS] == _LOST:
            raise ValueError(IMPOSSIBLE)

    def pull(self, cdfs: np.ndarray, count: int | None = None, lanes: Sequence[int] | None = None) -> np.ndarray:
        """The next `count` symbols of A lanes.

        cdfs : int32 [A, K, N], cumulative as from `quantised_cdf`; symbol i of this call has row i % K of its lane
        count : by default K, one symbol for each row
        lanes : A different indices; by default all B

        Returns int64 [A, count].
        """
        which = np.arange(len(self._states)) if lanes is None else np.array(lanes, np.int64)
        assert cdfs.ndim == 3 and len(cdfs) == len(which) and cdfs.shape[1] > 0
        assert len(which) == 0 or 0 <= which.min() <= which.max() < len(self._states)
        symbols = np.zeros((len(which), cdfs.shape[1] if count is None else count), np.int64)
        _pull(which, self._states, self._data, self._zeros_follow, np.ascontiguousarray(cdfs, np.int32), symbols)
        return symbols


def _pull_naive(lanes: np.ndarray, states: np.ndarray, data: np.ndarray, zeros_follow: bool, cdfs: np.ndarray,
                symbols: np.ndarray) -> None:
    for lane, cdf, row in zip(lanes, cdfs.tolist(), symbols):
        first, end, width, offset, position, status = states[lane].tolist()
        decoder = ArithmeticDecoder(data[first:end].tobytes(), 0, zeros_follow)
        decoder.width, decoder.offset, decoder.position = width, offset, position
        try:
            for i in range(len(row) if status == _FINE else 0):
                row[i] = decoder.pull(cdf[i % len(cdf)])
        except (EOFError, ValueError) as error:
            status = _AT_END if isinstance(error, EOFError) else _LOST
        states[lane] = first, end, decoder.width, decoder.offset, decoder.position, status


@numba.njit(error_model="numpy")
def _refill(state: np.ndarray, data: np.ndarray, zeros_follow: bool) -> bool:
    """Let digits in until the interval can be divided; return whether there were enough of them."""
    while state[_WIDTH] < TOTAL:
        byte, bit = state[_FIRST] + (state[_POSITION] >> 3), 0
        if byte < state[_END]:
            bit = (data[byte] >> (state[_POSITION] & 7)) & 1
        elif not zeros_follow:
            state[_STATUS] = _AT_END
            return False
        state[_WIDTH], state[_OFFSET] = 2 * state[_WIDTH], 2 * state[_OFFSET] + bit
        state[_POSITION] += 1
    return True


@numba.njit(error_model="numpy")
def _take(state: np.ndarray, cdf: np.ndarray) -> int:
    """Return the symbol in whose part the offset lies, and make that part the interval."""
    width, offset = state[_WIDTH], state[_OFFSET]
    unit, symbol, above = (offset << TOTAL_BITS) // width, 0, len(cdf)
    while symbol < above:  # the first symbol that stops after `unit`
        middle = (symbol + above) >> 1
        if cdf[middle] <= unit:
            symbol = middle + 1
        else:
            above = middle
    if symbol < len(cdf):
        start, stop = np.int64(cdf[symbol - 1] if symbol > 0 else 0), np.int64(cdf[symbol])
        a, b = (start * width + TOTAL - 1) >> TOTAL_BITS, ((stop - 1) * width) >> TOTAL_BITS
        if offset <= b:
            state[_WIDTH], state[_OFFSET] = b - a + 1, offset - a
            return symbol
    state[_STATUS] = _LOST
    return 0


@kernel("void(i8[::1], i8[:,::1], u1[::1], b1, i4[:,:,::1], i8[:,::1])", twin=_pull_naive)
def _pull(lanes: np.ndarray, states: np.ndarray, data: np.ndarray, zeros_follow: bool, cdfs: np.ndarray,
          symbols: np.ndarray) -> None:
    for i in range(len(lanes)):
        state = states[lanes[i]]
        for j in range(symbols.shape[1]):
            if state[_STATUS] == _FINE and _refill(state, data, zeros_follow):
                symbols[i, j] = _take(state, cdfs[i, j % cdfs.shape[1]])
