"""How a command starts: what it imports, and what it says when there is something to compile."""

import subprocess
import sys

import pytest

from tests.helpers.paths import DATA, ROOT
from tests.helpers.program import shell
from tinyencodec.system.compiler import jit

SLOW = {"numba", "scipy", "torch", "matplotlib", "multiprocessing.pool"}
COMPILED = pytest.mark.skipif(not jit.JIT, reason="there is no kernel")
SCRIPT = """
import sys
from tinyencodec.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def imported(*argv):
    """The modules that the program has imported at its end."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *map(str, argv)], capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr.replace("SystemExit", ""), done.stderr
    return set(done.stderr.split())


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """A file of two seconds, made of sound at 44.1 kHz."""
    folder = tmp_path_factory.mktemp("coded")
    assert shell(DATA / "guitar.flac", folder / "x.ecdc").returncode == 0
    return folder / "x.ecdc"


def test_help_needs_no_numpy():
    assert not {"numpy", "llvmlite", *SLOW} & imported("--help")


def test_what_computes_nothing_loads_no_kernels(coded):
    for argv in (["info", coded], ["models"]):
        assert not {"llvmlite", "soundfile", *SLOW} & imported(*argv)


@COMPILED
def test_coding_loads_compiled_kernels_without_their_compiler(coded, tmp_path):
    for argv in ([DATA / "guitar.flac", tmp_path / "x.ecdc"], [coded, tmp_path / "x.wav"]):
        assert not SLOW & imported(*argv)


@COMPILED
def test_the_first_command_says_why_it_takes_long(tmp_path):
    def call():
        return shell("-f", DATA / "speech.flac", tmp_path / "x.ecdc", NUMBA_CACHE_DIR=str(tmp_path / "cache"))

    first, second = call(), call()
    assert first.stderr == "tinyencodec: compiling for this processor: a few seconds, the first time only\n"
    assert second.stderr == "" and first.returncode == second.returncode == 0
