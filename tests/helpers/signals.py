"""Random signals, and ways to cut them."""

import numpy as np


def noise(model, length, seed=0):
    """Normally distributed samples for a model, float32 [C, length]."""
    return np.random.default_rng(seed).standard_normal((model.channels, length)).astype(np.float32)


def cut(x, parts):
    """x [A, n] in pieces of these lengths, and the rest."""
    starts = np.minimum(np.cumsum([0, *parts]), x.shape[1])
    return [x[:, a:b] for a, b in zip(starts, [*starts[1:], x.shape[1]])]
