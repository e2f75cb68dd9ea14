"""Prints a hash of what a language model of fixed weights says about a long sequence of codes: the same everywhere.

`test_exactness` runs it in processes that compute by other means, and compares. It can be run by hand on another
machine: `python -m tests.helpers.exact_hash`.
"""

import hashlib

import numpy as np

from tinyencodec.entropy.arithmetic import quantised_cdf
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.config import LMConfig
from tinyencodec.lm.model import LanguageModel

CONFIG = LMConfig(n_codebooks=4, codebook_size=128, dim=56, n_layers=3, n_heads=8, ff_dim=96, past_context=60)
N_FRAMES = 600


def scattered(count: int, seed: int) -> np.ndarray:
    """`count` integers from 0 to 2**32 - 1 that look random, by integer arithmetic alone."""
    x = np.arange(count, dtype=np.uint64) + np.uint64(seed << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64's mixing steps
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x ^ (x >> np.uint64(31))) & np.uint64(0xFFFFFFFF)


def make_tensors(config: LMConfig = CONFIG) -> dict[str, np.ndarray]:
    """Weights whose every bit is known: multiples of 2**-12 between -0.5 and 0.5; norms scale by about 1."""
    tensors = {}
    for seed, (name, shape) in enumerate(config.tensors().items()):
        values = (scattered(int(np.prod(shape)), seed + 1) >> np.uint64(20)).astype(np.float32) / 4096 - np.float32(0.5)
        tensors[name] = (values + (".norm" in name and name.endswith("weight"))).astype(np.float32).reshape(shape)
    return tensors


def make_codes(config: LMConfig = CONFIG, n_frames: int = N_FRAMES) -> np.ndarray:
    """Codes [K, F] from the same source."""
    flat = scattered(config.n_codebooks * n_frames, 0) % np.uint64(config.codebook_size)
    return flat.astype(np.int64).reshape(config.n_codebooks, n_frames)


def cdf_hash(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of the cumulative distributions of all frames, each given those before it."""
    model, codes = LanguageModel(CONFIG, tensors), make_codes()
    before = np.concatenate([np.full((len(codes), 1), -1), codes[:, :-1]], axis=1)
    cdf = quantised_cdf(model.step(before[None], model.start(1, N_FRAMES)))
    return hashlib.sha256(cdf.astype("<i4").tobytes()).hexdigest()


def bits_hash(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of the coded bits, after a look whether they decode."""
    coder, codes = LMCoder(LanguageModel(CONFIG, tensors)), make_codes()
    data, beginning = coder.encode([codes, codes[:, :100]])
    decoded, = coder.decode([(beginning, 100)], len(codes))
    np.testing.assert_array_equal(decoded, codes[:, :100])
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    print(cdf_hash(make_tensors()), bits_hash(make_tensors()))
