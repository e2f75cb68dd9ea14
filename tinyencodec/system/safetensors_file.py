"""Reading safetensors files that nobody vouches for."""

from pathlib import Path

import numpy as np
import safetensors

from tinyencodec.system.errors import printable
from tinyencodec.system.untrusted import check_header

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2",
           "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8"}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file under their own names; bfloat16, which NumPy lacks, as float32.

    Raises `ValueError`, naming the file, for a damaged or another one; `OSError` as `open`.
    """
    tensors = {}
    try:
        check_header(path)
        with safetensors.safe_open(path, "numpy") as file:
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}
            if set(dtypes.values()) <= {"F16", "F32", "F64", "I8"}:  # one by one: the file is not in memory besides
                return {name: file.get_tensor(name) for name in dtypes}
        for name, entry in safetensors.deserialize(path.read_bytes()):
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"tensor {name[:80]!r}: expected one of {', '.join(_DTYPES)}, got {entry['dtype']}")
            array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]])
            array = bfloat16_to_float32(array) if entry["dtype"] == "BF16" else array
            tensors[name] = array.reshape(entry["shape"])
        return tensors
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected a whole safetensors file, got a damaged or another one: "
                         f"{printable(error)}") from None


def bfloat16_to_float32(bits: np.ndarray) -> np.ndarray:
    """Numbers of the same shape from bfloat16 bit patterns (uint16): float32 with the lower 16 bits zero."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
