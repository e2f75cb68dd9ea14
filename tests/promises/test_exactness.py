"""The language model gives the same integers however they are computed."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.exact_hash import CONFIG, bits_hash, cdf_hash, make_tensors
from tests.helpers.paths import ROOT
from tinyencodec.lm.exact import VERSION, check_arithmetic
from tinyencodec.lm.model import LanguageModel

# Changes of the arithmetic change these, and then `exact.VERSION` and every file that was written before.
CDF_HASH = "e52422502c1d8ff82bcf16234fc5a7e9839165d350e3acc952742a93f3ac8f2a"
BITS_HASH = "0ea252d155550b6a5a0a52e06ac467a4f98df622a36c04c28b5492a7c70a19f1"

OTHER_WAYS = {
    "plain NumPy": {"NUMBA_DISABLE_JIT": "1"},
    "plain NumPy without its vector code": {"NUMBA_DISABLE_JIT": "1",
                                            "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"},
    "any x86-64 or other CPU": {"NUMBA_CPU_NAME": "generic"},
    "no AVX-512": {"NUMBA_CPU_FEATURES": "-avx512f,-avx512bw,-avx512vl,-avx512dq,-avx512cd"},
    "no AVX2, no FMA": {"NUMBA_CPU_FEATURES": "+sse2,-avx,-avx2,-fma,-avx512f"},
}


def test_here():
    assert VERSION == 1
    assert cdf_hash(make_tensors()) == CDF_HASH
    assert bits_hash(make_tensors()) == BITS_HASH


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_elsewhere(way):
    if "NUMBA_DISABLE_JIT" in os.environ and "NUMBA_DISABLE_JIT" not in OTHER_WAYS[way]:
        pytest.skip("the compiler is off")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-m", "tests.helpers.exact_hash"],
                          env={**os.environ, "PYTHONPATH": path, **OTHER_WAYS[way]},
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [CDF_HASH, BITS_HASH]


@pytest.mark.parametrize("name", ["emb.2.weight", "transformer.layers.0.self_attn.in_proj_weight",
                                  "transformer.layers.2.linear2.bias", "transformer.norm_in.bias"])
def test_hash_notices_one_unit_in_the_last_place(name):
    assert cdf_hash(nudged(name)) != CDF_HASH


def test_id_notices_it_in_every_tensor():
    """What is lost in rounding here may not be lost in another recording, so the model counts as another one."""
    ids = {LanguageModel(CONFIG, nudged(name)).id for name in make_tensors()}
    assert len(ids | {LanguageModel(CONFIG, make_tensors()).id}) == len(ids) + 1 == len(make_tensors()) + 1


def nudged(name):
    """The tensors with the largest number of one of them a unit in its last place higher."""
    tensors = make_tensors()
    flat = tensors[name].reshape(-1)
    largest = np.abs(flat).argmax()
    flat[largest] = np.nextafter(flat[largest], np.float32(9))
    return tensors


def test_check_arithmetic_accepts_this_process():
    check_arithmetic()
