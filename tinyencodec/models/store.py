"""Where models live, and how to load one by name.

A model is a folder with `config.json` and `model.safetensors`; its name is the folder's. Beside them may be what
makes compressed files smaller: `tables.safetensors`, and a language model in the folder `lm`. Bundled models come with
the package. Others are looked for in `$TINYENCODEC_HOME/models`, or, if that is not set, in the user's cache folder;
`fetch` puts official ones there.

Chapter 10 of the tutorials uses it.
"""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.models.official import OFFICIAL
from tinyencodec.models.tensors import read_language_model_folder, read_model_folder
from tinyencodec.models.weight_files import find_weights
from tinyencodec.system.folders import cache_folder
from tinyencodec.system.model_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.lm.model import LanguageModel

DEFAULT_MODEL = "tiny_24khz"
HQ_MODEL = "tiny_48khz"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def load_model(name_or_path: str | os.PathLike | None = None) -> "EncodecModel":
    """Load a model by name or from a folder.

    Parameters
    ----------
    name_or_path : a name such as "tiny_24khz", or a model folder (ours or one from the Hugging Face
        Hub); None for the bundled default.

    Raises
    ------
    ValueError : no such model, or its files are not those of an EnCodec model.
    """
    from tinyencodec.codec.model import EncodecModel

    folder = find_model(DEFAULT_MODEL if name_or_path is None else name_or_path)
    try:
        config, tensors = read_model_folder(folder)
    except OSError as error:
        raise ValueError(f"model folder {folder}: expected readable {CONFIG} and {WEIGHTS}: {error}") from None
    return EncodecModel(folder.resolve().name, config, tensors, folder)


def load_language_model(folder: str | os.PathLike) -> "LanguageModel":
    """Load the language model in `folder`, usually the folder `lm` of a codec's.

    Raises `ValueError` if the files do not hold a language model or do not fit each other, or cannot be read.
    """
    from tinyencodec.lm.model import LanguageModel

    try:
        return LanguageModel(*read_language_model_folder(folder))
    except OSError as error:
        raise ValueError(f"language model folder {folder}: expected readable {CONFIG} and {WEIGHTS}: "
                         f"{error}") from None


def find_model(name_or_path: str | os.PathLike) -> Path:
    """The folder of a model given by name or path; `ValueError` if there is none.

    A name comes first: for a folder of that name, where you are, say `./name`.
    """
    text = os.fspath(name_or_path)
    # os.path answers False, not with an error, for what cannot be a path at all, and for what may not be looked at.
    if _NAME.fullmatch(text):
        for place in model_places():
            if os.path.isfile(place / text / CONFIG):
                return place / text
    if os.path.isfile(os.path.join(text, CONFIG)):
        return Path(text)
    if text and os.path.isdir(text):
        raise ValueError(f"model folder {text}: expected {CONFIG} and {WEIGHTS}, found no {CONFIG}")
    known = ", ".join(list_models()) or "(none found)"
    hint = f"; `tinyencodec fetch {text}` gets it" if text in OFFICIAL else ""
    raise ValueError(f"unknown model {text!r}: expected a folder or one of {known}{hint}")


def find_config(name_or_path: str | os.PathLike) -> SimpleNamespace:
    """Name, folder and config of a model, without its weights; folder None for a preset that is not installed.

    Raises `ValueError` if there is no such model, or its config is none.
    """
    try:
        folder = find_model(name_or_path)
    except ValueError:
        if name_or_path not in PRESETS:
            raise
        return SimpleNamespace(name=name_or_path, folder=None, config=PRESETS[name_or_path])
    config = CodecConfig.from_file(folder / CONFIG)
    return SimpleNamespace(name=folder.resolve().name, folder=folder, config=config)


def list_models() -> list[str]:
    """Names of the models that `load_model` finds, bundled ones first."""
    return list(installed_models())


def installed_models() -> dict[str, Path]:
    """The folder of each model that `load_model` finds, by name, bundled ones first."""
    found: dict[str, Path] = {}
    for place in model_places():
        for folder in sorted(place.iterdir()) if os.access(place, os.R_OK | os.X_OK) else []:
            if os.path.isfile(folder / CONFIG):
                found.setdefault(folder.name, folder)
    return found


def is_model_folder(folder: Path) -> bool:
    """Whether the folder holds both files of a codec or a language model."""
    return (folder / CONFIG).is_file() and find_weights(folder).is_file()


def model_places() -> list[Path]:
    """Folders that hold model folders, in the order they are searched."""
    package = Path(__file__).parents[1]
    bundled = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"
    try:
        return [bundled, home() / "models"]
    except OSError:  # nobody can have put any there
        return [bundled]


def home() -> Path:
    """The folder for fetched models: `$TINYENCODEC_HOME`, or the platform's cache folder.

    Raises `OSError` for a user who has no home, as in a container that runs under any number.
    """
    if os.environ.get("TINYENCODEC_HOME"):
        return Path(os.environ["TINYENCODEC_HOME"])
    try:
        return cache_folder()
    except OSError as error:
        raise OSError(f"{error} for models; set TINYENCODEC_HOME to a folder for them") from None
