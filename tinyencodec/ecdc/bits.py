"""Fixed-width numbers in a stream of bytes, least significant bit first.

Number i occupies the bits i * width to (i + 1) * width - 1 of the stream, its lowest bit first, and
bit j of the stream is bit j % 8 of byte j // 8. Three 10-bit numbers a, b, c therefore begin

    byte 0: a7 a6 a5 a4 a3 a2 a1 a0      byte 1: b5 b4 b3 b2 b1 b0 a9 a8      byte 2: c3 c2 c1 c0 b9 ...

This is how an `.ecdc` file without language model stores its codes (the official package packs them
one bit buffer at a time; here NumPy packs a block at once). Both ends work on any binary file object,
block by block, never seek, and keep at most seven bits between two calls.

But: no other width than 1 to 16, and one width for the whole stream.

Chapter 11 of the tutorials walks through it.
"""

from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from tinyencodec.system.files import read_exactly

MAX_WIDTH = 16
_BLOCK = 1 << 16  # numbers packed or unpacked at once: bounds the memory for their bits


class BitWriter:
    """Write numbers of `width` bits (1 to 16) to the binary file object `fo`.

    Raises `ValueError` for another width.
    """

    def __init__(self, fo: BinaryIO, width: int) -> None:
        self._fo = fo
        self._width = _checked_width(width)
        self._pending = np.zeros(0, np.uint8)  # the bits of an unfinished byte, at most 7

    def write(self, values: ArrayLike) -> None:
        """Append integers (array of any shape, in C order), each from 0 to 2**width - 1.

        Whole bytes go to the file at once. Raises `ValueError`, before writing anything, for a value
        out of range or no integer.
        """
        values = np.asarray(values)
        if values.size == 0:
            return
        if values.dtype.kind not in "iu":
            raise ValueError(f"values: expected integers, got {values.dtype}")
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >> self._width:
            raise ValueError(f"values: expected 0 to {(1 << self._width) - 1} ({self._width} bits), "
                             f"got {low if low < 0 else high}")
        values = values.ravel()
        for start in range(0, len(values), _BLOCK):
            self._write_bits(values[start:start + _BLOCK])

    def _write_bits(self, values: np.ndarray) -> None:
        pairs = values.astype("<u2").view(np.uint8).reshape(-1, 2)  # [n] -> [n, 2 bytes]
        bits = np.unpackbits(pairs, axis=1, count=self._width, bitorder="little")  # -> [n, width]
        bits = np.concatenate([self._pending, bits.ravel()])
        whole = len(bits) & ~7
        self._fo.write(np.packbits(bits[:whole], bitorder="little").tobytes())
        self._pending = bits[whole:]

    def flush(self) -> None:
        """Complete an unfinished byte with zero bits; the next number starts at a byte boundary."""
        self._fo.write(np.packbits(self._pending, bitorder="little").tobytes())
        self._pending = self._pending[:0]


class BitReader:
    """Read numbers of `width` bits (1 to 16) from the binary file object `fo`.

    Takes no byte from the file before it is needed. Raises `ValueError` for another width.
    """

    def __init__(self, fo: BinaryIO, width: int) -> None:
        self._fo = fo
        self._width = _checked_width(width)
        self._pending = np.zeros(0, np.uint8)  # bits read but not asked for yet, at most 7

    def read(self, count: int) -> np.ndarray:
        """Return the next `count` numbers, int64 [count].

        Raises `EOFError` when the stream ends before; the reader is of no use afterwards.
        """
        if count < 0:
            raise ValueError(f"count: expected 0 or more, got {count}")
        parts = []
        for start in range(0, count, _BLOCK):  # an early end is found after what is there, not allocated for
            parts.append(self._read_bits(min(_BLOCK, count - start)))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _read_bits(self, count: int) -> np.ndarray:
        missing = count * self._width - len(self._pending)
        data = read_exactly(self._fo, (max(missing, 0) + 7) // 8, "packed codes")
        fresh = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        bits = np.concatenate([self._pending, fresh])
        used = count * self._width
        self._pending = bits[used:]
        pairs = np.packbits(bits[:used].reshape(count, self._width), axis=1, bitorder="little")  # [n, 1 or 2]
        wide = np.zeros((count, 2), np.uint8)
        wide[:, :pairs.shape[1]] = pairs
        return wide.view("<u2")[:, 0].astype(np.int64)


def _checked_width(width: int) -> int:
    if not 1 <= width <= MAX_WIDTH:
        raise ValueError(f"width: expected 1 to {MAX_WIDTH} bits, got {width}")
    return width
