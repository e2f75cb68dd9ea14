"""Loading a language model from its folder: `config.json` and `model.safetensors`."""

import os
from pathlib import Path

from tinyencodec.lm.config import LMConfig
from tinyencodec.lm.model import LanguageModel
from tinyencodec.models.tensors import canonical_tensors, check_tensors, read_tensors


def load_language_model(folder: str | os.PathLike) -> LanguageModel:
    """Load the language model in `folder`, usually the folder `lm` of a codec's.

    Raises `ValueError` if the files do not hold a language model or do not fit each other, or cannot be read.
    """
    path = Path(folder) / "model.safetensors"
    try:
        config = LMConfig.from_file(Path(folder) / "config.json")
        tensors, _ = canonical_tensors(read_tensors(path), path)
    except OSError as error:
        raise ValueError(f"language model folder {folder}: expected readable config.json and model.safetensors: "
                         f"{error}") from None
    check_tensors(config, tensors, path)
    return LanguageModel(config, tensors)
