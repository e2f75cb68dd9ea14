"""Make a model folder from somebody else's file: an official `.th`, a Hub folder, or a training checkpoint.

The model is a codec or a language model; a codec looks for its language model in the folder `lm` inside its own.

The folder gets `config.json`, `model.safetensors` with canonical names (see `tensors`), and `README.md`, which says
where the weights are from. The same source gives the same bytes. Nothing is computed: weight norm stays unfolded, and
the numbers are the source's.
"""

import os
from pathlib import Path

import numpy as np

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models.tensors import (
    canonical_tensors,
    check_tensors,
    fit_shortcut,
    listing,
    misfits,
    read_tensors,
    write_model_folder,
)
from tinyencodec.models.torchfile import read_torch_file
from tinyencodec.system.errors import blame
from tinyencodec.system.files import is_in_use, new_folder, sha256_of
from tinyencodec.system.model_files import CONFIG, WEIGHTS

_WRAPPERS = ("best_state", "model", "state_dict")  # under which training checkpoints keep the weights
_PARTS = ("encoder.", "decoder.", "quantizer.")
_LM_PARTS = ("emb.", "transformer.", "linears.")


def convert(src: str | os.PathLike, dest: str | os.PathLike, half: bool = False) -> CodecConfig | LMConfig:
    """Write the model in `src` as a folder at `dest`; its name is the model's name.

    Parameters
    ----------
    src : a PyTorch file (`.th`, `.pt`, ...) or a `.safetensors` file, each with a `config.json` beside it or else
        with the tensors of a published model; or a folder with `model.safetensors`.
    dest : a folder that does not exist yet, or is empty. It appears complete or not at all.
    half : store float16 instead of float32.

    Returns
    -------
    The model's configuration.

    Raises
    ------
    ValueError : `dest` is in use; the source is no such file; its tensors are not those of the configuration (each is
        named), or too large for float16.
    OSError : a file cannot be read or written.
    """
    src, dest = Path(src), Path(os.path.abspath(dest))
    if is_in_use(dest):
        raise ValueError(f"{dest}: expected a new or an empty folder to write to, got one in use")
    file = src / WEIGHTS if src.is_dir() else src
    if not file.is_file():
        raise ValueError(f"{src}: expected a model file, or a folder with {WEIGHTS}, got neither")

    dropped: list[str] = []
    if file.suffix == ".safetensors":
        state = read_tensors(file)
    else:
        state, dropped = _unwrap(read_torch_file(file), file)
    tensors, training_only = canonical_tensors(state, file)
    dropped += training_only
    if (file.parent / CONFIG).is_file():
        config = _read_config(file.parent / CONFIG, tensors)
        origin = "`config.json` beside it"
    else:
        config, name = _infer_config(tensors, file)
        origin = f"inferred from the tensors' names and shapes, which are those of {name}"
    check_tensors(config, tensors, file)

    kind = "A language model of EnCodec codes" if isinstance(config, LMConfig) else "An EnCodec model"
    card = _model_card(dest.name, kind, file, origin, dropped, "float16" if half else "float32")
    with new_folder(dest) as folder, blame(str(file)):
        write_model_folder(folder, config, tensors, "half" if half else "float32")
        (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace", newline="\n")
    return config


def _unwrap(value: object, path: Path) -> tuple[dict, list[str]]:
    """Find the state dict in what a PyTorch file holds; also the names of what lies around it."""
    around: list[str] = []
    for _ in range(len(_WRAPPERS) + 1):
        if not isinstance(value, dict):
            break
        if any(isinstance(key, str) and key.startswith(_PARTS + _LM_PARTS) for key in value):
            return value, around
        inner = next((key for key in _WRAPPERS if isinstance(value.get(key), dict)), None)
        if inner is None:
            break
        around += [str(key)[:80] for key in value if key != inner]
        value = value[inner]
    found = f"entries such as {[str(key)[:40] for key in list(value)[:4]]}" if isinstance(value, dict) else \
        type(value).__name__
    raise ValueError(f"{path}: expected a state dict of a codec or a language model, bare or in "
                     f"{', '.join(_WRAPPERS)}, got {found}")


def _read_config(path: Path, tensors: dict[str, np.ndarray]) -> CodecConfig | LMConfig:
    if _is_language_model(tensors):
        return LMConfig.from_file(path)
    return fit_shortcut(CodecConfig.from_file(path), tensors)


def _is_language_model(tensors: dict[str, np.ndarray]) -> bool:
    return any(name.startswith(_LM_PARTS) for name in tensors)


def _infer_config(tensors: dict[str, np.ndarray], path: Path) -> tuple[CodecConfig | LMConfig, str]:
    """The published model whose tensors these are, and its name."""
    if _is_language_model(tensors):
        candidates: list[tuple[str, CodecConfig | LMConfig]] = [*LM_PRESETS.items()]
    else:
        candidates = [(name, fit_shortcut(config, tensors)) for name, config in PRESETS.items()]
    found = [(len(misfits(config, tensors)), name, config) for name, config in candidates]
    count, name, config = min(found, key=lambda item: item[0])
    if count:
        raise ValueError(f"{path}: expected a config.json beside it, or the tensors of "
                         f"{', '.join(name for name, _ in candidates)}; "
                         f"got no config.json, and against {name}: {listing(misfits(config, tensors))}")
    return config, name


def _model_card(name: str, kind: str, file: Path, origin: str, dropped: list[str], dtype: str) -> str:
    """README.md: what the folder is and where it is from. Without dates or paths, so that it is reproducible."""
    kinds = sorted({name.rpartition(".")[2] if name.startswith(_PARTS) else name for name in dropped})
    return f"""# {name}

{kind}, converted by tinyencodec to `config.json` and `model.safetensors` ({dtype}).

- Source: `{file.name}`, {file.stat().st_size} bytes, SHA-256 `{sha256_of(file)}`
- Configuration: {origin}
- Left out, as only training needs it: {listing([f'`{kind}`' for kind in kinds]) or 'nothing'}
- Licence: that of the source. Converting weights gives no right to pass them on.
"""
