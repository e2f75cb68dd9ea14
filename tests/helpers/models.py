"""Small models with seeded random weights: one of each shape that a config can tell, and folders for the program."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.model import EncodecModel
from tinyencodec.lm.config import LMConfig
from tinyencodec.models.tensors import expected_tensors
from tinyencodec.train.tables import fit_tables, save_tables

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


RATE = 8000
MONO = CodecConfig(sampling_rate=RATE, target_bandwidths=(4.0, 8.0, 16.0), num_filters=2, upsampling_ratios=(4, 2),
                   num_lstm_layers=1, hidden_size=4, codebook_size=16)  # 1000 frames/s, 4 kbit/s per codebook
STEREO = CodecConfig(sampling_rate=RATE, audio_channels=2, target_bandwidths=(4.0, 8.0), normalize=True,
                     chunk_length_s=0.25, overlap=0.1, num_filters=2, upsampling_ratios=(4, 2), num_lstm_layers=1,
                     hidden_size=4, codebook_size=16, norm_type="time_group_norm", use_causal_conv=False)


def save_model(folder, config=MONO, bias=0.0, tensors=None, **fields):
    """A folder with a model of random weights; returns its path.

    bias : added to every sample that it decodes
    tensors : in place of those of these names; None: left out
    fields : of its `config.json`, in place of the true ones
    """
    rng, folder = np.random.default_rng(1), Path(folder)
    drawn = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
             for name, shape in expected_tensors(config).items()}
    last = max(int(name.split(".")[2]) for name in drawn if name.startswith("decoder."))
    drawn[f"decoder.layers.{last}.conv.bias"][:] += bias
    kept = {name: array for name, array in (drawn | (tensors or {})).items() if array is not None}
    folder.mkdir(parents=True)
    save_file(kept, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict() | fields))
    return folder


def add_coders(folder):
    """Tables and a language model of random numbers."""
    rng = np.random.default_rng(0)
    save_tables(folder, fit_tables(rng.integers(0, 99, (4, 16))))
    config = LMConfig(n_codebooks=4, codebook_size=16, dim=8, n_layers=1, n_heads=2, ff_dim=8, past_context=5)
    (folder / "lm").mkdir()
    (folder / "lm" / "config.json").write_text(json.dumps(config.to_dict()))
    save_file({name: rng.standard_normal(shape).astype(np.float32) for name, shape in config.tensors().items()},
              folder / "lm" / "model.safetensors")
