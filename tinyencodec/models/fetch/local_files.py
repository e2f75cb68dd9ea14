"""Find official weights that the user already has: a file, a folder of downloads, a Hub folder, or a model folder.

    encodec_24khz-d7cc33bc.th           the official file, by its hash, whatever its name
    DIR/encodec_24khz-d7cc33bc.th       a folder of them, such as PyTorch's cache, by their names
    DIR/model.safetensors               a folder from the Hub
    DIR or DIR/encodec_24khz            a model folder that another machine has fetched or converted; its `lm` too

A file that should be the official one must have its hash. For the Hub's form of a model whose official file is
PyTorch's, and for a converted folder without `provenance.json`, there is no hash to compare with: `fetch` says so, and
their configuration and tensors still have to be those of the model.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from tinyencodec.models.official import OfficialFile
from tinyencodec.models.weight_files import find_weights
from tinyencodec.system.files import sha256_of
from tinyencodec.system.model_files import LM, WEIGHT_FILES, WEIGHTS

PROVENANCE = "provenance.json"  # what `fetch` notes beside the weights


class Weights(NamedTuple):
    """A file with the weights of a codec or of a language model, here on this machine."""

    path: Path
    sha256: str  # of this file; of the official file, if `provenance.json` tells that this one was made of it
    checked: str  # what was compared with the official hash; "" for nothing


def find_local_files(name: str, files: dict[str, OfficialFile], source: str | os.PathLike) -> dict[str, Weights]:
    """The weights of model `name` in `source`, a file or a folder: of each part ("codec", "lm") that is there.

    Raises `ValueError` if there are none, or they are not the official ones; `OSError` if they cannot be read.
    """
    source = Path(source)
    os.stat(source)  # FileNotFoundError
    if not source.is_dir():
        return dict([_identify(name, files, source)])
    found: dict[str, Weights] = {}
    for part, official in files.items():
        folders = source, source / name
        paths = [folder / official.name for folder in folders]
        paths += [find_weights(folder / LM if part == "lm" else folder) for folder in folders]
        if path := next((path for path in paths if path.is_file()), None):
            found.update([_identify(name, {part: official}, path)])
    if not found:
        names = ", ".join(official.name for official in files.values())
        raise ValueError(f"{source}: expected a folder with {names} or {WEIGHTS}, got neither")
    return found


def read_provenance(folder: Path) -> dict:
    """What `fetch` has noted in a model folder; empty if there is no such note."""
    try:
        told = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return told if isinstance(told["files"], dict) else {}
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return {}


def _identify(name: str, files: dict[str, OfficialFile], path: Path) -> tuple[str, Weights]:
    """Which part of the model a file is."""
    digest, told = sha256_of(path), read_provenance(path.parent)
    for part, official in files.items():
        if digest.startswith(official.sha256):
            known = len(official.sha256)
            return part, Weights(path, digest, "SHA-256" if known == 64 else f"first {known} hex digits of the SHA-256")
        if told.get("files", {}).get(path.name) == digest and str(told.get("sha256")).startswith(official.sha256):
            return part, Weights(path, told["sha256"], f"{PROVENANCE} beside it")
    part, official = next(iter(files.items()))
    from_hub = path.suffix == ".safetensors" or path.name in WEIGHT_FILES
    if from_hub and not told and not official.name.endswith(".safetensors"):
        return part, Weights(path, digest, "")
    expected = " or ".join(f"{official.name}, SHA-256 {official.sha256}" for official in files.values())
    raise ValueError(f"{path}: expected the official {expected}, got {digest}; `tinyencodec convert {path} {name}` "
                     "takes any weights")
