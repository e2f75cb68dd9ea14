"""Official weights that the user already has: a file, a folder of downloads, a Hub folder, or a model folder.

    encodec_24khz-d7cc33bc.th           the official file, by its hash, whatever its name
    DIR/encodec_24khz-d7cc33bc.th       a folder of them, such as PyTorch's cache, by their names
    DIR/model.safetensors               a folder from the Hub
    DIR or DIR/encodec_24khz            a model folder that another machine has fetched or converted; its `lm` too

What claims to be an official file has to have its hash. For a Hub folder of a model whose official file is another
one, and for a model folder without `provenance.json`, there is nothing to compare with: that is told, and their
tensors still have to be those of the model.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from tinyencodec.models.official import Official, OfficialFile, Part, checked_by, sha256_of

PROVENANCE = "provenance.json"
WEIGHTS = "model.safetensors"
TABLES = "tables.safetensors"  # `tables.FILE_NAME`, without the compiler that its module needs


class Handed(NamedTuple):
    """Where the weights of one part of a model lie, and what is known of them."""

    part: Part
    path: Path  # a file, or a model folder
    sha256: str  # of the file, or of the folder's model.safetensors
    checked: str  # what was compared: see `official.checked_by`; "" for nothing
    half: bool = False  # stored as float16


def find_handed(name: str, entry: Official, source: str | os.PathLike) -> list[Handed]:
    """The parts of model `name` in `source`, the codec first.

    Raises `ValueError` if there are none, or one that should be official is not; `OSError` if it cannot be read.
    """
    source = Path(source)
    os.stat(source)  # FileNotFoundError
    if not source.is_dir():
        return [_file(name, entry, source)]
    found = []
    for part, official in entry.parts().items():
        for path in (source / official.name, source / name / official.name):
            if path.is_file():
                found.append(Handed(part, path, _require(name, official, path), checked_by(official)))
                break
    folder = next((place for place in (source, source / name) if (place / "config.json").is_file()), None)
    if folder is not None and all(each.part != "codec" for each in found):
        found.insert(0, _folder(name, entry.codec, "codec", folder))
    if folder is not None and entry.lm is not None and all(each.part != "lm" for each in found) \
            and (folder / "lm" / "config.json").is_file():
        found.append(_folder(name, entry.lm, "lm", folder / "lm"))
    if not found:
        names = ", ".join(official.name for official in entry.parts().values())
        raise ValueError(f"{source}: expected a folder with {names}, or with config.json and {WEIGHTS}, got neither")
    return found


def _file(name: str, entry: Official, path: Path) -> Handed:
    digest = sha256_of(path)
    for part, official in entry.parts().items():
        if digest.startswith(official.sha256):
            return Handed(part, path, digest, checked_by(official))
    if path.suffix == ".safetensors" and not entry.codec.name.endswith(".safetensors"):
        return Handed("codec", path, digest, "")
    _require(name, next((each for each in entry.parts().values() if each.name == path.name), entry.codec), path, digest)
    raise AssertionError("a hash that fits was found above")


def _folder(name: str, official: OfficialFile, part: Part, folder: Path) -> Handed:
    """A Hub folder or a model folder."""
    weights = folder / WEIGHTS
    digest = sha256_of(weights)
    if digest.startswith(official.sha256):
        return Handed(part, weights, digest, checked_by(official))
    if (folder / PROVENANCE).is_file():
        told = _provenance(folder)
        origin = told.get("sha256")
        if not isinstance(origin, str) or not origin.startswith(official.sha256):
            raise ValueError(f"{folder / PROVENANCE}: expected a folder made of a file whose SHA-256 is "
                             f"{official.sha256}, got {origin!r:.80}; {_any_weights(folder, name)}")
        for file, expected in told["files"].items():
            actual = sha256_of(folder / file)
            if actual != expected:
                raise ValueError(f"{folder / file}: expected SHA-256 {expected}, as {PROVENANCE} says, got {actual}; "
                                 f"{_any_weights(folder, name)}")
        return Handed(part, folder, origin, f"{PROVENANCE} beside it", told.get("stored") == "float16")
    if official.size == weights.stat().st_size:  # the official file, damaged
        _require(name, official, weights, digest)
    return Handed(part, folder, digest, "")


def _provenance(folder: Path) -> dict:
    try:
        told = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        if {"config.json", WEIGHTS} == told["files"].keys():
            return told
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"{folder / PROVENANCE}: expected a JSON object with the hashes of config.json and {WEIGHTS}, got "
                     "another file")


def _require(name: str, official: OfficialFile, path: Path, digest: str | None = None) -> str:
    """The hash of a file that has to be the official one."""
    digest = digest or sha256_of(path)
    if not digest.startswith(official.sha256):
        raise ValueError(f"{path}: expected the official {official.name}, SHA-256 {official.sha256}"
                         f"{'...' * (len(official.sha256) < 64)}, got {digest}; {_any_weights(path, name)}")
    return digest


def _any_weights(path: Path, name: str) -> str:
    return f"`tinyencodec convert {path} {name}` takes any weights"
