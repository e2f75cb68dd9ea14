"""Put weights into the store as a model folder, all at once: `load_model` finds the whole model or nothing.

The folder is built in a hidden one beside its place, brought to the disk, and renamed. What an interruption leaves, be
it of power, is hidden, and cleared away by the next call. What is replaced is moved into the hidden folder first, and
comes back if its successor did not take its place.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from tinyencodec.codec.config import CodecConfig
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.convert import convert
from tinyencodec.models.fetch.local_files import PROVENANCE, TABLES, WEIGHTS, Handed
from tinyencodec.models.official import OFFICIAL, sha256_of
from tinyencodec.version import __version__


class Brought(NamedTuple):
    """The weights of one part, and where they are from: an address or a path."""

    handed: Handed
    origin: str


def install(folder: Path, brought: list[Brought], half: bool, tell: Callable[[str], object]) -> None:
    """Make `folder`, whose name is the model's, of a codec and perhaps its language model; or only its `lm`.

    Replaces what is there. Only one process at a time may do so.

    Raises `ValueError` for weights that are not those of the model, `OSError` if the folder cannot be written.
    """
    scratch = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        for each in brought:
            dest = scratch / folder.name if each.handed.part == "codec" else scratch / folder.name / "lm"
            _build(folder.name, each, dest, half or each.handed.half)
            if not each.handed.checked:
                tell(f"{folder.name}: not checked, since no hash is known for {each.origin}: its SHA-256 is "
                     f"{each.handed.sha256}")
        whole = any(each.handed.part == "codec" for each in brought)
        new, place, old = (scratch / folder.name, folder, scratch / "old") if whole else \
            (scratch / folder.name / "lm", folder / "lm", scratch / "old-lm")
        _sync(new)
        if place.exists() or place.is_symlink():
            place.rename(old)
        new.rename(place)
    finally:
        tidy(folder)


def tidy(folder: Path) -> bool:
    """Clear away what is left of installing `folder`; put back what was about to be replaced, and tell whether."""
    back = False
    for left in leftovers(folder):
        for old, place in ((left / "old", folder), (left / "old-lm", folder / "lm")):
            if old.exists() and not place.exists():
                old.rename(place)
                back = True
        shutil.rmtree(left)
    return back


def leftovers(folder: Path) -> list[Path]:
    """What is left of installing `folder`, unless another process is doing so now."""
    return list(folder.parent.glob(f"{_prefix(folder)}*"))


def _prefix(folder: Path) -> str:
    return f".fetch-{folder.name}-"


def _build(name: str, brought: Brought, dest: Path, half: bool) -> None:
    """The folder of one part, with the terms and the origin of its weights."""
    handed, entry = brought.handed, OFFICIAL[name]
    file = entry.parts()[handed.part]
    config = convert(handed.path, dest, half)
    if difference := _difference(config, file.config):
        raise ValueError(f"{brought.origin}: expected the configuration of {name}, got another: {difference}")
    if handed.path.is_dir() and (handed.path / TABLES).is_file():
        shutil.copyfile(handed.path / TABLES, dest / TABLES)
    record = {
        "model": name, "part": handed.part, "source": brought.origin, "official": file.url, "sha256": handed.sha256,
        "checked": handed.checked or "nothing", "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "stored": "float16" if half else "float32", "licence": entry.licence, "tinyencodec": __version__,
        "files": {each: sha256_of(dest / each) for each in ("config.json", WEIGHTS)}}
    (dest / "LICENCE.txt").write_text(fill(entry.statement, 100) + "\n", encoding="utf-8")
    (dest / PROVENANCE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _difference(config: CodecConfig | LMConfig, expected: CodecConfig | LMConfig) -> str:
    got, wanted = ((replace(each, codebook_dim=None) if isinstance(each, CodecConfig) else each).to_dict()
                   for each in (config, expected))  # the Hub's tell codebook_dim, which has to be hidden_size
    return ", ".join(f"{key} {got.get(key)!r:.40} in place of {wanted.get(key)!r:.40}" for key in {**wanted, **got}
                     if got.get(key) != wanted.get(key))


def _sync(folder: Path) -> None:
    """Have the disk hold the files before their names are those of a model."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as fo:
                os.fsync(fo.fileno())
