"""Compiling kernels: with a disk cache, without one, and not at all."""

import os
import random
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.helpers.paths import ROOT
from tinyencodec.kernels import gemm, tile
from tinyencodec.system.compiler import cache, jit
from tinyencodec.system.compiler.jit import kernel, variant

compiled_only = pytest.mark.skipif(not jit.JIT, reason="there is no kernel")


def doubled(x):
    x *= 2


def double_each(x):
    for i in range(x.size):
        x[i] *= 2


def test_a_kernel_works_where_no_cache_can_be_written():
    """As one that is in no file."""
    names: dict = {}
    exec("def double(x):\n    for i in range(x.size):\n        x[i] *= 2", names)
    double = kernel("void(f4[::1])", twin=doubled)(names["double"])
    x = np.arange(4, dtype=np.float32)
    double(x)
    np.testing.assert_array_equal(x, [0, 2, 4, 6])


@compiled_only
def test_the_twin_stays_reachable():
    assert gemm.gemm_run.twin is gemm._gemm_naive


def test_without_jit_the_twin_takes_its_place():
    code = "from tinyencodec.kernels import gemm; assert gemm.gemm_run is gemm._gemm_naive"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True)


@compiled_only
def test_only_arrays_of_the_signature_are_let_in():
    double = kernel("void(f4[::1])", twin=doubled)(variant(double_each, "only_arrays"))
    read_only, x = np.ones(4, np.float32), np.ones((4, 4), np.float32)
    read_only.flags.writeable = False
    swapped = np.ones(4, np.float32).astype(np.float32().dtype.newbyteorder())
    for wrong in (np.ones(4), np.ones(4, np.int32), x, x[:, 0], read_only, swapped, None, 3, [1.0], b"1234"):
        with pytest.raises(TypeError, match="double_each|only_arrays"):
            double(wrong)
    with pytest.raises(TypeError):
        double()


@compiled_only
def test_a_subclass_and_a_dtype_with_metadata_are_let_in(tmp_path):
    double = kernel("void(f4[::1])", twin=doubled)(variant(double_each, "subclasses"))
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=4)
    mapped[:] = 1
    tagged = np.ones(4, np.dtype(np.float32, metadata={"a": 1}))
    for x in (mapped, tagged):
        double(x)
        assert x.tolist() == [2, 2, 2, 2]


@compiled_only
def test_numbers_and_results():
    def find(x, wanted, last):
        found = -1
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                if x[i, j] == wanted and (last or found < 0):
                    found = i * x.shape[1] + j
        return found

    search = kernel("i8(i4[:,::1], i8, b1)", twin=find)(find)
    x = np.array([[1, 2, 3], [2, 1, 7]], np.int32)
    assert [search(x, 2, False), search(x, np.int64(2), True), search(x, 9, True)] == [1, 3, -1]


@compiled_only
def test_a_loop_that_allocates_is_refused():
    def allocate(x):
        x[0] = np.zeros(x.size)[0]

    with pytest.raises(Exception, match="np.zeros"):
        kernel("void(f4[::1])", twin=doubled)(allocate)(np.ones(3, np.float32))


@compiled_only
def test_a_kernel_calls_another_and_follows_its_source(tmp_path):
    script, folder = tmp_path / "doubled.py", tmp_path / "cache"
    script.write_text(DOUBLED)
    (tmp_path / "calls.py").write_text(CALLS)
    assert [compilations(tmp_path / "calls.py", folder, "4") for _ in range(2)] == [2, 0]
    script.write_text(DOUBLED.replace("*= 2", "*= 3"))
    assert [compilations(tmp_path / "calls.py", folder, "9") for _ in range(2)] == [2, 0]


@compiled_only
def test_many_threads_may_call_first():
    double = kernel("void(f4[::1])", twin=doubled)(variant(double_each, "many_threads"))
    x = np.ones((8, 5), np.float32)
    threads = [threading.Thread(target=double, args=(row,)) for row in x]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (x == 2).all() and sum("many_threads" in name for name in cache.compiled) <= 1


@compiled_only
def test_a_full_disk_costs_time_only(tmp_path):
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file may hold anything, as on a full disk
import numpy as np
from tinyencodec.layers.activation import elu
assert (elu(np.ones(3, np.float32)) == 1).all()
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*"))


DOUBLED = """
import sys
import numpy as np
from tinyencodec.system.compiler import cache
from tinyencodec.system.compiler.jit import kernel

def _naive(x):
    x *= 2

@kernel("void(f4[::1])", twin=_naive)
def double(x):
    for i in range(x.size):
        x[i] *= 2

if __name__ == "__main__":
    x = np.arange(4, dtype=np.float32)
    double(x)
    assert x.tolist() == [0, 2, 4, 6]
    assert ("numba" in sys.modules) == bool(cache.compiled)
    print(len(cache.compiled))
"""

CALLS = """
import sys
import numpy as np
from doubled import cache, double, kernel

def _naive(x):
    x *= 4

@kernel("void(f4[::1])", twin=_naive)
def twice(x):
    for i in range(2):
        double(x)

x = np.ones(2, np.float32)
twice(x)
assert x.tolist() == [int(sys.argv[1])] * 2
print(len(cache.compiled))
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


def a_folder(path):
    path.unlink()
    path.mkdir()


def gone(path):
    path.unlink()


def compilations(script, folder, *argv):
    done = subprocess.run([sys.executable, script, *argv], capture_output=True, text=True, check=True,
                          env=os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)})
    assert done.stderr == ""
    return int(done.stdout)


@compiled_only
@pytest.mark.parametrize("damage", [emptied, cut, other_bytes, one_bit, a_folder, gone])
def test_a_damaged_cache_is_compiled_anew_and_mended(tmp_path, damage):
    script, folder = tmp_path / "doubled.py", tmp_path / "cache"
    script.write_text(DOUBLED)
    assert (compilations(script, folder), compilations(script, folder)) == (1, 0)
    damaged, = folder.rglob("*.kernel")
    damage(damaged)
    assert compilations(script, folder) == 1
    if damaged.is_dir():  # in its way for good: compiled each time, until somebody removes it
        assert compilations(script, folder) == 1
        shutil.rmtree(damaged)
        compilations(script, folder)
    assert compilations(script, folder) == 0


PRODUCTS = """
import sys
import numpy as np
from tinyencodec.system.compiler import cache
from tinyencodec.kernels.gemm import gemm, pack

x = np.full(1, 1 + 2**-12, np.float32)
for fused in map(int, sys.argv[1]):
    y = gemm(x, pack(x[:, None]), 1, 1, np.full(1, -1 - 2**-11, np.float32), fused=fused)
    assert y[0, 0] == (2**-24 if fused else 0), (fused, y)
print(len(cache.compiled))
"""


@compiled_only
def test_kernels_of_two_processes_stay_apart(tmp_path):
    """What Numba calls the functions inside can be the same in both."""
    script = tmp_path / "products.py"
    script.write_text(PRODUCTS)
    assert [compilations(script, tmp_path / "cache", which) for which in ("0", "1", "01", "10")] == [1, 1, 0, 0]


@compiled_only
def test_another_source_is_compiled_anew(tmp_path):
    script, folder = tmp_path / "doubled.py", tmp_path / "cache"
    script.write_text(DOUBLED)
    assert compilations(script, folder) == 1
    script.write_text(DOUBLED.replace("x[i] *= 2", "x[i] = x[i] + x[i]"))
    assert [compilations(script, folder) for _ in range(2)] == [1, 0]


@compiled_only
def test_another_number_from_elsewhere_is_compiled_anew(tmp_path):
    script, numbers, folder = tmp_path / "doubled.py", tmp_path / "numbers_of_ours.py", tmp_path / "cache"
    script.write_text("from numbers_of_ours import FACTOR\n" + DOUBLED.replace("x[i] *= 2", "x[i] *= FACTOR").replace(
        "[0, 2, 4, 6]", "[0, FACTOR, 2 * FACTOR, 3 * FACTOR]"))
    for n, times in ((2, 1), (2, 0), (3, 1), (2, 0)):
        numbers.write_text(f"FACTOR = {n}  # {times}")
        assert compilations(script, folder) == times


@compiled_only
def test_what_a_kernel_is_made_of():
    modules, numbers = jit._sources(gemm.gemm_run.what)
    assert f"ROWS={tile.ROWS}" in numbers and f"_BLOCK={gemm._BLOCK}" in numbers
    assert modules == {
        f"tinyencodec.{name}" for name in ("kernels.gemm", "kernels.tile", "system.compiler.tile_code",
                                           "system.compiler.object_file", "system.compiler.processor")}
