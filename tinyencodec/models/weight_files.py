"""Which files hold the weights, and what is in them: one file or several, of safetensors or of PyTorch.

A folder from the Hub has `model.safetensors`, or, if it was written in shards, several files and an index of them:

    model.safetensors.index.json    {"weight_map": {"encoder.layers.0.conv.bias": "model-00001-of-00003.safetensors"}}

and older ones the same of PyTorch's, `pytorch_model.bin`.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from tinyencodec.models.int8_rows import unpack_rows
from tinyencodec.system.errors import blame, listing, require
from tinyencodec.system.model_files import WEIGHT_FILES, WEIGHTS
from tinyencodec.system.safetensors_file import read_safetensors
from tinyencodec.system.untrusted import read_json

_INDEX = ".index.json"
_SHARD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"  # a file beside the index, never one elsewhere


def find_weights(folder: Path) -> Path:
    """The file of weights in a folder, or its index; `model.safetensors` if there is none of any name."""
    return next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), folder / WEIGHTS)


def read_weights(path: Path) -> tuple[object, list[Path]]:
    """What a file of weights holds, and the files that were read: itself, or an index and its shards.

    Of a safetensors file, its tensors by name; else what `torchfile` makes of it.

    Raises `ValueError`, naming the file, for a damaged or another one, and shards that are not those of the index;
    `OSError` as `open`.
    """
    if not path.name.endswith(_INDEX):
        return _read_file(path), [path]
    tensors: dict[str, np.ndarray] = {}
    with blame(str(path)):
        shards = _read_index(path)
    for shard, names in shards.items():
        held = _read_file(shard, unpack=False)
        keys = set(held) if isinstance(held, dict) else set()
        wrong = [f"{name[:80]!r} is missing" for name in sorted(names - keys)]
        wrong += [f"{str(name)[:80]!r} is not in the index" for name in sorted(keys - names, key=str)]
        if wrong or not isinstance(held, dict):
            raise ValueError(f"{shard}: expected the tensors that {path.name} names, got others: {listing(wrong)}")
        tensors |= held
    with blame(str(path)):
        return unpack_rows(tensors), [path, *shards]


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file under their own names, with `int8_rows` as float32.

    Raises `ValueError`, naming the file, for a damaged or another one; `OSError` as `open`.
    """
    stored = read_safetensors(path)
    with blame(str(path)):
        return unpack_rows(stored)


def _read_file(path: Path, unpack: bool = True) -> object:
    if path.suffix == ".safetensors":
        return read_tensors(path) if unpack else read_safetensors(path)
    from tinyencodec.models.torchfile import read_torch_file  # which few need

    return read_torch_file(path)


def _read_index(path: Path) -> dict[Path, set[str]]:
    """The shards that an index names, each with its tensors."""
    index = read_json(path)
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not table:
        raise ValueError(f"weight_map: expected an object with a file for each tensor, got {type(table).__name__}")
    stem, suffix = Path(path.name.removesuffix(_INDEX)).stem, Path(path.name.removesuffix(_INDEX)).suffix
    shards = defaultdict[Path, set[str]](set)
    for name, file in table.items():
        plain = isinstance(file, str) and re.fullmatch(_SHARD + re.escape(suffix), file)
        require(plain, "weight_map", f"names of {suffix} files beside it", file)
        shards[path.parent / file].add(name)
    wrong = [f"no {shard.name}" for shard in sorted(shards) if not shard.is_file()]
    wrong += [f"{file.name!r} too" for file in sorted(path.parent.glob(f"{stem}-*-of-*{suffix}")) if file not in shards]
    if wrong:
        raise ValueError(f"expected the files that it names beside it, got {listing(wrong)}")
    return dict(sorted(shards.items()))
