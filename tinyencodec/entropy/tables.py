"""Static tables: how often each codebook uses each entry, and a coder that spends fewer bits on the frequent ones.

A codebook's entries are not used equally often, so that log2(N) bits per code are more than its entropy. A table
holds one byte for each entry: its code length c in sixteenths of a bit, for a probability near 2^(-c / 16). The units
of 2^24 that an entry owns follow in integers alone, so that they are the same on every machine:

    w[n] = floor(2^(30 - c[n] / 16)),    units[n] = 2 + floor((2^24 - 2 N) w[n] / sum of w)

Any bytes make a usable table; `train.tables` fits them to recordings.

(The official package has no such coder; its language model in place of the table is what the paper, section 3.3, has.)

But: codes are taken as independent of each other, of the recording and of the time.

Chapter 12 of the tutorials walks through it.
"""

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyencodec.entropy.arithmetic import MAX_SYMBOLS, MIN_UNITS, TOTAL, TOTAL_BITS, bounds
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder, encode_symbols
from tinyencodec.entropy.rate import RateSearch, bits_of
from tinyencodec.system.errors import blame, check_codes, require
from tinyencodec.system.model_files import TABLES

TENSOR = "code_lengths"
# floor(2^(30 - j/16)): the sixteenth root of 2^(480 - j), as four square roots, each rounded down.
_POWERS = np.array([math.isqrt(math.isqrt(math.isqrt(math.isqrt(1 << 480 - j)))) for j in range(16)], np.int64)


def table_cdf(tables: np.ndarray) -> np.ndarray:
    """Cumulative units of 2^24 from code lengths: uint8 [K, N] -> int32 [K, N]; integers only, see above."""
    lengths = tables.astype(np.int64)
    weights = _POWERS[lengths & 15] >> (lengths >> 4)
    spare = TOTAL - MIN_UNITS * tables.shape[1]
    units = MIN_UNITS + spare * weights // weights.sum(axis=1, keepdims=True)  # products below 2^54
    return np.cumsum(units, axis=1).astype(np.int32)


def tables_id(tables: np.ndarray) -> str:
    """What names these tables in a file: 16 hex digits of the SHA-256 of their sizes and bytes."""
    text = f"tinyencodec tables 1: {tables.shape[0]} x {tables.shape[1]}\n".encode()
    return hashlib.sha256(text + np.ascontiguousarray(tables).tobytes()).hexdigest()[:16]


class TableCoder:
    """Code blocks of codes with static tables, uint8 [K, N] (see `load_tables`).

    Blocks are independent. Within one, all codes of frame 0 come first, then those of frame 1 and so on; the first k
    tables code a block of k codebooks.

    Attributes
    ----------
    kind : "table"
    id : `tables_id` of the tables

    Raises `ValueError` for tables of another dtype or shape.
    """

    kind = "table"

    def __init__(self, tables: np.ndarray) -> None:
        tables = np.asarray(tables)
        check_shape(tables.shape, "tables")
        require(tables.dtype == np.uint8, "tables", "uint8", tables.dtype)
        self.id = tables_id(tables)
        self.n_codebooks, self.n_entries = tables.shape
        self._cdf = table_cdf(tables)

    def encode(self, blocks: Sequence[np.ndarray]) -> list[bytes]:
        """Each block of codes, int [k, F] with 1 <= k <= K and each code 0 ... N-1, as bytes.

        Raises `ValueError` for other codes.
        """
        return [self._encode(self._checked(block)) for block in blocks]

    def choose(self, blocks: Sequence[np.ndarray], search: RateSearch) -> list[tuple[np.ndarray, bytes]]:
        """Codes chosen by error and bits (`rate`), int32 [k, F], and their bytes, of blocks of latents float32 [D, F].

        `ValueError` for more codebooks than there are tables.
        """
        k = search.n_codebooks
        require(k <= self.n_codebooks, "codebooks", f"1 to {self.n_codebooks} with these tables", k)
        bits, chosen = bits_of(self._cdf[:k])[:, None], []  # [k, 1, N]
        for block in blocks:
            z = np.ascontiguousarray(block.T)  # [D, F] -> [F, D]
            codes = search.choose(z, bits * search.price(z))
            chosen.append((codes, self._encode(codes)))
        return chosen

    def _encode(self, codes: np.ndarray) -> bytes:
        start, stop = bounds(self._cdf[None, :len(codes)], codes.T)  # each [F, k]
        return encode_symbols(start.ravel(), stop.ravel(), shortest=True)

    def decode(self, payloads: Sequence[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]:
        """The blocks again, int64 [n_codebooks, F] each, from pairs (bytes, F).

        The caller must limit F: all F codes are in memory, however few bytes there are. Raises `ValueError` for bytes
        that no codes lead to, as far as that can be seen, and for more codebooks than there are tables.
        """
        require(1 <= n_codebooks <= self.n_codebooks, "codebooks", f"1 to {self.n_codebooks} with these tables",
                n_codebooks)
        return [self._decode(data, n_frames, n_codebooks) for data, n_frames in payloads]

    def _decode(self, data: bytes, n_frames: int, n_codebooks: int) -> np.ndarray:
        decoder = LaneDecoder([data])
        codes = decoder.pull(self._cdf[None, :n_codebooks], n_codebooks * n_frames)
        decoder.check()
        return np.ascontiguousarray(codes.reshape(n_frames, n_codebooks).T)

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """Bits that the codes of each codebook cost, without the rounding at the end: int [k, F] -> float64 [k]."""
        codes = self._checked(codes)
        start, stop = bounds(self._cdf[None, :len(codes)], codes.T)  # each [F, k]
        return (TOTAL_BITS - np.log2(stop - start)).sum(axis=0)

    def _checked(self, codes: np.ndarray) -> np.ndarray:
        return check_codes(np.asarray(codes), self.n_codebooks, self.n_entries)


def check_shape(shape: tuple[int, ...], what: str) -> None:
    """`ValueError` unless tables, or counts for them, can have this shape."""
    require(len(shape) == 2 and shape[0] >= 1 and 2 <= shape[1] <= MAX_SYMBOLS, what,
            f"shape [1 or more, 2 to {MAX_SYMBOLS}]", list(shape))


# ---- files -------------------------------------------------------------------------------------------


def load_tables(path: str | os.PathLike) -> np.ndarray:
    """Read tables, uint8 [K, N], from the file `path`, or from `tables.safetensors` in the folder `path`.

    Raises `OSError` if there is no such file, `ValueError` (naming it) if it holds no tables.
    """
    from tinyencodec.system.safetensors_file import read_safetensors

    path = table_file(path)
    tensors = read_safetensors(path)
    if set(tensors) != {TENSOR} or tensors[TENSOR].dtype != np.uint8:
        found = ", ".join(f"{name[:40]!r} {array.dtype}" for name, array in list(tensors.items())[:4]) or "none"
        raise ValueError(f"{path}: expected one tensor {TENSOR!r} uint8, got {found}")
    with blame(str(path)):
        check_shape(tensors[TENSOR].shape, TENSOR)
    return tensors[TENSOR].copy()


def table_file(path: str | os.PathLike) -> Path:
    """`tables.safetensors` in the folder `path`, or the file itself."""
    return Path(path) / TABLES if os.path.isdir(path) else Path(path)
