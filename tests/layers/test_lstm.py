"""The LSTM against the equations, and its state."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.layers.lstm import LSTM


def weights(random, size, layers):
    shapes = ((4 * size, size), (4 * size, size), (4 * size,), (4 * size,))
    return [tuple(random.uniform(-0.5, 0.5, shape).astype(np.float32) for shape in shapes) for _ in range(layers)]


def naive(x, layers):
    """The equations in float64, step by step, with the skip."""
    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    y = x.astype(np.float64)
    for w_ih, w_hh, b_ih, b_hh in layers:
        h = c = np.zeros(w_hh.shape[1])
        outputs = []
        for step in y:
            i, f, g, o = np.split(w_ih @ step + b_ih + w_hh @ h + b_hh, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        y = np.array(outputs)
    return x + y


@given(st.integers(1, 21), st.integers(1, 3), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_equals_the_equations(size, n_layers, length, seed):
    random = np.random.default_rng(seed)
    layers, x = weights(random, size, n_layers), random.standard_normal((length, size)).astype(np.float32)
    np.testing.assert_allclose(LSTM(layers)(x), naive(x, layers), atol=5e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_steps_equal_the_whole(parts, seed):
    random = np.random.default_rng(seed)
    lstm, x = LSTM(weights(random, 6, 2)), random.standard_normal((sum(parts), 6)).astype(np.float32)
    state, starts = lstm.start(), np.cumsum([0, *parts])
    pieces = [lstm.step(x[a:b], state) for a, b in zip(starts, starts[1:])]
    # The kernel sums in a fixed order; its NumPy twin (JIT off) may differ by rounding.
    np.testing.assert_allclose(np.concatenate(pieces), lstm(x), atol=1e-6)


def test_state_matters():
    random = np.random.default_rng(1)
    lstm, x = LSTM(weights(random, 6, 1)), np.ones((4, 6), np.float32)
    assert np.abs(lstm(x)[2:] - lstm(x[2:])).max() > 1e-3
