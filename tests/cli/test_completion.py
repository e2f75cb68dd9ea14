"""Shell completion: the scripts are in order, and bash completes with them as it should."""

import shutil
import subprocess
import sys

import pytest

from tests.helpers.program import run
from tinyencodec.cli.completion import SHELLS

needs_shtab = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('shtab')",
                                 reason="shtab is not installed")


@pytest.fixture
def script(tmp_path, monkeypatch, capsys):
    """A function that saves the script of a shell as `script`, in a folder with some files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    for name in ("song.wav", "two words.mp3"):
        (tmp_path / name).touch()

    def save(shell):
        assert run("completion", shell) == 0
        (tmp_path / "script").write_text(capsys.readouterr().out)

    return save


@needs_shtab
@pytest.mark.parametrize("shell", [
    pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed"))
    for shell in SHELLS])
def test_script_is_in_order(shell, script):
    script(shell)
    result = subprocess.run([shell, "-n", "script"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs_shtab
@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes(script):
    script("bash")
    lines = {"inf": {"info"}, "two": {"two words.mp3"}, "co": {"convert", "codes", "compare", "completion"},
             "--entr": {"--entropy"}, "--entropy ": {"none", "table", "lm"}, "info s": {"song.wav", "script"},
             "info --m": {"--model"}, "batch two": {"two words.mp3"}, "evaluate --corpus ": {"recordings"},
             "completion ": {*SHELLS}}
    drive = "source ./script\n"
    for line in lines:
        words = " ".join(f"'{word}'" for word in ["tinyencodec", *line.split(" ")])
        drive += (f"COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _shtab_tinyencodec\n"
                  "printf '%s\\n' \"${COMPREPLY[@]}\" ---\n")
    out = subprocess.run(["bash", "-c", drive], capture_output=True, text=True, check=True).stdout
    replies = [{*reply.split("\n")} - {""} for reply in out.split("---\n")]
    assert dict(zip(lines, replies)) == lines


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert run("completion", "bash") == 2
    assert capsys.readouterr().err == ("tinyencodec completion: expected the package shtab, which is not installed "
                                       "(pip install 'tinyencodec[completion]')\n")
