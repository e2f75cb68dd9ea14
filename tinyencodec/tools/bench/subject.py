"""What is measured: models, with random weights if need be, and a sound to give them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.codec.model import EncodecModel
from tinyencodec.codec.segments import EncodedFrame, segment_frames
from tinyencodec.models.store import find_model, load_model
from tinyencodec.models.tensors import expected_tensors, write_model_folder


class Subject(NamedTuple):
    """A model to measure, and the folder that a process of its own can load it from."""

    model: EncodecModel
    folder: Path
    random: bool  # weights


def make_subject(name: str, scratch: Path) -> Subject:
    """A preset's name: random weights, written to a folder in `scratch`. Else a model to load.

    Raises `ValueError` as `load_model`.
    """
    if name not in PRESETS:
        folder = find_model(name)
        return Subject(load_model(folder), folder, False)
    folder = scratch / name
    write_model_folder(folder, PRESETS[name], random_tensors(PRESETS[name]))
    return Subject(load_model(folder), folder, True)


def random_tensors(config: CodecConfig, seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded weights such that a layer about keeps the power of its input: nothing fades away or overflows."""
    random, tensors = np.random.default_rng(seed), {}
    for name, shape in expected_tensors(config).items():
        values = random.standard_normal(shape, dtype=np.float32)
        if name.endswith(("weight_g", "norm.weight")):
            values = np.float32(1.3) + np.float32(0.1) * values
        elif name.endswith("bias") or ".bias_" in name:
            values *= np.float32(0.1)
        elif ".weight_" in name or name.endswith(".weight"):
            values /= np.float32(np.sqrt(np.prod(shape[1:])))
        else:  # a codebook; each corrects what the ones before left
            values *= np.float32(0.8 ** int(name.split(".")[2]))
        tensors[name] = values
    return tensors


def sound(model: EncodecModel, seconds: float, seed: int = 0) -> np.ndarray:
    """Noise, since speed does not depend on the sound: float32 [C, T], within -1 ... 1."""
    n = max(1, round(seconds * model.sample_rate))
    wav = np.random.default_rng(seed).random((model.channels, n), dtype=np.float32)
    wav -= np.float32(0.5)
    return wav


def codes_for(subject: Subject, seconds: float, seed: int = 0) -> list[EncodedFrame]:
    """Random codes for so much sound, which can be decoded without anything having been encoded."""
    model, random = subject.model, np.random.default_rng(seed)
    n_codebooks, scale = model.codebooks_for(model.usual_bandwidth), 0.1 if model.config.normalize else None
    sizes = segment_frames(model.config, max(1, round(seconds * model.sample_rate)))
    return [EncodedFrame(random.integers(0, model.config.codebook_size, (n_codebooks, size), np.int32), scale)
            for size in sizes]
