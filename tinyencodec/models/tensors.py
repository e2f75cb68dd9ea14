"""The tensors of a model: their names, their shapes, and how to load them from a folder.

One model has gone by several sets of names: those of the official package, and those of the Hugging Face Hub before
and after PyTorch renamed its weight norm. All are mapped to the Hub's older ones, here called canonical:

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
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tinyencodec.codec.config import CodecConfig
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.int8_rows import at_precision, unpack_rows
from tinyencodec.system.errors import blame
from tinyencodec.system.files import atomic_write
from tinyencodec.system.model_files import CONFIG, WEIGHTS
from tinyencodec.system.safetensors_file import read_safetensors

_MAX_LAYERS = 1 << 12  # a config that asks for more is no real one, and listing its tensors would fill the memory
_LISTED = 12  # misfits that an error names

_RENAMED = [(re.compile(pattern), new) for pattern, new in (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.conv\.conv\.|\.convtr\.convtr\.", ".conv."),
    (r"\.(?:conv|convtr)\.norm\.", ".norm."),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
    (r"^quantizer\.vq\.layers\.([0-9]+)\._codebook\.", r"quantizer.layers.\1.codebook."))]
_TRAINING_ONLY = re.compile(r"quantizer\.layers\.[0-9]+\.codebook\.(inited|cluster_size|embed_avg)")


def canonical_name(name: str) -> str | None:
    """The canonical form of a tensor's name, whichever of the known sets it is from.

    None for the codebooks' running statistics, which only training needs. A name of no known set comes back changed
    little or not at all, and so will not be among the expected ones.
    """
    for pattern, new in _RENAMED:
        name = pattern.sub(new, name)
    return None if _TRAINING_ONLY.fullmatch(name) else name


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


def misfits(config: CodecConfig | LMConfig, tensors: Mapping[str, np.ndarray]) -> list[str]:
    """One phrase for each tensor that is missing, of another shape, or not the model's; empty if all is well."""
    expected = expected_tensors(config)
    phrases = []
    for name, shape in expected.items():
        if name not in tensors:
            phrases.append(f"{name} {list(shape)} is missing")
        elif tensors[name].shape != shape:
            phrases.append(f"{name}: expected {list(shape)}, got {list(tensors[name].shape)}")
    return phrases + [f"{name[:80]!r} is not of this model" for name in sorted(tensors.keys() - expected.keys())]


def check_tensors(config: CodecConfig | LMConfig, tensors: Mapping[str, np.ndarray], where: str | Path) -> None:
    """Raise `ValueError` naming each tensor that does not fit `config` or holds a number that is not finite.

    `where` is the file to blame.
    """
    phrases = misfits(config, tensors)
    phrases += [f"{name} holds NaN or infinity" for name in expected_tensors(config)
                if name in tensors and not np.isfinite(tensors[name]).all()]
    if phrases:
        raise ValueError(f"{where}: expected the tensors of the model in config.json, got others: {listing(phrases)}")


def listing(phrases: list[str]) -> str:
    """The phrases in one line, the first dozen of them."""
    more = f"; and {len(phrases) - _LISTED} more" if len(phrases) > _LISTED else ""
    return "; ".join(phrases[:_LISTED]) + more


def fit_shortcut(config: CodecConfig, tensors: Mapping[str, np.ndarray]) -> CodecConfig:
    """`config` with or without convolutions in the shortcuts, as the tensors are: published configs contradict them."""
    return dataclasses.replace(config, use_conv_shortcut=any(".shortcut." in name for name in tensors))


def read_model_folder(folder: str | os.PathLike) -> tuple[CodecConfig, dict[str, np.ndarray]]:
    """Load `config.json` and `model.safetensors` of a folder, one of tinyencodec or of the Hub.

    Returns the config, and by canonical name C-contiguous float32 arrays. Any float type may be in the file.

    Raises `ValueError` if the files do not hold an EnCodec model or do not fit each other, `OSError` if they cannot
    be read.
    """
    path = Path(folder, WEIGHTS)
    config = CodecConfig.from_file(Path(folder, CONFIG))
    tensors, _ = canonical_tensors(read_tensors(path), path)
    config = fit_shortcut(config, tensors)
    check_tensors(config, tensors, path)
    return config, tensors


def read_language_model_folder(folder: str | os.PathLike) -> tuple[LMConfig, dict[str, np.ndarray]]:
    """The same for the folder of a language model."""
    path = Path(folder, WEIGHTS)
    config = LMConfig.from_file(Path(folder, CONFIG))
    tensors, _ = canonical_tensors(read_tensors(path), path)
    check_tensors(config, tensors, path)
    return config, tensors


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


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file under their own names, with `int8_rows` as float32.

    Raises `ValueError`, naming the file, for a damaged or another one; `OSError` as `open`.
    """
    stored = read_safetensors(path)
    with blame(str(path)):
        return unpack_rows(stored)


def canonical_tensors(named: Mapping, path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays under canonical names, float32 and C-contiguous, and the names that were dropped.

    Raises `ValueError` for what is no tensor of floats, for two that have one canonical name, and for tensors that
    share numbers: they may not be larger together than the file at `path` that they are from.
    """
    sources: dict[str, str] = {}
    dropped = []
    for name, array in named.items():
        if not isinstance(name, str):
            raise ValueError(f"{path}: expected the name of each tensor, got one of type {type(name).__name__}")
        canonical = canonical_name(name)
        if canonical is None:
            dropped.append(name)
            continue
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"{path}: {canonical[:80]!r}: expected a tensor of floats, got {kind}")
        if canonical in sources:
            raise ValueError(f"{path}: expected one tensor {canonical[:80]!r}, got {sources[canonical][:80]!r} "
                             f"and {name[:80]!r}")
        sources[canonical] = name
    total = sum(named[name].size for name in sources.values())
    room = path.stat().st_size  # a byte is the shortest number
    if total > room:
        raise ValueError(f"{path}: expected at most {room} numbers in a file of this size, got {total} in tensors "
                         f"that share them")
    with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite and is found by check_tensors
        return {new: np.ascontiguousarray(named[old], np.float32) for new, old in sources.items()}, dropped
