"""Arrays and facts of a codes file (`codes_file`), from untrusted `.npz` and `.safetensors` files.

Files are read as if an enemy had made them. Nothing in them is run: no pickles, and no header that is evaluated, as
`numpy.load` does with care. Types and shapes are checked before memory is taken, and no array can be larger than the
file, since compressed members (`numpy.savez_compressed`) are refused. Checksums of `.npz` members are checked.
"""

import math
import os
import re
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np

from tinyencodec.system.errors import require
from tinyencodec.system.safetensors_file import DTYPES, open_safetensors
from tinyencodec.system.untrusted import ZipSource

SUFFIXES = (".npz", ".safetensors")
FACTS = {"model": str, "sample_rate": int, "bandwidth": float, "length": int, "version": int}
_ARRAYS = {"codes": (2, "iu", "integers"), "scales": (1, "f", "floats")}  # dimensions, kinds, in words
_KINDS = {str: "U", int: "iu", float: "fiu"}
_MAX_TEXT = 400  # bytes of a text in an .npz file: 100 letters
# How a .npy array begins (NumPy's format version 1.0): matched letter by letter, so that nothing need be evaluated.
_START, _MAGIC = struct.Struct("<8sH"), b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '([<>|](?:[iu][1248]|f[248])|[<>]U\d{1,3})', 'fortran_order': (True|False), "
                     rb"'shape': \(((?:\d{1,15}, ?)*(?:\d{1,15})?)\), \} *\n")


def codes_kind(path: str | os.PathLike) -> str:
    """".npz" or ".safetensors"; `ValueError` for another suffix."""
    kind = Path(path).suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{os.fspath(path)}: expected a name ending in {' or '.join(SUFFIXES)}, "
                         f"got {kind or 'no suffix'}")
    return kind


def read_npz(fo: ZipSource) -> tuple[dict, dict]:
    """The arrays "codes" and, if there is one, "scales" of an `.npz` file, and its `FACTS`.

    fo : a file at its start

    Raises `ValueError` for another or a damaged file, and for other types, dimensions or sizes than told.
    """
    try:
        with zipfile.ZipFile(fo) as archive:
            fo.limit = os.fstat(fo.fileno()).st_size
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            _check_names(set(members))
            arrays = {name: _read_member(archive, members[name], name) for name in _ARRAYS if name in members}
            facts = {name: kind(_one(_read_member(archive, members[name], name), name)) for name, kind in FACTS.items()}
            return arrays, facts
    except (zipfile.BadZipFile, RuntimeError, OverflowError, EOFError, OSError, struct.error, IndexError) as error:
        raise ValueError(f"expected a whole .npz file, got a damaged or another one: {error!r:.80}") from None


def read_safetensors(path: str | os.PathLike) -> tuple[dict, dict]:
    """As `read_npz`, with the `FACTS` from the metadata."""
    with open_safetensors(path) as file:
        facts = file.metadata() or {}
        _check_names(set(_ARRAYS) & set(file.keys()) | set(FACTS) & set(facts))
        arrays = {}
        for name in set(_ARRAYS) & set(file.keys()):
            part = file.get_slice(name)
            dtype = DTYPES.get(part.get_dtype())
            require(dtype, name, "a type that NumPy has", part.get_dtype())
            _check_array(name, tuple(part.get_shape()), np.dtype(dtype).kind)
            arrays[name] = file.get_tensor(name)
    return arrays, {name: _fact(name, kind, facts[name]) for name, kind in FACTS.items()}


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> np.ndarray:
    """One array, whose type, shape and size are checked before it is read."""
    stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    require(stored, name, "an array as numpy.savez stores it", "a compressed one (numpy.savez_compressed)")
    assert archive.fp is not None
    room = os.fstat(archive.fp.fileno()).st_size
    with archive.open(info) as member:
        start = member.read(_START.size)
        magic, n = _START.unpack(start) if len(start) == _START.size else (start, 0)
        header = member.read(n)
        found = _HEADER.fullmatch(header)
        require(magic == _MAGIC and found, name, "the header of a plain .npy array of version 1.0", header or magic)
        assert found is not None
        dtype, shape = np.dtype(found[1].decode()), tuple(int(size) for size in re.findall(rb"\d+", found[3]))
        if name in _ARRAYS:
            _check_array(name, shape, dtype.kind)
        else:
            require(shape == () and dtype.kind in _KINDS[FACTS[name]] and dtype.itemsize <= _MAX_TEXT, name,
                    f"one {FACTS[name].__name__}", f"{dtype} {list(shape)}")
        size = math.prod(shape) * dtype.itemsize
        claimed = f"{size} bytes for {list(shape)} of {dtype}"
        require(size == info.file_size - _START.size - n and size <= room, name, claimed,
                f"{info.file_size - _START.size - n} in a file of {room}")
        data = member.read(size)
        require(len(data) == size and not member.read(1), name, claimed, len(data))  # at the end zipfile checks the CRC
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if found[2] == b"True" else "C")
    return np.ascontiguousarray(array, dtype.newbyteorder("=")).reshape(shape)


def _one(array: np.ndarray, name: str) -> str | int | float:
    """The one value of an array without dimensions."""
    if array.dtype.kind == "U":  # NumPy stumbles over what is no letter of Unicode
        letters = np.frombuffer(array.tobytes(), np.uint32)
        require(not letters.size or letters.max() <= sys.maxunicode, name, "text", "something else")
    value: str | int | float = array.item()
    return value


def _check_names(names: set) -> None:
    missing = [name for name in ("codes", *FACTS) if name not in names]
    require(not missing, "codes file", "codes, model, sample_rate, bandwidth, length, version",
            f"one without {', '.join(missing)}")


def _check_array(name: str, shape: tuple, kind: str) -> None:
    n, kinds, words = _ARRAYS[name]
    require(len(shape) == n and min(shape) >= 0 and kind in kinds, name, f"{words} in {n} dimension(s)",
            f"{list(shape)} of kind {kind}")


def _fact(name: str, kind: type, text: str) -> str | int | float:
    try:
        return kind(text[:_MAX_TEXT])
    except ValueError:
        raise ValueError(f"{name}: expected {kind.__name__} in the metadata, got {text!r:.80}") from None
