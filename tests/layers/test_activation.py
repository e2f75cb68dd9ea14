"""The nonlinearities against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinyencodec.layers import activation
from tinyencodec.system.compiler import jit

EPS = np.finfo(np.float32).eps
EDGES = np.array([0.0, -0.0, 1e-38, -1e-38, -1e-7, 1e-7, -0.3465, -0.3466, -17, -87, -88, -103, -1e4, -3e38,
                  88, 1e4, 3e38], np.float32)


@given(arrays(np.float32, st.integers(0, 70), elements=st.floats(-100, 100, width=32)))
def test_elu(x):
    exact = np.where(x > 0, x.astype(np.float64), np.expm1(np.minimum(x, 0).astype(np.float64)))
    # expm1 is right to a few ulp of its value, which never exceeds 1 in size.
    np.testing.assert_allclose(activation.elu(x), exact, rtol=4 * EPS, atol=1e-37)


def test_elu_at_the_edges():
    exact = np.where(EDGES > 0, EDGES, np.expm1(np.minimum(EDGES, 0).astype(np.float64)))
    np.testing.assert_allclose(activation.elu(EDGES), exact, rtol=4 * EPS, atol=1e-37)


def test_elu_makes_a_new_array_of_any_shape():
    x = -np.ones((2, 3, 4), np.float32)[:, ::2]
    y = activation.elu(x)
    assert y.shape == x.shape and (x == -1).all()


@pytest.mark.skipif(not jit.JIT, reason="compares the compiled functions")
@pytest.mark.parametrize("name, exact", [("_sigmoid", lambda x: 1 / (1 + np.exp(-x))), ("_tanh", np.tanh)])
def test_gates(name, exact):
    def each(x, out):
        for i in range(x.size):
            out[i] = gate(x[i])  # noqa: F821 (set by `variant`)

    compiled = jit.kernel("void(f4[::1], f4[::1])", twin=each)(jit.variant(each, name, gate=getattr(activation, name)))
    x = np.concatenate([EDGES, np.linspace(-30, 30, 4001, dtype=np.float32)])
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
        twin = getattr(activation, name.strip("_"))(x)
    # sigmoid(-x) is 1 / (2 + expm1(x)): its relative error is that of a sum, division and expm1.
    y = np.empty_like(x)
    compiled(x, y)
    np.testing.assert_allclose(y, expected, rtol=6 * EPS, atol=2e-38)
    np.testing.assert_allclose(twin, expected, rtol=6 * EPS, atol=2e-38)
