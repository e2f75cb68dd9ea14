"""The tensors of a model: their names, their shapes, and how to load them from a folder.

Names are canonical ones (`state_dict` maps others to them):

    encoder.layers.{i}.conv.weight_g, .weight_v, .bias      convolution; in the decoder also transposed
    encoder.layers.{i}.block.{1,3}.conv.*                   residual block, .shortcut.conv.* if it has one
    encoder.layers.{i}.lstm.weight_ih_l0, ...
    quantizer.layers.{k}.codebook.embed                     [N, D]

where {i} counts all layers, ELUs too. A model of norm type `time_group_norm` has `conv.weight` in place of `weight_g`
and `weight_v`, and `norm.weight` and `norm.bias` beside each `conv`.

A weight's dimensions are [out, in, kernel], a transposed one's [in, out, kernel]. Weight norm scales along the first,
so that `weight_g` of a transposed convolution has one number per *input* channel.

Chapter 8 of the tutorials uses it.
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeGuard, TypeVar, cast

import numpy as np
from safetensors.numpy import save

from tinyencodec.codec.config import CodecConfig
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.int8_rows import at_precision
from tinyencodec.models.state_dict import StateDict, find_state_dicts
from tinyencodec.models.weight_files import find_weights, read_weights
from tinyencodec.system.errors import listing
from tinyencodec.system.files import atomic_write
from tinyencodec.system.model_files import CONFIG, WEIGHTS

_MAX_LAYERS = 1 << 12  # a config that asks for more is no real one, and listing its tensors would fill the memory
BESIDE = "the model in config.json"
C = TypeVar("C", bound=CodecConfig | LMConfig)


def expected_tensors(config: CodecConfig | LMConfig) -> dict[str, tuple[int, ...]]:
    """Canonical name and shape of every tensor of a model, in the order the signal meets them."""
    if isinstance(config, LMConfig):
        return config.tensors()
    stages = len(config.upsampling_ratios) * config.num_residual_layers
    if stages + config.n_codebooks > _MAX_LAYERS:
        raise ValueError(f"config: expected at most {_MAX_LAYERS} residual blocks and codebooks, "
                         f"got {stages} and {config.n_codebooks}")
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(place: str, c_in: int, c_out: int, kernel: int, transposed: bool = False) -> None:
        shape = (c_in, c_out, kernel) if transposed else (c_out, c_in, kernel)
        if config.norm_type == "weight_norm":
            shapes[f"{place}.conv.weight_g"] = (shape[0], 1, 1)
            shapes[f"{place}.conv.weight_v"] = shape
        else:
            shapes[f"{place}.conv.weight"] = shape
            shapes[f"{place}.norm.weight"] = shapes[f"{place}.norm.bias"] = (c_out,)
        shapes[f"{place}.conv.bias"] = (c_out,)

    def residual_blocks(part: str, index: itertools.count, c: int) -> None:
        for _ in range(config.num_residual_layers):
            place = f"{part}.layers.{next(index)}"
            conv(f"{place}.block.1", c, c // config.compress, config.residual_kernel_size)
            conv(f"{place}.block.3", c // config.compress, c, 1)
            if config.use_conv_shortcut:
                conv(f"{place}.shortcut", c, c, 1)

    def lstm(part: str, index: itertools.count, c: int) -> None:
        place = f"{part}.layers.{next(index)}" if config.num_lstm_layers else ""
        for layer in range(config.num_lstm_layers):
            for kind in ("ih", "hh"):
                shapes[f"{place}.lstm.weight_{kind}_l{layer}"] = (4 * c, c)
                shapes[f"{place}.lstm.bias_{kind}_l{layer}"] = (4 * c,)

    c, index = config.num_filters, itertools.count()
    conv(f"encoder.layers.{next(index)}", config.audio_channels, c, config.kernel_size)
    for ratio in reversed(config.upsampling_ratios):
        residual_blocks("encoder", index, c)
        next(index)  # ELU
        conv(f"encoder.layers.{next(index)}", c, 2 * c, 2 * ratio)
        c *= 2
    lstm("encoder", index, c)
    next(index)  # ELU
    conv(f"encoder.layers.{next(index)}", c, config.hidden_size, config.last_kernel_size)

    for k in range(config.n_codebooks):
        shapes[f"quantizer.layers.{k}.codebook.embed"] = (config.codebook_size, config.hidden_size)

    index = itertools.count()
    conv(f"decoder.layers.{next(index)}", config.hidden_size, c, config.kernel_size)
    lstm("decoder", index, c)
    for ratio in config.upsampling_ratios:
        next(index)  # ELU
        conv(f"decoder.layers.{next(index)}", c, c // 2, 2 * ratio, transposed=True)
        c //= 2
        residual_blocks("decoder", index, c)
    next(index)  # ELU
    conv(f"decoder.layers.{next(index)}", c, config.audio_channels, config.last_kernel_size)
    return shapes


def misfits(config: CodecConfig | LMConfig, state: StateDict) -> list[str]:
    """One phrase for each entry that is missing, no tensor, of another shape, or not the model's; empty if all fit."""
    expected, phrases = expected_tensors(config), []
    for name, shape in expected.items():
        entry = state.tensors.get(name)
        if name not in state.tensors:
            phrases.append(f"{name} {list(shape)} is missing")
        elif not _is_float(entry):
            kind = entry.dtype if isinstance(entry, np.ndarray) else getattr(entry, "name", type(entry).__name__)
            phrases.append(f"{name}: expected a tensor of floats, got {kind!s:.80}")
        elif entry.shape != shape:
            phrases.append(f"{name}: expected {list(shape)}, got {list(entry.shape)}")
    phrases += [f"{name[:80]!r}: expected one tensor of this name, got several" for name in state.twice]
    return phrases + [f"{name[:80]!r} is not of this model" for name in sorted(state.tensors.keys() - expected.keys())
                      if isinstance(state.tensors[name], np.ndarray)]


def _is_float(entry: object) -> TypeGuard[np.ndarray]:
    return isinstance(entry, np.ndarray) and entry.dtype.kind == "f"


def fit_shortcut(config: CodecConfig, tensors: Mapping[str, object]) -> CodecConfig:
    """`config` with or without convolutions in the shortcuts, as the tensors are: published configs contradict them."""
    return dataclasses.replace(config, use_conv_shortcut=any(".shortcut." in name for name in tensors))


class Selection(NamedTuple):
    """The weights that were found for one configuration."""

    config: CodecConfig | LMConfig
    name: str  # of the configuration
    state: StateDict
    misfits: list[str]


def select_tensors(value: object, configs: Mapping[str, CodecConfig | LMConfig],
                   path: Path) -> tuple[Selection, list[str]]:
    """The state dict in `value` that fits one of the configurations, and the prefixes of all that do, best first.

    If none fits, the one that comes closest, with what is wrong with it. Raises `ValueError`, naming the file at
    `path`, where there is none at all.
    """
    found = []
    for state in find_state_dicts(value):
        for name, config in configs.items():
            if isinstance(config, LMConfig) == state.of_language_model:
                fitted = fit_shortcut(config, state.tensors) if isinstance(config, CodecConfig) else config
                found.append(Selection(fitted, name, state, misfits(fitted, state)))
    if not found:
        kinds = {LMConfig.MODEL_TYPE: "a language model", CodecConfig.MODEL_TYPE: "a codec"}
        wanted = " or ".join(sorted({kinds[config.MODEL_TYPE] for config in configs.values()}))
        held = f"entries such as {[str(key)[:40] for key in list(value)[:4]]}" if isinstance(value, dict) else \
            type(value).__name__
        raise ValueError(f"{path}: expected a state dict of {wanted}, got {held}")
    fitting = [each.state.prefix for each in found if not each.misfits]
    return min(found, key=lambda each: len(each.misfits)), list(dict.fromkeys(fitting))


def checked_tensors(selection: Selection, files: list[Path]) -> dict[str, np.ndarray]:
    """Its arrays by canonical name, float32 and C-contiguous.

    Raises `ValueError`, naming the first of the files that they are from, if one does not fit or holds a number that is
    not finite, and for tensors that share numbers: they may not be larger together than the files.
    """
    arrays = {name: array for name, array in selection.state.tensors.items() if _is_float(array)}
    total, room = sum(array.size for array in arrays.values()), sum(file.stat().st_size for file in files)
    if total > room:  # a byte is the shortest number
        raise ValueError(f"{files[0]}: expected at most {room} numbers in a file of this size, got {total} in tensors "
                         "that share them")
    with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite
        arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    phrases = selection.misfits + [f"{name} holds NaN or infinity" for name, array in arrays.items()
                                   if not np.isfinite(array).all()]
    if phrases:
        raise ValueError(f"{files[0]}: expected the tensors of {selection.name}, got others: {listing(phrases)}")
    return arrays


def read_model_folder(folder: str | os.PathLike) -> tuple[CodecConfig, dict[str, np.ndarray]]:
    """Load `config.json` and the weights of a folder, one of tinyencodec or of the Hub.

    Returns the config, and by canonical name C-contiguous float32 arrays. Any float type may be in the file.

    Raises `ValueError` if the files do not hold an EnCodec model or do not fit each other, `OSError` if they cannot
    be read.
    """
    return _read_folder(Path(folder), CodecConfig)


def read_language_model_folder(folder: str | os.PathLike) -> tuple[LMConfig, dict[str, np.ndarray]]:
    """The same for the folder of a language model."""
    return _read_folder(Path(folder), LMConfig)


def _read_folder(folder: Path, kind: type[C]) -> tuple[C, dict[str, np.ndarray]]:
    config = kind.from_file(folder / CONFIG)
    value, files = read_weights(find_weights(folder))
    selection, _ = select_tensors(value, {BESIDE: config}, files[0])
    return cast(C, selection.config), checked_tensors(selection, files)


def write_model_folder(folder: Path, config: CodecConfig | LMConfig, tensors: Mapping[str, np.ndarray],
                       precision: str = "float32") -> None:
    """Write `config.json` and `model.safetensors` into `folder`, which may exist; what it has of them is replaced.

    precision : "float32", "half" (float16), or "rows" (matrices in 8 bits, the rest float16: see `int8_rows`)

    Raises `ValueError` for numbers that are not finite, or too large for float16; `OSError`.
    """
    stored = at_precision(tensors, precision)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS, force=True) as fo:  # transformers wants to know the framework
        fo.write(save({name: stored[name] for name in sorted(stored)}, metadata={"format": "pt"}))
    with atomic_write(folder / CONFIG, force=True) as fo:
        fo.write((json.dumps(config.to_dict(), indent=2) + "\n").encode())
