"""Which models there are: bundled with the package, fetched, put into the store by hand, and those still to fetch."""

import json
from pathlib import Path
from typing import NamedTuple

from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.fetch.local_files import PROVENANCE, TABLES, WEIGHTS
from tinyencodec.models.official import OFFICIAL, likely_size
from tinyencodec.models.store import DEFAULT_MODEL, model_places

_MIT = "MIT"  # of what this project has trained


class Listed(NamedTuple):
    """One model, installed or not."""

    name: str
    where: str  # "bundled", "fetched", "local" (made or put there by the user) or "fetchable"
    path: Path | None
    size: int  # bytes on disk, or to download
    exact: bool  # whether that is known, not estimated
    config: CodecConfig | None  # None: damaged
    tables: bool
    lm: bool
    licence: str
    checked: str  # of a fetched model: what was compared with the official file
    default: bool
    problem: str = ""  # what is wrong with its config.json

    def to_dict(self) -> dict:
        """As JSON: rates in kbit/s, sizes in bytes."""
        config = self.config
        facts = {} if config is None else {
            "sample_rate": config.sampling_rate, "channels": config.audio_channels,
            "bandwidths": list(config.target_bandwidths), "codebooks": config.n_codebooks,
            "causal": config.use_causal_conv}
        official = OFFICIAL.get(self.name)
        urls = [file.url for file in official.parts().values()] if official else []
        return {"name": self.name, "where": self.where, "default": self.default,
                "path": None if self.path is None else str(self.path), "bytes": self.size, "bytes_exact": self.exact,
                **facts, "tables": self.tables, "language_model": self.lm, "licence": self.licence,
                "checked": self.checked or None, "urls": urls if self.where in ("fetched", "fetchable") else [],
                "problem": self.problem or None}


def inventory() -> list[Listed]:
    """All models: installed ones in the order in which `load_model` finds them, then those to fetch."""
    found: dict[str, Listed] = {}
    for number, place in enumerate(model_places()):
        folders = sorted(place.iterdir()) if place.is_dir() else []
        for folder in folders:
            if (folder / "config.json").is_file() and folder.name not in found:
                found[folder.name] = _installed(folder, bundled=number == 0)
    for name, official in OFFICIAL.items():
        if name not in found:
            files, config = official.parts().values(), official.codec.config
            assert isinstance(config, CodecConfig)
            found[name] = Listed(name, "fetchable", None, sum(map(likely_size, files)),
                                 all(file.size is not None for file in files), config, False, official.lm is not None,
                                 official.licence, "", False)
    return list(found.values())


def _installed(folder: Path, bundled: bool) -> Listed:
    told = {} if bundled else _provenance(folder)
    where = "bundled" if bundled else "fetched" if told else "local"
    problem, config = "", None
    try:
        config = CodecConfig.from_file(folder / "config.json")
    except (OSError, ValueError) as error:
        problem = str(error)
    if not problem and not (folder / WEIGHTS).is_file():
        problem = f"{folder}: expected model.safetensors, found none"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    licence = _MIT if bundled else str(told.get("licence", "that of its source"))
    return Listed(folder.name, where, folder, size, True, config, (folder / TABLES).is_file(),
                  (folder / "lm" / "config.json").is_file(), licence, str(told.get("checked", "")),
                  folder.name == DEFAULT_MODEL, problem)


def _provenance(folder: Path) -> dict:
    """What `fetch` has noted; empty if it was not there, or somebody has changed it."""
    try:
        told = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
