"""Make a model folder from a foreign file: an official `.th`, a Hub folder, or a training checkpoint.

The model is a codec or a language model; a codec looks for its language model in the folder `lm` inside its own.

The folder gets `config.json`, `model.safetensors` with canonical names (see `tensors`), and `README.md`, which says
where the weights are from. The same source gives the same bytes. Nothing is computed: weight norm stays unfolded, and
the numbers are the source's.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models.state_dict import StateDict, left_out
from tinyencodec.models.store import installed_models
from tinyencodec.models.tensors import BESIDE, checked_tensors, select_tensors, write_model_folder
from tinyencodec.models.weight_files import find_weights, read_weights
from tinyencodec.system.errors import blame, listing, printable
from tinyencodec.system.files import is_in_use, new_folder, sha256_of
from tinyencodec.system.model_files import CONFIG, WEIGHTS
from tinyencodec.system.untrusted import read_json


def convert(src: str | os.PathLike, dest: str | os.PathLike, half: bool = False, *, statistics: bool = True,
            tell: Callable[[str], object] | None = None) -> CodecConfig | LMConfig:
    """Write the model in `src` as a folder at `dest`; its name is the model's name.

    Parameters
    ----------
    src : a PyTorch file (`.th`, `.pt`, ...) or a `.safetensors` file, each with a `config.json` beside it or else
        with the tensors of a published model; a folder with one called `model.safetensors` or `pytorch_model.bin`, or
        with shards of it and their index; or the name of a bundled or fetched model.
    dest : a folder that does not exist yet, or is empty. It appears complete or not at all.
    half : store float16 instead of float32.
    statistics : write those of the codebooks too, by which only training goes. `transformers` complains without them.
    tell : called with a line for the user if the file holds several sets of weights that fit: which one was taken

    Returns
    -------
    The model's configuration.

    Raises
    ------
    ValueError : `dest` is in use; the source is no such file; its tensors are not those of the configuration (each is
        named), or too large for float16.
    OSError : a file cannot be read or written.
    """
    dest = Path(os.path.abspath(dest))
    if is_in_use(dest):
        raise ValueError(f"{dest}: expected a new or an empty folder to write to, got one in use")
    file = _source(src)
    value, files = read_weights(file)
    beside, published = file.parent / CONFIG, PRESETS | LM_PRESETS
    told: dict[str, CodecConfig | LMConfig] = {BESIDE: _read_config(beside)} if beside.is_file() else {}
    selection, fitting = select_tensors(value, told or published, file)
    if selection.misfits and not told:
        raise ValueError(f"{file}: expected a config.json beside it, or the tensors of {', '.join(published)}; "
                         f"got no config.json, and against {selection.name}: {listing(selection.misfits)}")
    config, state = selection.config, selection.state
    tensors = checked_tensors(selection, files)
    where = _shown(state.prefix)
    if len(fitting) > 1:
        where += f", preferred to those in {listing([_shown(each) for each in fitting if each != state.prefix])}"
        if tell is not None:
            tell(f"{file}: took the weights in {where}")
    origin = "`config.json` beside it" if selection.name == BESIDE else \
        f"inferred from the tensors' names and shapes, which are those of {selection.name}"
    card = _CARD.format(
        name=dest.name, file=file.name, size=sum(each.stat().st_size for each in files), hash=sha256_of(*files),
        kind="A language model of EnCodec codes" if isinstance(config, LMConfig) else "An EnCodec model",
        dtype="float16" if half else "float32", where=where, origin=origin,
        dropped=listing([f"`{name}`" for name in _left_out(value, state)]) or "nothing")
    if statistics and isinstance(config, CodecConfig):
        tensors |= _statistics(config, tensors)
    with new_folder(dest) as folder, blame(str(file)):
        write_model_folder(folder, config, tensors, "half" if half else "float32")
        (folder / "README.md").write_text(card, encoding="utf-8", errors="backslashreplace", newline="\n")
    return config


def _source(src: str | os.PathLike) -> Path:
    """The file of weights, or their index, that is meant."""
    path = Path(src)
    if not path.exists():
        path = installed_models().get(os.fspath(src), path)
    file = find_weights(path) if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{src}: expected a model file, or a folder with {WEIGHTS}, got neither")
    return file


def _read_config(path: Path) -> CodecConfig | LMConfig:
    with blame(str(path)):
        fields = read_json(path)
    of_language_model = isinstance(fields, dict) and fields.get("model_type") == LMConfig.MODEL_TYPE
    return (LMConfig if of_language_model else CodecConfig).from_file(path)


def _shown(prefix: str) -> str:
    return f"`{printable(prefix.rstrip('.'), 80)}`" if prefix else "the top level"


def _left_out(value: object, state: StateDict) -> list[str]:
    names = {*left_out(value, state), *(name.rpartition(".")[2] for name in state.training_only)}
    return [printable(name, 80) for name in sorted(names)]


def _statistics(config: CodecConfig, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How often each entry of each codebook was used, and the sum of what it stood for: as if each had been once."""
    found = {}
    for k in range(config.n_codebooks):
        place = f"quantizer.layers.{k}.codebook"
        found[f"{place}.inited"] = np.ones(1, np.float32)
        found[f"{place}.cluster_size"] = np.ones(config.codebook_size, np.float32)
        found[f"{place}.embed_avg"] = tensors[f"{place}.embed"]
    return found


# What the folder is and where it is from. Without dates or paths, so that it is reproducible.
_CARD = """# {name}

{kind}, converted by tinyencodec to `config.json` and `model.safetensors` ({dtype}).

- Source: `{file}`, {size} bytes, SHA-256 `{hash}`
- Weights: those in {where}
- Configuration: {origin}
- Left out, as only training needs it: {dropped}
- Licence: that of the source. Converting weights gives no right to pass them on.
"""
