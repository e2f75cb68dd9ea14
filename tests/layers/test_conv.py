"""Convolutions against loops that spell out the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.layers.conv import Conv1d, pad
from tinyencodec.layers.conv_transpose import ConvTranspose1d
from tinyencodec.layers.norm import fold_weight_norm, group_norm


def naive_conv(x, weight, bias, stride, dilation):
    """y[t, o] = b[o] + sum_j sum_c x[t*s + j*d, c] w[o, c, j], float64, no padding."""
    c_out, c_in, kernel = weight.shape
    n_out = (len(x) - (kernel - 1) * dilation - 1) // stride + 1
    y = np.tile(bias.astype(np.float64), (n_out, 1))
    for t in range(n_out):
        for j in range(kernel):
            y[t] += weight[:, :, j].astype(np.float64) @ x[t * stride + j * dilation]
    return y


def naive_conv_transpose(x, weight, bias, stride):
    """Each input adds its kernel: y[t*s + j] += x[t] w[:, :, j]; the bias once per output."""
    c_in, c_out, kernel = weight.shape
    y = np.tile(bias.astype(np.float64), ((len(x) - 1) * stride + kernel, 1))
    for t in range(len(x)):
        for j in range(kernel):
            y[t * stride + j] += x[t].astype(np.float64) @ weight[:, :, j]
    return y


def draw(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


layers = st.fixed_dictionaries({
    "kernel": st.integers(1, 8), "stride": st.integers(1, 5), "dilation": st.integers(1, 3),
    "causal": st.booleans(), "pad_mode": st.sampled_from(["reflect", "constant"]), "length": st.integers(1, 40),
    "c_in": st.integers(1, 4), "c_out": st.integers(1, 5), "seed": st.integers(0, 2**32 - 1)})


@given(layers)
def test_conv(p):
    kernel = max(p["kernel"], p["stride"])  # EnCodec's windows leave no sample out
    random = np.random.default_rng(p["seed"])
    weight, bias = draw(random, p["c_out"], p["c_in"], kernel), draw(random, p["c_out"])
    x = draw(random, p["length"], p["c_in"])
    layer = Conv1d(weight, bias, stride=p["stride"], dilation=p["dilation"], causal=p["causal"], pad_mode=p["pad_mode"])
    y = layer(x)
    assert y.shape == (-(-len(x) // p["stride"]), p["c_out"]) and y.dtype == np.float32
    # The padding written out: `total` samples, on the left if causal, and enough for the last window.
    total = (kernel - 1) * p["dilation"] - (p["stride"] - 1)
    right = 0 if p["causal"] else total // 2
    complete = -len(x) % p["stride"]
    padded = pad(x, total - right, right + complete, p["pad_mode"])
    np.testing.assert_allclose(y, naive_conv(padded, weight, bias, p["stride"], p["dilation"]), rtol=1e-4, atol=2e-5)


@given(st.integers(1, 6), st.integers(0, 7), st.integers(1, 20), st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 1.0]),
       st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_conv_transpose(stride, extra, length, causal, ratio, c_in, c_out, seed):
    random = np.random.default_rng(seed)
    kernel = stride + extra
    weight, bias, x = draw(random, c_in, c_out, kernel), draw(random, c_out), draw(random, length, c_in)
    layer = ConvTranspose1d(weight, bias, stride=stride, causal=causal, trim_right_ratio=ratio if causal else 1.0)
    full = naive_conv_transpose(x, weight, bias, stride)
    right = int(np.ceil(extra * ratio)) if causal else extra // 2
    expected = full[extra - right:len(full) - right]
    assert len(expected) == length * stride
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=2e-5)


def test_group_norm_of_a_transposed_convolution_comes_before_the_trimming():
    random = np.random.default_rng(0)
    weight, bias, x = draw(random, 3, 2, 4), draw(random, 2), draw(random, 5, 3)
    gain, shift = draw(random, 2), draw(random, 2)
    layer = ConvTranspose1d(weight, bias, stride=2, causal=False, norm=(gain, shift))
    full = naive_conv_transpose(x, weight, bias, 2)
    normed = (full - full.mean()) / np.sqrt(full.var() + 1e-5) * gain + shift
    np.testing.assert_allclose(layer(x), normed[1:-1], atol=1e-5)


@pytest.mark.parametrize("length, left, right, expected", [
    (4, 2, 1, [2, 1, 0, 1, 2, 3, 2]),  # room to mirror
    (3, 3, 0, [0, 2, 1, 0, 1, 2]),  # one zero is appended, mirrored, and cut off again
    (1, 3, 1, [0, 0, 0, 0, 0]),
    (2, 0, 3, [0, 1, 0, 0, 0]),
])
def test_reflection_and_the_short_input_rule(length, left, right, expected):
    x = np.arange(length, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(pad(x, left, right)[:, 0], expected)


def test_group_norm():
    random = np.random.default_rng(3)
    x, gain, shift = draw(random, 50, 4) * 3 + 7, draw(random, 4), draw(random, 4)
    exact = x.astype(np.float64)
    exact = (exact - exact.mean()) / np.sqrt(exact.var() + 1e-5) * gain + shift
    np.testing.assert_allclose(group_norm(x.copy(), gain, shift), exact, atol=1e-5)


def test_weight_norm_is_per_first_dimension():
    v = np.array([[[3, 4]], [[0, 2]]], np.float32)  # rows of length 5 and 2
    w = fold_weight_norm(np.array([10, 1], np.float32).reshape(2, 1, 1), v)
    np.testing.assert_allclose(w, [[[6, 8]], [[0, 1]]])


def test_weight_norm_of_a_zero_row_is_zero():
    assert (fold_weight_norm(np.ones((1, 1, 1), np.float32), np.zeros((1, 2, 3), np.float32)) == 0).all()


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 2**32 - 1))
def test_causality(length, t, seed):
    """A causal layer's outputs before t / stride cannot see sample t (padding mirrors the first few samples)."""
    t, random = min(t, length - 1), np.random.default_rng(seed)
    layer = Conv1d(draw(random, 2, 2, 6), draw(random, 2), stride=3, causal=True, pad_mode="constant")
    x = draw(random, length, 2)
    changed = x.copy()
    changed[t] += 1
    before = t // 3
    np.testing.assert_array_equal(layer(x)[:before], layer(changed)[:before])
