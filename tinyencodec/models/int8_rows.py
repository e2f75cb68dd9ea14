"""Matrices at a quarter of their size: rows of 8-bit integers, each row with a scale of its own.

    w[i, j] = scale[i] * q[i, j],    q in -127 ... 127,    scale[i] = max_j |w[i, j]| / 127

In a safetensors file `NAME` then holds the integers, int8 [R, C], and `NAME.scale` the scales, float32 [R]. A number is
off by at most half a scale, so the error of a row of normally distributed numbers is about 46 dB below the row. What
comes out of the file is the model: the product is one rounded multiplication, the same on every machine.

The bundled models' codebooks, LSTMs and language models are stored like this. Neither the official package nor the Hub
has it.
"""

from collections.abc import Mapping

import numpy as np

from tinyencodec.system.errors import require

PRECISIONS = ("float32", "half", "rows")
_TOP = 127
_SUFFIX = ".scale"


def at_precision(tensors: Mapping[str, np.ndarray], precision: str) -> dict[str, np.ndarray]:
    """Tensors as a file is to hold them.

    precision : "float32", "half" (float16), or "rows": matrices as int8 [R, C] with float32 scales [R] beside them, all
        other tensors as float16

    Raises `ValueError` for another precision, and for numbers that are not finite in the type that they are to have.
    """
    require(precision in PRECISIONS, "precision", f"one of {', '.join(PRECISIONS)}", precision)
    stored = {}
    for name, values in tensors.items():
        in_rows = precision == "rows" and values.ndim == 2
        dtype = np.dtype(np.float32 if in_rows or precision == "float32" else np.float16)
        with np.errstate(over="ignore"):
            values = np.ascontiguousarray(values, dtype)
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected numbers that are finite in {dtype}, got infinity or NaN")
        if in_rows:
            values, stored[name + _SUFFIX] = _quantize(values)
        stored[name] = values
    return stored


def unpack_rows(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors with the matrices that are stored in rows as float32 again; all others stay as they are.

    Raises `ValueError` for scales that do not fit their matrix.
    """
    tensors = {}
    for name, values in stored.items():
        if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) in stored:
            continue
        scale = stored.get(name + _SUFFIX)
        if scale is not None:
            fits = values.dtype == np.int8 and scale.dtype == np.float32
            if not fits or values.ndim != 2 or scale.shape != values.shape[:1]:
                raise ValueError(f"{name[:80]!r}: expected int8 [R, C] with float32 scales [R], got {values.dtype} "
                                 f"{list(values.shape)} with {scale.dtype} {list(scale.shape)}")
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is for others to refuse
                values = values.astype(np.float32) * scale[:, None]
        tensors[name] = values
    return tensors


def _quantize(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.abs(w).max(axis=1, initial=0) / np.float32(_TOP)
    divisor = np.where(scale > 0, scale, 1)
    return np.rint(w / divisor[:, None]).clip(-_TOP, _TOP).astype(np.int8), scale.astype(np.float32)
