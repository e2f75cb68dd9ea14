"""safetensors files: reading untrusted ones, and the beginning of those that we write."""

import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from tinyencodec.system.errors import blame, printable, require
from tinyencodec.system.untrusted import check_header

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2",
          "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8"}  # those that NumPy has


@contextmanager
def open_safetensors(path: str | os.PathLike) -> Iterator[Any]:
    """The library's open file, as `safetensors.safe_open` gives it, once its header is known to be short enough.

    Raises `ValueError` for a damaged or another file, in the block too; `OSError` as `open`.
    """
    try:
        check_header(Path(path))
        with safetensors.safe_open(path, "numpy") as file:
            yield file
    except (safetensors.SafetensorError, OverflowError) as error:
        raise ValueError(f"expected a whole safetensors file, got a damaged or another one: "
                         f"{printable(error)}") from None


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file under their own names; bfloat16, which NumPy lacks, as float32.

    Raises `ValueError`, naming the file, for a damaged or another one; `OSError` as `open`.
    """
    with blame(str(path)), open_safetensors(path) as file:
        dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}
        if set(dtypes.values()) <= {"F16", "F32", "F64", "I8"}:  # one by one: the whole file is not in memory as well
            return {name: file.get_tensor(name) for name in dtypes}
        known, tensors = DTYPES | {"BF16": "<u2"}, {}
        for name, entry in safetensors.deserialize(path.read_bytes()):
            require(entry["dtype"] in known, f"tensor {name[:80]!r}", f"one of {', '.join(known)}", entry["dtype"])
            array = np.frombuffer(entry["data"], known[entry["dtype"]])
            array = bfloat16_to_float32(array) if entry["dtype"] == "BF16" else array
            tensors[name] = array.reshape(entry["shape"])
        return tensors


def safetensors_header(tensors: Mapping[str, tuple[np.dtype, Sequence[int]]], metadata: dict[str, str]) -> bytes:
    """How a file begins whose tensors, of these types and shapes, follow in this order, little-endian, without gaps.

    tensors : (dtype, shape) by name; of integers or floats
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": f"{dtype.kind.upper()}{8 * dtype.itemsize}", "shape": list(shape),
                        "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """Numbers of the same shape from bfloat16 bit patterns (uint16): float32 with the lower 16 bits zero."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
