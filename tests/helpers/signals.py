"""Random signals, ways to cut them, and whether two are the same."""

import numpy as np

from tinyencodec.system.compiler import jit


def noise(model, length, seed=0):
    """Normally distributed samples for a model, float32 [C, length]."""
    return np.random.default_rng(seed).standard_normal((model.channels, length)).astype(np.float32)


def cut(x, parts):
    """x [A, n] in pieces of these lengths, and the rest."""
    starts = np.minimum(np.cumsum([0, *parts]), x.shape[1])
    return [x[:, a:b] for a, b in zip(starts, [*starts[1:], x.shape[1]])]


def assert_same(got, expected, what=""):
    """The same bits; of NumPy's product, whose sums may depend on the number of rows, nearly the same."""
    if jit.JIT:
        np.testing.assert_array_equal(got, expected, err_msg=what)
    else:
        np.testing.assert_allclose(got, expected, atol=1e-5 * max(1, np.abs(expected).max(initial=0)), err_msg=what)
