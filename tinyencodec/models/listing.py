"""Which models there are: bundled with the package, fetched, made by the user, and those still to fetch."""

from pathlib import Path

from tinyencodec.codec.config import CodecConfig
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.fetch.local_files import read_provenance
from tinyencodec.models.official import OFFICIAL
from tinyencodec.models.store import DEFAULT_MODEL, installed_models, is_model_folder, model_places
from tinyencodec.system.model_files import CONFIG, LM, TABLES, WEIGHTS


def describe_models() -> list[dict]:
    """Each model as a JSON object: installed ones in the order in which `load_model` finds them, then those to fetch.

    "where" is "bundled", "fetched", "local" (made or put there by the user) or "fetchable". Rates are in kbit/s; sizes
    in bytes, on disk or to download. "checked" says what of a fetched model was compared with the official file,
    "problem" what is wrong with a damaged one; what its config.json does not tell is left out.
    """
    found = {name: _installed(folder) for name, folder in installed_models().items()}
    for name, official in OFFICIAL.items():
        found.setdefault(name, {
            "name": name, "where": "fetchable", "path": None,
            "bytes": sum(file.size for file in official.files.values()), "bytes_exact": False,
            **_describe(official.files["codec"].config), "tables": False, "language_model": "lm" in official.files,
            "licence": official.licence, "checked": None, "problem": None})
    for name, model in found.items():
        official_files = OFFICIAL[name].files if model["where"] in ("fetched", "fetchable") and name in OFFICIAL else {}
        model.update(default=name == DEFAULT_MODEL, urls=[file.url for file in official_files.values()])
    return list(found.values())


def _installed(folder: Path) -> dict:
    bundled = folder.parent == model_places()[0]
    told = {} if bundled else read_provenance(folder)
    facts, problem = {}, None
    try:
        facts = _describe(CodecConfig.from_file(folder / CONFIG))
        if not is_model_folder(folder):
            problem = f"{folder}: expected {WEIGHTS}, found none"
    except (OSError, ValueError) as error:
        problem = str(error)
    return {"name": folder.name, "where": "bundled" if bundled else "fetched" if told else "local", "path": str(folder),
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), "bytes_exact": True,
            **facts, "tables": (folder / TABLES).is_file(), "language_model": (folder / LM / CONFIG).is_file(),
            "licence": "MIT" if bundled else str(told.get("licence", "that of its source")),
            "checked": told.get("checked"), "problem": problem}


def _describe(config: CodecConfig | LMConfig) -> dict:
    assert isinstance(config, CodecConfig)
    return {"sample_rate": config.sampling_rate, "channels": config.audio_channels,
            "bandwidths": list(config.target_bandwidths), "codebooks": config.n_codebooks,
            "causal": config.use_causal_conv}
