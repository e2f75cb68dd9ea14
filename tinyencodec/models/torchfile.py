"""Read a PyTorch checkpoint (`.th`, `.pt`, `.bin`) without PyTorch.

Since PyTorch 1.6 such a file is a zip archive of uncompressed members: `NAME/data.pkl`, a pickle of the nested
dicts whose tensors point to storages, and `NAME/data/KEY`, the raw numbers of one storage each.

A pickle is a program, so this is a security boundary: a hostile file must neither run code nor make its reader
allocate more than the file holds. The pickle is read by `plainpickle`, which runs nothing, and the few names that a
state dict needs, such as `torch FloatStorage`, are looked up in a table here; any other stands for itself. The members
of the zip file may not be compressed, nor together claim more bytes than the file has. Each storage is read once, and
a tensor is a view of it. (bfloat16, which NumPy lacks, is the exception: float32 numbers of twice the size are kept
beside it.) The pickle and the zip directory, whose bytes cost more memory than themselves, are limited in length.

Not read: the format before PyTorch 1.6; pickled modules. Sparse, quantised and complex tensors are placeholders too.
"""

import io
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tinyencodec.models import plainpickle
from tinyencodec.system.errors import printable
from tinyencodec.system.safetensors_file import bfloat16_to_float32
from tinyencodec.system.untrusted import ZipSource

_MAX_DIMS = 8

_BFLOAT16 = "bfloat16"
_DTYPES = {  # name in the pickle -> NumPy's code of one element
    "torch FloatStorage": "f4", "torch DoubleStorage": "f8", "torch HalfStorage": "f2",
    "torch BFloat16Storage": _BFLOAT16, "torch LongStorage": "i8", "torch IntStorage": "i4",
    "torch ShortStorage": "i2", "torch CharStorage": "i1", "torch ByteStorage": "u1", "torch BoolStorage": "?"}
_ORDERED_DICT = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETERS = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")
_SUBCLASS = "torch._tensor _rebuild_from_type_v2"  # a tensor, and the class and the attributes that it is to have
_NAMES = {_ORDERED_DICT, _TENSOR, *_PARAMETERS, _SUBCLASS, *_DTYPES}

# What `zipfile` lets through for one damaged archive or another.
_ZIP_ERRORS = (zipfile.BadZipFile, EOFError, RuntimeError, OverflowError, struct.error, OSError, ValueError)


def read_torch_file(path: str | Path) -> object:
    """Return what `torch.save` wrote to `path`.

    Returns nested dicts (an OrderedDict becomes a dict, its attributes are dropped), lists, tuples, str, int, float,
    bool and None. Tensors and parameters become read-only `np.ndarray` views, perhaps neither contiguous nor in the
    machine's byte order; bfloat16 becomes float32. Containers may share children, or even contain themselves. All else
    is a `plainpickle.Foreign`.

    Raises `ValueError`, naming the file, for anything but a whole file of this format, and one of nothing but a
    `Foreign`; `OSError` where it cannot be opened.
    """
    path = Path(path)
    with ZipSource(path, "rb") as source:
        try:
            archive = _Archive(source)
            program = archive.read("data.pkl", plainpickle.MAX_BYTES)
            return plainpickle.load(program, _NAMES, _call, archive.storage)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


class _Archive:
    """The members of the zip file, checked: stored as they are, and no larger together than the file."""

    def __init__(self, source: ZipSource) -> None:
        start = source.read(4)
        if start[:2] != b"PK":
            hint = " (the format before PyTorch 1.6?)" if start[:1] == b"\x80" else ""
            raise ValueError(f"expected a PyTorch zip file, got one that starts with {start!r}{hint}")
        file_size = source.seek(0, io.SEEK_END)
        try:
            self.zip = zipfile.ZipFile(source)
        except _ZIP_ERRORS as error:
            raise ValueError(f"expected a whole zip file, got a damaged one: {printable(error)}") from None
        source.limit = file_size
        members = self.zip.infolist()
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError(f"zip member {member.filename[:80]!r}: expected it uncompressed, got method "
                                 f"{member.compress_type}, {member.compress_size} for {member.file_size} bytes")
            if member.flag_bits & 0x61 or not 0 <= member.header_offset < file_size:  # encrypted or patched
                raise ValueError(f"zip member {member.filename[:80]!r}: expected a plain one inside the file, got "
                                 f"flags {member.flag_bits:#x} and offset {member.header_offset}")
        total = sum(member.file_size for member in members)
        if total > file_size:
            raise ValueError(f"expected zip members of at most {file_size} bytes together, got {total}")
        pickles = [m.filename for m in members if m.filename.endswith("/data.pkl") and m.filename.count("/") == 1]
        if len(pickles) != 1:
            raise ValueError(f"expected one data.pkl in the zip file, got {len(pickles)}")
        self.root = pickles[0].removesuffix("data.pkl")
        byte_order = "little"
        if self.root + "byteorder" in self.zip.NameToInfo:  # PyTorch 2.1 and later
            byte_order = self.read("byteorder", limit=16).decode("ascii", "replace")
        if byte_order not in ("little", "big"):
            raise ValueError(f"expected byteorder little or big, got {byte_order!r}")
        self.order = "<" if byte_order == "little" else ">"
        self.raw: dict[str, bytes] = {}  # storages read so far, by key
        self.converted: dict[str, np.ndarray] = {}  # those of bfloat16 as float32

    def size(self, name: str) -> int:
        """Bytes of a member."""
        if self.root + name not in self.zip.NameToInfo:
            raise ValueError(f"expected zip member {self.root[:80] + name[:80]!r}, got none of that name")
        return self.zip.NameToInfo[self.root + name].file_size

    def read(self, name: str, limit: int | None = None) -> bytes:
        """A member's bytes, at most `limit` of them, its checksum verified."""
        size = self.size(name)
        if limit is not None and size > limit:
            raise ValueError(f"zip member {name}: expected at most {limit} bytes, got {size}")
        try:
            return self.zip.read(self.root + name)
        except _ZIP_ERRORS as error:
            raise ValueError(f"zip member {name[:80]!r}: expected {size} whole bytes, "
                             f"got {printable(error) or 'fewer'}") from None

    def storage(self, label: Any) -> np.ndarray | plainpickle.Foreign:
        """The numbers [S] of the storage that a label ('storage', type, key, device, S) names."""
        if isinstance(label, tuple) and len(label) == 5 and isinstance(label[1], plainpickle.Foreign):
            return label[1]  # of a type that NumPy lacks
        kinds = [type(part) for part in label] if isinstance(label, tuple) else []
        if kinds != [str, plainpickle.Name, str, str, int] or label[0] != "storage" or label[1].text not in _DTYPES:
            raise ValueError(f"expected a storage's label, got a {type(label).__name__} of another form")
        _, kind, key, _, length = label
        code = _DTYPES[kind.text]
        item = 2 if code == _BFLOAT16 else np.dtype(code).itemsize
        size = self.size(f"data/{key}")
        if length * item != size:
            raise ValueError(f"storage {key[:80]!r}: expected {length} x {item} bytes, got {size}")
        if key not in self.raw:
            self.raw[key] = self.read(f"data/{key}")
        if code != _BFLOAT16:
            return np.frombuffer(self.raw[key], self.order + code)
        if key not in self.converted:
            self.converted[key] = bfloat16_to_float32(np.frombuffer(self.raw[key], self.order + "u2"))
            self.converted[key].flags.writeable = False
        return self.converted[key]


def _call(name: str, arguments: tuple) -> object:
    """What the call of a known name stands for; one that needs a placeholder is that placeholder."""
    if name == _SUBCLASS and len(arguments) >= 3 and type(arguments[0]) is plainpickle.Name \
            and arguments[0].text != _SUBCLASS and isinstance(arguments[2], tuple):
        name, arguments = arguments[0].text, arguments[2]
    if name not in _DTYPES and arguments and isinstance(arguments[0], plainpickle.Foreign):
        return arguments[0]
    if name == _TENSOR and len(arguments) >= 4:
        return _tensor(*arguments[:4])
    if name in _PARAMETERS and arguments and isinstance(arguments[0], np.ndarray):
        return arguments[0]
    if name == _ORDERED_DICT and not arguments:
        return {}
    raise ValueError(f"expected the making of a tensor or of an empty dict, got {name!r} of {len(arguments)} arguments")


def _tensor(storage: Any, offset: Any, sizes: Any, strides: Any) -> np.ndarray:
    """A view of a storage [S]; `offset` and `strides` count elements."""
    if not isinstance(storage, np.ndarray) or storage.ndim != 1:
        raise ValueError(f"expected a tensor's storage, got {type(storage).__name__}")
    numbers = [offset, *sizes, *strides] if isinstance(sizes, tuple) and isinstance(strides, tuple) else []
    if not (numbers and len(sizes) == len(strides) <= _MAX_DIMS and all(type(n) is int and n >= 0 for n in numbers)):
        raise ValueError(f"expected a tensor's offset, sizes and strides as counts of at most {_MAX_DIMS} dimensions, "
                         f"got {len(numbers)} values, not all of them counts")
    count = math.prod(sizes)
    end = offset + (1 + sum((size - 1) * step for size, step in zip(sizes, strides, strict=True)) if count else 0)
    if count > storage.size or end > storage.size:
        raise ValueError(f"expected a tensor inside its storage of {storage.size} elements, "
                         f"got offset {offset}, sizes {sizes}, strides {strides}")
    if count == 0:
        return storage[:0].reshape(sizes)
    # The stride of a dimension of size 1 is never used and may be anything.
    steps = [step * storage.itemsize if size > 1 else 0 for size, step in zip(sizes, strides, strict=True)]
    return np.ndarray(sizes, storage.dtype, storage.data, offset * storage.itemsize, steps)
