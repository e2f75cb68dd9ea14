"""`tinyencodec batch` with the bundled model: the same bytes for any number of processes, whoever dies; SIGTERM."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile

from tests.helpers.paths import DATA, tree
from tests.helpers.program import ENVIRONMENT


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A dozen pieces of a second and a half in two folders."""
    monkeypatch.chdir(tmp_path)
    for name in ("speech", "guitar"):
        wav, rate = soundfile.read(DATA / f"{name}.flac")
        Path("in", name).mkdir(parents=True)
        for k in range(6):
            soundfile.write(f"in/{name}/{k}.wav", wav[k * rate // 2:(k + 3) * rate // 2], rate)


def start(*argv):
    return subprocess.Popen([sys.executable, "-m", "tinyencodec", "batch", *argv], env={**os.environ, **ENVIRONMENT},
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def workers(program):
    """The processes that a program has started to work for it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent, command = path.joinpath("stat").read_text().split()[3], path.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if parent == str(program.pid) and b"spawn_main" in command:
            found.append(int(path.name))
    return found


def test_whoever_dies():
    """One worker is killed in the middle: all files are done, as by one process, and by the language model too."""
    one = start("in", "-o", "one", "-j", "1", "-l")
    assert one.communicate(timeout=300)[1] == "" and one.returncode == 0
    two = start("in", "-o", "two", "-j", "2", "-l")
    while not list(Path(".").glob("two/*/*.ecdc")):
        assert two.poll() is None
        time.sleep(0.01)
    os.kill(workers(two)[0], signal.SIGKILL)
    out, err = two.communicate(timeout=300)
    assert (two.returncode, err) == (0, "") and "12 files: 12 done\n" in out
    left = {name for name in tree("two") if name.endswith(".tmp")}  # kill -9 leaves what it leaves
    assert {name: data for name, data in tree("two").items() if name not in left} == tree("one") and len(left) <= 1
    back = [start("one", "-o", f"heard{n}", "-j", n) for n in "12"]
    assert [(program.communicate(timeout=300)[1], program.returncode) for program in back] == [("", 0)] * 2
    assert tree("heard1") == tree("heard2") and len(tree("heard1")) == 12


def test_sigterm():
    program = start("in", "-o", "out", "-j", "2")
    while not list(Path(".").glob("out/*/*.ecdc")):
        assert program.poll() is None
        time.sleep(0.01)
    children = workers(program)
    program.terminate()
    out, err = program.communicate(timeout=60)
    assert program.returncode == 143 and err == "" and "12 files: " in out and " left\n" in out
    assert all(path.suffix == ".ecdc" for path in Path("out").rglob("*.*"))
    assert not any(Path(f"/proc/{child}").exists() for child in children)
