"""Shared by the tests: hypothesis' settings, and small models with seeded random weights."""

import numpy as np
import pytest
from hypothesis import settings

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.model import EncodecModel
from tinyencodec.models.tensors import expected_tensors

# No deadline: the first call of a kernel may compile it.
settings.register_profile("tinyencodec", deadline=None)
settings.load_profile("tinyencodec")

CAUSAL = {"num_filters": 4, "hidden_size": 8, "codebook_size": 16, "upsampling_ratios": (4, 2),
          "sampling_rate": 800, "target_bandwidths": (0.4, 0.8, 1.6)}
SHAPES = {
    "causal": CAUSAL,
    "zeros": CAUSAL | {"pad_mode": "constant", "num_residual_layers": 2},
    "trim": CAUSAL | {"trim_right_ratio": 0.4, "upsampling_ratios": (5, 3)},
    "no shortcut": CAUSAL | {"use_causal_conv": False, "use_conv_shortcut": False, "upsampling_ratios": (3, 2, 2)},
    "scaled": CAUSAL | {"normalize": True},
    "segments": CAUSAL | {"use_causal_conv": False, "norm_type": "time_group_norm", "audio_channels": 2,
                          "normalize": True, "chunk_length_s": 0.2, "overlap": 0.05},
    "segments, no norm": CAUSAL | {"chunk_length_s": 0.1, "overlap": 0.5, "use_causal_conv": False},
}


def random_model(shape: str, seed: int = 0) -> EncodecModel:
    """A small model whose output depends on its input: gains of about 1.5 per layer, little bias."""
    config, random, tensors = CodecConfig(**SHAPES[shape]), np.random.default_rng(seed), {}
    for name, size in expected_tensors(config).items():
        values = random.standard_normal(size)
        if name.endswith(("weight_g", "norm.weight")):
            values = 1.5 + 0.1 * values
        elif name.endswith("bias") or ".bias_" in name:
            values *= 0.1
        elif ".weight_" in name:
            values /= np.sqrt(size[-1])
        elif ".codebook." in name:
            values /= 2 ** int(name.split(".")[2])
        tensors[name] = values.astype(np.float32)
    return EncodecModel(shape.replace(" ", "_").replace(",", ""), config, tensors)


@pytest.fixture(scope="session")
def models() -> dict[str, EncodecModel]:
    """One small model of each shape in SHAPES."""
    return {shape: random_model(shape) for shape in SHAPES}
