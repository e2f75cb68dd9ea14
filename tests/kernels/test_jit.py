"""Compiling kernels: with a disk cache, without one, and not at all."""

import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.paths import ROOT
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


DOUBLED = """
import numpy as np
from tinyencodec.kernels.jit import kernel

def _naive(x):
    x *= 2

@kernel("void(f4[::1])", twin=_naive)
def double(x):
    for i in range(x.size):
        x[i] *= 2

x = np.arange(4, dtype=np.float32)
double(x)
assert x.tolist() == [0, 2, 4, 6]
print(sum(double.stats.cache_hits.values()))
"""


def emptied(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def other_bytes(path):
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def another_pickle(path):
    path.write_bytes(b"cno_such_module\nname\n.")


def a_folder(path):
    path.unlink()
    path.mkdir()


def gone(path):
    path.unlink()


@pytest.mark.skipif(not jit.JIT, reason="there is nothing to cache")
@pytest.mark.parametrize("ending, damage", [
    *(("nbi", damage) for damage in (emptied, other_bytes, a_folder)),
    *(("nbc", damage) for damage in (emptied, cut, one_bit, another_pickle, gone))])
def test_a_damaged_cache_is_compiled_anew_and_mended(tmp_path, ending, damage):
    (tmp_path / "doubled.py").write_text(DOUBLED)

    def hits():
        done = subprocess.run([sys.executable, tmp_path / "doubled.py"], capture_output=True, text=True, check=True,
                              env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)})
        assert done.stderr == ""
        return int(done.stdout)

    assert (hits(), hits()) == (0, 1)
    damaged, = (tmp_path / "cache").rglob(f"*.{ending}")
    damage(damaged)
    hits()
    if damaged.is_dir():  # in its way for good: compiled each time, until somebody removes it
        assert hits() == 0
        shutil.rmtree(damaged)
        hits()
    assert hits() == 1
