"""Shared by the tests: hypothesis' settings, small models, and a store with some of them."""

import importlib

import numpy as np
import pytest
import soundfile
from hypothesis import settings

from tests.helpers.models import MONO, RATE, SHAPES, STEREO, random_model, save_model
from tinyencodec.codec.model import EncodecModel
from tinyencodec.system.compiler.jit import Kernel

# No deadline: the first call of a kernel may compile it.
settings.register_profile("tinyencodec", deadline=None)
settings.load_profile("tinyencodec")


@pytest.fixture(scope="session", autouse=True)
def compiled_before():
    """All kernels: a program that finds one to compile says so on standard error, where many tests expect nothing."""
    for name in ("audio.resample", "entropy.arithmetic", "entropy.arithmetic_compiled", "kernels.gemm",
                 "layers.activation", "layers.lstm", "layers.norm", "layers.residual",
                 "lm.attention", "lm.exact", "lm.model"):
        for value in vars(importlib.import_module(f"tinyencodec.{name}")).values():
            if isinstance(value, Kernel):
                value.load()


@pytest.fixture(scope="session")
def models() -> dict[str, EncodecModel]:
    """One small model of each shape in SHAPES."""
    return {shape: random_model(shape) for shape in SHAPES}


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A store with small models: mono, stereo, and loud, whose sound is 3 too high. Tests only read it."""
    home = tmp_path_factory.mktemp("home")
    for name, config, bias in (("mono", MONO, 0.0), ("stereo", STEREO, 0.0), ("loud", MONO, 3.0)):
        save_model(home / "models" / name, config, bias)
    return home


@pytest.fixture
def here(tmp_path, home, monkeypatch):
    """A working folder of its own, with that store and a stereo recording of 0.14 s at twice the rate, `in.wav`."""
    monkeypatch.setenv("TINYENCODEC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    soundfile.write("in.wav", 0.1 * np.random.default_rng(0).standard_normal((2205, 2)), 2 * RATE)
    return tmp_path
