"""Files such as `torch.save` writes, made without PyTorch: a pickle of protocol 2 assembled by hand, in a zip file."""

import struct
import zipfile
from pathlib import Path

import numpy as np

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "i4": "IntStorage",
            "i2": "ShortStorage", "i1": "CharStorage", "u1": "ByteStorage", "b1": "BoolStorage"}
ORDERED_DICT = b"ccollections\nOrderedDict\n)R"  # an empty one: name, no arguments, call


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def storage(key: str, length: int, kind: str = "FloatStorage") -> bytes:
    """A persistent id: which member holds the numbers, of which type, and how many."""
    label = text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + integer(length)
    return b"(" + label + b"tQ"


def tensor(of: bytes, offset: int, sizes: tuple, strides: tuple) -> bytes:
    """The call that makes a view of a storage."""
    arguments = of + value(offset) + value(sizes) + value(strides) + b"\x89" + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def value(x: object, members: dict[str, bytes] | None = None) -> bytes:
    """The opcodes that make `x`; the numbers of arrays in it are added to `members`."""
    if x is None or isinstance(x, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[x]
    if isinstance(x, int):
        return integer(x)
    if isinstance(x, float):
        return b"G" + struct.pack(">d", x)
    if isinstance(x, str):
        return text(x)
    if isinstance(x, (tuple, list)):
        items = b"".join(value(item, members) for item in x)
        return b"(" + items + b"t" if isinstance(x, tuple) else b"](" + items + b"e"
    if isinstance(x, dict):
        items = b"".join(value(key) + value(item, members) for key, item in x.items())
        attributes = b"}" + text("_metadata") + ORDERED_DICT + b"sb"  # as a state dict has
        return ORDERED_DICT + b"(" + items + b"u" + attributes
    key = str(len(members))
    members[f"data/{key}"] = x.tobytes()
    strides = [int(np.prod(x.shape[i + 1:])) for i in range(x.ndim)]
    return tensor(storage(key, x.size, STORAGES[x.dtype.str[1:]]), 0, tuple(x.shape), tuple(strides))


def torch_zip(path: Path, program: bytes, members: dict[str, bytes], root: str = "archive", byteorder: str = "little",
              compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip file with the given pickle (protocol and STOP are added) and storages."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", b"\x80\x02" + program + b".")
        archive.writestr(f"{root}/byteorder", byteorder)
        for name, data in members.items():
            archive.writestr(f"{root}/{name}", data)
    return path


def torch_file(path: Path, x: object) -> Path:
    """What `torch.save(x, path)` would write, arrays being tensors."""
    members: dict[str, bytes] = {}
    return torch_zip(path, value(x, members), members)
