"""A language model of a few random numbers."""

import numpy as np

from tinyencodec.lm.config import LMConfig

CONFIG = LMConfig(n_codebooks=3, codebook_size=10, dim=12, n_layers=2, n_heads=3, ff_dim=20, past_context=9)


def draw_tensors(config=CONFIG, seed=0):
    random, tensors = np.random.default_rng(seed), {}
    for name, shape in config.tensors().items():
        values = random.standard_normal(shape) * (2 / np.sqrt(shape[1]) if len(shape) > 1 else 0.3)
        tensors[name] = (values + (".norm" in name)).astype(np.float32)
    return tensors
