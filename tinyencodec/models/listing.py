"""Which models there are: bundled with the package, fetched, made by the user, and those still to fetch."""

from pathlib import Path

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.models.official import OFFICIAL, TERMS
from tinyencodec.models.store import DEFAULT_MODEL, installed_models, is_model_folder, model_places
from tinyencodec.system.model_files import CONFIG, LM, TABLES, WEIGHTS


def describe_models() -> list[dict]:
    """Each model as a JSON object: installed ones in the order in which `load_model` finds them, then those to fetch.

    "where" is "bundled", "fetched", "local" (made or put there by the user) or "fetchable". Rates are in kbit/s; sizes
    in bytes, on disk or about those to download. "problem" says what is wrong with a damaged one; what its config.json
    does not tell is left out.
    """
    installed = installed_models()
    return [_installed(folder) for folder in installed.values()] + [{
        "name": name, "where": "fetchable", "default": False, "path": None,
        "bytes": sum(file.size for file in official.files.values()), **_describe(PRESETS[name]),
        "tables": False, "language_model": "lm" in official.files, "licence": official.licence, "problem": None,
    } for name, official in OFFICIAL.items() if name not in installed]


def _installed(folder: Path) -> dict:
    where, licence = origin_of(folder)
    facts, problem = {}, None
    try:
        facts = _describe(CodecConfig.from_file(folder / CONFIG))
        if not is_model_folder(folder):
            problem = f"{folder}: expected {WEIGHTS}, found none"
    except (OSError, ValueError) as error:
        problem = str(error)
    return {"name": folder.name, "where": where, "default": folder.name == DEFAULT_MODEL, "path": str(folder),
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), **facts,
            "tables": (folder / TABLES).is_file(), "language_model": (folder / LM / CONFIG).is_file(),
            "licence": licence, "problem": problem}


def origin_of(folder: Path) -> tuple[str, str]:
    """Whether a model folder is "bundled", "fetched" or "local", and its licence in a few words."""
    if folder.parent == model_places()[0]:
        return "bundled", "MIT"
    if folder.name in OFFICIAL and (folder / TERMS).is_file():
        return "fetched", OFFICIAL[folder.name].licence
    return "local", "that of its source"


def _describe(config: CodecConfig) -> dict:
    return {"sample_rate": config.sampling_rate, "channels": config.audio_channels,
            "bandwidths": list(config.target_bandwidths), "codebooks": config.n_codebooks,
            "causal": config.use_causal_conv}
