"""Compiling kernels: with a disk cache, without one, and not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tinyencodec.kernels import gemm, jit
from tinyencodec.kernels.jit import kernel


def test_a_kernel_works_where_no_cache_can_be_written():
    """Numba refuses to cache a function that is in no file, as it does where nothing is writable."""
    names: dict = {}
    exec("def double(x):\n    for i in range(x.size):\n        x[i] *= 2", names)
    double = kernel("void(f4[::1])", twin=lambda x: x.__imul__(2))(names["double"])
    x = np.arange(4, dtype=np.float32)
    double(x)
    np.testing.assert_array_equal(x, [0, 2, 4, 6])


@pytest.mark.skipif(not jit.JIT, reason="there is no kernel")
def test_the_twin_stays_reachable():
    assert gemm._gemm.twin is gemm._gemm_naive


def test_without_jit_the_twin_takes_its_place():
    code = "from tinyencodec.kernels import gemm; assert gemm._gemm is gemm._gemm_naive"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True)


@pytest.mark.skipif(not jit.JIT, reason="there is nothing to cache")
def test_a_full_disk_costs_time_only(tmp_path):
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file may hold anything, as on a full disk
import numpy as np
from tinyencodec.layers.activation import elu
assert (elu(np.ones(3, np.float32)) == 1).all()
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, check=True)
    assert not any(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
