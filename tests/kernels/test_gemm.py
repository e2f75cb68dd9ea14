"""The packed product against its twin, and the promise that a row does not depend on the others."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.kernels.gemm import _gemm_naive, gemm, pack, unpack
from tinyencodec.kernels.tile import ROWS, WIDTH
from tinyencodec.system.compiler import jit


def float64_product(x, matrix, n_rows, row_step, init, taps=1, tap_step=0):
    """The definition, term by term in float64, and the sum of magnitudes that bounds its rounding."""
    length = len(matrix) // taps
    at = np.add.outer(np.arange(taps) * tap_step, np.arange(length)).ravel()
    rows = x[np.add.outer(np.arange(n_rows) * row_step, at)].astype(np.float64)
    return init + rows @ matrix, np.abs(init) + np.abs(rows) @ np.abs(matrix)


def bound(terms, magnitude):
    """Worst case of a float32 sum of `terms` products: each addition rounds by at most eps/2."""
    return (terms + 2) * np.finfo(np.float32).eps / 2 * magnitude


@given(st.integers(0, 3 * ROWS + 1), st.integers(1, 40), st.integers(1, 5 * WIDTH + 3), st.integers(0, 50),
       st.booleans(), st.integers(0, 2**32 - 1))
def test_equals_the_definition(n_rows, n_in, n_out, row_step, accumulate, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal(max(n_rows - 1, 0) * row_step + n_in).astype(np.float32)
    matrix = random.standard_normal((n_in, n_out)).astype(np.float32)
    init = random.standard_normal((n_rows, n_out) if accumulate else n_out).astype(np.float32)
    expected, magnitude = float64_product(x, matrix, n_rows, row_step, init)
    got = gemm(x, pack(matrix), n_rows, row_step, init)
    assert got.shape == (n_rows, n_out)
    assert (np.abs(got - expected) <= bound(n_in, magnitude)).all()


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_taps_are_runs_apart(taps, tap_length, gap, seed):
    random = np.random.default_rng(seed)
    n_rows, row_step, tap_step = 11, 3, tap_length + gap
    x = random.standard_normal((n_rows - 1) * row_step + (taps - 1) * tap_step + tap_length).astype(np.float32)
    matrix = random.standard_normal((taps * tap_length, 7)).astype(np.float32)
    init = np.zeros(7, np.float32)
    expected, magnitude = float64_product(x, matrix, n_rows, row_step, init, taps, tap_step)
    got = gemm(x, pack(matrix), n_rows, row_step, init, taps=taps, tap_step=tap_step)
    assert (np.abs(got - expected) <= bound(len(matrix), magnitude)).all()


@pytest.mark.skipif(not jit.JIT, reason="the fixed order is the kernel's; its twin sums as NumPy likes")
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_rows_do_not_depend_on_their_neighbours(parts, seed):
    random = np.random.default_rng(seed)
    n_rows, n_in, row_step, n_out = sum(parts), 23, 5, 2 * WIDTH + 5
    x = random.standard_normal(n_rows * row_step + n_in).astype(np.float32)
    matrix, bias = pack(random.standard_normal((n_in, n_out))), random.standard_normal(n_out).astype(np.float32)
    whole = gemm(x, matrix, n_rows, row_step, bias)
    starts = np.cumsum([0, *parts])
    pieces = [gemm(x[a * row_step:].copy(), matrix, b - a, row_step, bias) for a, b in zip(starts, starts[1:])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_accumulates_in_place():
    out = np.ones((3, 4), np.float32)
    result = gemm(np.arange(6, dtype=np.float32), pack(np.ones((2, 4))), 3, 2, out, out=out)
    assert result is out
    np.testing.assert_array_equal(out, np.repeat([[2.0], [6.0], [10.0]], 4, axis=1))


@given(st.integers(1, 30), st.integers(1, 6 * WIDTH))
def test_unpack_undoes_pack(n_in, n_out):
    matrix = np.arange(n_in * n_out, dtype=np.float32).reshape(n_in, n_out)
    np.testing.assert_array_equal(unpack(pack(matrix)), matrix)


def test_twin_equals_the_definition():
    random = np.random.default_rng(0)
    x, matrix = random.standard_normal(40).astype(np.float32), random.standard_normal((6, 5)).astype(np.float32)
    init = random.standard_normal(5).astype(np.float32)
    out = np.empty((9, 5), np.float32)
    _gemm_naive(x, 9, 3, 2, 4, 3, pack(matrix).data, 5, init, 0, out.reshape(-1), init)
    expected, magnitude = float64_product(x, matrix, 9, 3, init, taps=2, tap_step=4)
    assert (np.abs(out - expected) <= bound(6, magnitude)).all()


@pytest.mark.parametrize("change", [{"n_rows": 9}, {"row_step": 5}, {"taps": 2, "tap_step": 30}])
def test_never_reads_outside_its_signal(change):
    arguments = {"n_rows": 8, "row_step": 4, "taps": 1, "tap_step": 0} | change
    with pytest.raises(AssertionError):
        gemm(np.zeros(32, np.float32), pack(np.zeros((4, 2))), init=np.zeros(2, np.float32), **arguments)


DIGEST = """
import hashlib, numpy as np
from tinyencodec.layers.activation import elu
from tinyencodec.kernels.gemm import gemm, pack
random = np.random.default_rng(1)
x = random.standard_normal(4000).astype(np.float32)
y = gemm(x, pack(random.standard_normal((96, 40))), 60, 64, random.standard_normal(40).astype(np.float32))
print(hashlib.sha256(y.tobytes() + elu(y).tobytes()).hexdigest())
"""


@pytest.mark.skipif(not jit.JIT, reason="the fixed order is the kernel's")
def test_same_bits_on_another_processor():
    """Compiled for a processor without wide vectors or fused multiply-add, the result is the same."""
    def digest(**environment):
        run = subprocess.run([sys.executable, "-c", DIGEST], env=os.environ | environment, check=True,
                             capture_output=True, text=True)
        return run.stdout

    assert digest() == digest(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")
