"""Ctrl-C, SIGTERM, kill -9 and a full disk at any point leave the right output file, the old one, or none.

Here at each thing that a command does to a file, and at moments in between; `tests/slow/test_interrupted.py` does the
same to processes that begin from nothing.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers import forked
from tests.helpers.models import save_model

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="forks, and /dev/full")
COMMANDS = {  # arguments, the output
    "compress": (["-m", "mono", "in.wav", "out.ecdc"], "out.ecdc"),
    "compress in blocks": (["-m", "mono", "--protect", "--block", "0.1", "in.wav", "out.ecdc"], "out.ecdc"),
    "decompress": (["-m", "mono", "in.ecdc", "out.wav"], "out.wav"),
    "decompress to FLAC": (["-r", "in.ecdc", "out.flac"], "out.flac"),
    "both": (["-m", "mono", "in.wav", "out.flac"], "out.flac"),  # .ogg has random serial numbers
    "codes": (["codes", "-m", "mono", "in.wav", "out.npz"], "out.npz"),
    "codes to sound": (["codes", "in.npz", "out.wav"], "out.wav"),
    "convert": (["convert", "home/models/mono", "out"], "out"),
}
SIGNALS = {signal.SIGINT: (130, "interrupted\n"), signal.SIGTERM: (143, ""), signal.SIGKILL: (-9, "")}
TEMPORARY = re.compile(r"\..+\.(tmp|part)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, a recording, an `.ecdc` file and a file of codes."""
    folder = tmp_path_factory.mktemp("interrupted")
    save_model(folder / "home" / "models" / "mono")
    soundfile.write(folder / "in.wav", 0.1 * np.random.default_rng(1).standard_normal((30_000, 1)), 8000)
    return folder


@pytest.fixture(scope="module")
def program(folder):
    program = forked.Program(folder, {"TINYENCODEC_HOME": str(folder / "home")},
                                [["-m", "mono", "in.wav", "in.ecdc"], ["codes", "in.ecdc", "in.npz"],
                                 ["in.ecdc", "warm.flac"]])
    (folder / "warm.flac").unlink()
    yield program
    program.close()


@pytest.fixture(scope="module")
def wanted(program, folder):
    """What each command writes if nothing happens to it, and the events on the way."""
    found = {}
    for name, (argv, output) in COMMANDS.items():
        done = program(argv)
        assert done.code == 0, done.err
        found[name] = content(folder / output), done.events, done.seconds
        clear(folder, output)
    return found


def content(path: Path):
    """Bytes of a file, or of all files in a folder; None if there is none."""
    if path.is_dir():
        return {each.name: each.read_bytes() for each in path.iterdir()}
    return path.read_bytes() if path.exists() else None


def clear(folder: Path, output: str) -> None:
    for path in [folder / output, *(folder / name for name in leftovers(folder))]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[str]:
    return sorted({path.name for path in folder.iterdir()} - {"home", "in.wav", "in.ecdc", "in.npz", "out", "out.ecdc",
                                                              "out.wav", "out.flac", "out.npz"})


def check(folder: Path, output: str, good, old, number: int, done) -> None:
    """What is there after a signal: the right output, the old one, or none; and temporary files only if killed."""
    code, message = SIGNALS[number]
    found = content(folder / output)
    assert found == good or found == old, f"half-written output, exit code {done.code}"
    assert done.code in (code, 0, -number), (done.code, done.err)
    if done.code == -number != -signal.SIGKILL:  # before the program has begun, or when it is done
        assert not leftovers(folder)
    elif done.code == 0:
        assert found == good and not leftovers(folder)
    elif number == signal.SIGKILL:
        assert all(TEMPORARY.fullmatch(name) for name in leftovers(folder)) and len(leftovers(folder)) <= 1
    else:
        assert not leftovers(folder)
        assert done.err.endswith(message) and done.err.count("\n") == len(message.splitlines()), done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_at_each_event(program, folder, wanted, name):
    """Killed before each thing that it does to a file; where it can, an output of old is there that may be replaced."""
    (argv, output), (good, events, _) = COMMANDS[name], wanted[name]
    clear(folder, output)
    assert events >= 3
    for event in range(events):
        number = list(SIGNALS)[(event + list(COMMANDS).index(name)) % 3]
        old = b"old" if event % 2 and name != "convert" else None
        if old:
            (folder / output).write_bytes(old)
        done = program([*argv, *(["-f"] if old else [])], kill=number, event=event)
        check(folder, output, good, old, number, done)
        assert done.code != 0
        clear(folder, output)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_at_any_moment(program, folder, wanted, number):
    source = random.Random(int(number))
    for name, (argv, output) in COMMANDS.items():
        good, _, seconds = wanted[name]
        clear(folder, output)
        old = b"old" if name != "convert" and source.random() < 0.5 else None
        if old:
            (folder / output).write_bytes(old)
        done = program([*argv, *(["-f"] if old else [])], kill=number, after=0.005 + source.random() * seconds)
        check(folder, output, good, old, number, done)
        clear(folder, output)


@pytest.mark.parametrize("name", COMMANDS)
def test_full_disk(program, folder, wanted, name):
    """No file may have more than 100 bytes, or half of what the output needs."""
    (argv, output), (good, _, _) = COMMANDS[name], wanted[name]
    clear(folder, output)
    size = max(map(len, good.values())) if isinstance(good, dict) else len(good)
    for limit in (100, size // 2):
        done = program(argv, fsize=limit)
        assert done.code == 2 and re.fullmatch(r"tinyencodec.*: .*(File too large|27).*\n", done.err), done
        assert content(folder / output) is None and not leftovers(folder)


@pytest.mark.parametrize("argv", [["-m", "mono", "in.wav", "/dev/full"], ["-r", "in.ecdc", "/dev/full"],
                                  ["--raw", "s16le", "in.ecdc", "/dev/full"]])
def test_full_device(program, argv):
    done = program(argv)
    assert (done.code, done.err) == (2, "tinyencodec: /dev/full: No space left on device\n")


@pytest.mark.parametrize("argv", [["-m", "mono", "in.wav", "-"], ["in.ecdc", "-"], ["info", "in.ecdc"], ["models"]])
def test_full_standard_output(program, argv):
    done = program(argv, stdout="/dev/full")
    prog = "tinyencodec " + argv[0] if argv[0].isalpha() else "tinyencodec"
    # (What Python prints without a buffer, as PYTHONUNBUFFERED wants it, fails without a name.)
    assert done.code == 2 and re.fullmatch(f"{prog}: (standard output: )?No space left on device\n", done.err), done


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
                                                   capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("expected the right to mount a small file system")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_really_full_disk(program, folder, wanted, small_disk):
    (small_disk / "much").write_bytes(bytes(60 << 10))
    for argv, output in COMMANDS.values():
        if output == "out":
            continue
        dest = small_disk / output
        done = program([*argv[:-1], dest])
        if done.code:  # the smallest fit
            assert (done.code, done.err.count("\n")) == (2, 1) and "No space left on device" in done.err, done
        assert content(dest) in (None, wanted[next(n for n, c in COMMANDS.items() if c == (argv, output))][0])
        dest.unlink(missing_ok=True)
        assert os.listdir(small_disk) == ["much"]
