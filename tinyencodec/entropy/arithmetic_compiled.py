"""The arithmetic coder, compiled: a whole message in one call, several messages side by side.

Bit for bit the coder of `arithmetic`, whose classes are the twins here. Two things differ. The encoder cannot keep
`low` as one long integer: its last digits are an int64, those before are bytes that only a carry can still change,
and each carry ends at the first byte that is not full. The decoder's state (width, offset, position) is a row of an
array, one for each message or "lane", so that one call continues all of them: a language model that predicts
the next codes of several blocks at once needs all their last codes first.

But: the lanes are decoded one after the other; this saves calls, not arithmetic.

Chapter 12 of the tutorials walks through it.
"""

from collections.abc import Sequence

import numpy as np

from tinyencodec.entropy.arithmetic import (
    IMPOSSIBLE,
    MIN_UNITS,
    REVERSED,
    TOTAL,
    TOTAL_BITS,
    ArithmeticDecoder,
    ArithmeticEncoder,
)
from tinyencodec.system.compiler.jit import inlined, kernel
from tinyencodec.system.errors import require

_FIRST, _END, _WIDTH, _OFFSET, _POSITION, _LOST = range(6)  # columns of the lanes' states


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


@inlined
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

    A lane in an impossible state yields symbols 0 from there on; `check` tells.

    payloads : B messages
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._data = np.frombuffer(bytearray(b"".join(payloads)), np.uint8)
        ends = np.cumsum([len(payload) for payload in payloads], dtype=np.int64)
        self._states = np.zeros((len(ends), 6), np.int64)
        self._states[1:, _FIRST], self._states[:, _END], self._states[:, _WIDTH] = ends[:-1], ends, 1

    @property
    def position(self) -> np.ndarray:
        """Bits that each lane has read, int64 [B]; zeros past the end count too."""
        return self._states[:, _POSITION].copy()

    def check(self) -> None:
        """Raise `ValueError` unless symbols have led to the bits of each lane, and no byte of it is left over."""
        for first, end, _, _, position, lost in self._states.tolist():
            if lost:
                raise ValueError(IMPOSSIBLE)
            size = -(-position // 8)
            require(end - first <= size, "coded bits", f"at most {size} bytes", end - first)

    def pull(self, cdfs: np.ndarray, count: int | None = None) -> np.ndarray:
        """The next `count` symbols of each lane.

        cdfs : int32 [B, K, N], cumulative as from `quantised_cdf`; symbol i of this call has row i % K of its lane
        count : by default K, one symbol for each row

        Returns int64 [B, count].
        """
        assert cdfs.ndim == 3 and len(cdfs) == len(self._states) and cdfs.shape[1] > 0
        symbols = np.zeros((len(cdfs), cdfs.shape[1] if count is None else count), np.int64)
        _pull(self._states, self._data, np.ascontiguousarray(cdfs, np.int32), symbols)
        return symbols


def _pull_naive(states: np.ndarray, data: np.ndarray, cdfs: np.ndarray, symbols: np.ndarray) -> None:
    for state, cdf, row in zip(states, cdfs.tolist(), symbols):
        first, end, width, offset, position, lost = state.tolist()
        decoder = ArithmeticDecoder(data[first:end].tobytes())
        decoder.width, decoder.offset, decoder.position = width, offset, position
        try:
            for i in range(0 if lost else len(row)):
                row[i] = decoder.pull(cdf[i % len(cdf)])
        except ValueError:
            lost = True
        state[:] = first, end, decoder.width, decoder.offset, decoder.position, lost


@inlined
def _refill(state: np.ndarray, data: np.ndarray) -> None:
    """Let digits in until the interval can be divided."""
    while state[_WIDTH] < TOTAL:
        byte, bit = state[_FIRST] + (state[_POSITION] >> 3), 0
        if byte < state[_END]:
            bit = (data[byte] >> (state[_POSITION] & 7)) & 1
        state[_WIDTH], state[_OFFSET] = 2 * state[_WIDTH], 2 * state[_OFFSET] + bit
        state[_POSITION] += 1


@inlined
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
    state[_LOST] = 1
    return 0


@kernel("void(i8[:,::1], u1[::1], i4[:,:,::1], i8[:,::1])", twin=_pull_naive)
def _pull(states: np.ndarray, data: np.ndarray, cdfs: np.ndarray, symbols: np.ndarray) -> None:
    for lane in range(len(states)):
        state = states[lane]
        for j in range(symbols.shape[1]):
            if not state[_LOST]:
                _refill(state, data)
                symbols[lane, j] = _take(state, cdfs[lane, j % cdfs.shape[1]])
