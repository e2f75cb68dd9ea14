"""The defined arithmetic: kernels equal their twins bit by bit, and both are right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from tinyencodec.kernels.gemm import _gemm_unfused_naive
from tinyencodec.kernels.tile import WIDTH
from tinyencodec.lm import exact
from tinyencodec.lm.exact_matmul import Affine
from tinyencodec.system.compiler.jit import JIT

compiled = pytest.mark.skipif(not JIT, reason="the twins run in the kernels' place")
sizes = st.integers(1, 40)


def numbers(seed, *shape, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def same_bits(a, b):
    np.testing.assert_array_equal(a.view(np.int32), b.view(np.int32))


def test_exp():
    x = np.concatenate([-np.geomspace(1e-9, 60, 50_001), [0]]).astype(np.float32)
    np.testing.assert_allclose(exact.exp(x), np.exp(x.astype(np.float64)), rtol=2e-6)
    assert exact.exp(np.float32([0]))[0] == 1
    below = exact.exp(np.float32([-60, -61, -1e30, -np.inf]))
    assert (below == below[0]).all() and 0 < below[0] < 1e-26


def test_erf():
    x = np.linspace(-9, 9, 200_001)
    np.testing.assert_allclose(exact.erf(x), special.erf(x), rtol=0, atol=2e-8)
    np.testing.assert_array_equal(exact.erf(-x), -exact.erf(x))


def test_cos_sin():
    x = np.concatenate([np.linspace(0, 50, 50_001), np.geomspace(50, 1e6, 50_001)])
    cos, sin = exact.cos_sin(x)
    np.testing.assert_allclose(cos, np.cos(x), rtol=0, atol=1e-10)
    np.testing.assert_allclose(sin, np.sin(x), rtol=0, atol=1e-10)


def test_total():
    x = numbers(0, 5, 1000)
    np.testing.assert_allclose(exact.total(x), x.sum(axis=1, dtype=np.float64), rtol=1e-12)
    eighths = [sum(map(float, x[0, i::8])) for i in range(8)]  # from left to right
    assert exact.total(x)[0] == sum(eighths)


@given(sizes, sizes, st.integers(0, 99))
def test_add_norm(n_rows, dim, seed):
    x, y, weight, bias = numbers(seed, n_rows, dim), numbers(seed + 1, n_rows, dim), numbers(2, dim), numbers(3, dim)
    out, z = np.empty_like(x), x.astype(np.float64) + y
    exact.add_norm(x, y, weight, bias, out)
    expected = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(out, expected, rtol=0, atol=4e-6 * np.abs(expected).max())
    exact.add_norm(x, y, weight, bias, x)  # the output may be an input
    same_bits(x, out)


@given(st.integers(0, 3000), st.integers(0, 99))
def test_gelu(size, seed):
    x = numbers(seed, size, scale=4)
    out = x.copy()
    exact.gelu_in_place(out)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(out, wide * special.ndtr(wide), rtol=2e-7, atol=2e-7 * np.abs(x).max(initial=0))


@given(sizes, st.integers(1, 1030), st.sampled_from([0.1, 3.0, 40.0]), st.integers(0, 99))
def test_softmax(n_rows, n, scale, seed):
    x = numbers(seed, n_rows, n, scale=scale)
    out = x.copy()
    exact.softmax_in_place(out)
    np.testing.assert_allclose(out, special.softmax(x.astype(np.float64), axis=1), rtol=3e-6, atol=1e-25)
    np.testing.assert_allclose(out.sum(axis=1, dtype=np.float64), 1, rtol=1e-6)


@compiled
@given(sizes, st.integers(1, 300), st.integers(0, 99))
def test_kernels_equal_their_twins(n_rows, n, seed):
    x, y, weight, bias = numbers(seed, n_rows, n), numbers(seed + 1, n_rows, n), numbers(2, n), numbers(3, n)
    ours, twin = np.empty_like(x), np.empty_like(x)
    exact.add_norm(x, y, weight, bias, ours)
    exact._add_norm_naive(x, y, weight, bias, twin, np.empty((2, n)))
    same_bits(ours, twin)
    for kernel, start in ((exact.gelu_in_place, 4 * x.reshape(-1)), (exact.softmax_in_place, 20 * x)):
        ours, twin = start.copy(), start.copy()
        kernel(ours)
        kernel.twin(twin)
        same_bits(ours, twin)


@given(sizes, sizes, st.integers(1, 10 * WIDTH), st.integers(0, 99))
def test_affine(n_rows, n_in, n_out, seed):
    x, matrix, bias = numbers(seed, n_rows, n_in), numbers(1, n_in, n_out), numbers(2, n_out)
    affine = Affine.pack(matrix, bias)
    out = affine(x)
    expected, bound = x.astype(np.float64) @ matrix + bias, np.abs(x) @ np.abs(matrix) + np.abs(bias)
    assert (np.abs(out - expected) <= (n_in + 1) * 2.0**-24 * bound).all()
    by_hand = bias.copy()
    for k in range(n_in):
        by_hand = by_hand + x[0, k] * matrix[k]
    same_bits(out[0], by_hand)
    same_bits(affine(x[-1:]), out[-1:])  # a row does not depend on those beside it
    twin = np.empty_like(out)
    _gemm_unfused_naive(x.reshape(-1), n_rows, n_in, 1, 0, n_in, affine.matrix.data, n_out, bias, 0, twin.reshape(-1),
                        twin)
    same_bits(out, twin)
