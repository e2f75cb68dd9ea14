"""`tinyencodec batch` from outside: trees, exit codes, messages, an interruption.

Starting a worker takes more than a second, so a test does much; `slow/test_batch` has more.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.models import RATE
from tests.helpers.paths import tree
from tests.helpers.program import ENVIRONMENT, run

NAMES = ["a.wav", "b/c.flac", "b/ä ü/d.ogg", "b/[e]\n.wav"]


@pytest.fixture(autouse=True)
def sounds(here):
    """A folder `in` with sounds in folders."""
    os.remove("in.wav")
    for k, name in enumerate(NAMES):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(Path("in", name), 0.1 * np.random.default_rng(k).standard_normal(RATE // 4 * (k + 1)), RATE)
    Path("in/notes.txt").touch()


def coded(name):
    return str(Path(name).with_suffix(".ecdc"))


def test_there_and_back(capsys):
    """Mirrored, with the bytes of the single file, by several processes; what is bad does not matter."""
    Path("in/text.wav").write_text("not sound")
    Path("in/b/empty.wav").touch()
    os.symlink("nowhere", "in/gone.flac")
    Path("new/out").mkdir(parents=True)
    Path("new/out/a.ecdc").write_bytes(b"old")
    assert run("batch", "in", "-m", "mono", "-b", 8, "-f", "--out", "new/out", "-j", 3, "--json", "done.json") == 1
    out, err = capsys.readouterr()
    made = tree("new/out")
    assert sorted(made) == sorted(map(coded, NAMES))
    for name in NAMES:
        assert run("-m", "mono", "-b", 8, f"in/{name}", "single.ecdc", "-f") == 0
        assert Path("single.ecdc").read_bytes() == made[coded(name)]

    bad = ["in/b/empty.wav", "in/gone.flac", "in/text.wav"]
    assert sorted(line.split(": ")[1] for line in err.splitlines()) == bad
    assert "in/gone.flac: No such file or directory\n" in err
    assert out.splitlines()[0] == "  seconds     bytes in    bytes out   kbit/s  x real time"
    assert "  in/b/[e]\\n.wav\n" in out and "\n7 files: 4 done, 3 failed\n0:00:02 of sound, " in out
    assert [line.split(":")[0].strip() for line in out.split("\nfailed:\n")[1].splitlines()] == bad
    report = json.loads(Path("done.json").read_bytes())
    assert [report["totals"][word] for word in ("done", "skipped", "failed", "left", "seconds")] == [4, 0, 3, 0, 2.5]
    everything = [*NAMES, "text.wav", "b/empty.wav", "gone.flac"]
    assert [Path(file["input"]) for file in report["files"]] == sorted(Path("in", name) for name in everything)
    first = report["files"][0]
    assert first["status"] == "done" and first["output"] == "new/out/a.ecdc" and first["seconds"] == 0.25
    assert first["bytes_out"] == len(made["a.ecdc"]) and first["kbit_s"] == first["bytes_out"] * 8 / 250

    Path("new/out/b/cut.ecdc").write_bytes(made["a.ecdc"][:-9])
    assert run("batch", "new/**/*.ecdc", "--out", "heard", "--to", ".flac", "-j", 1) == 1
    err = capsys.readouterr().err
    assert err.startswith("tinyencodec batch: new/out/b/cut.ecdc: file ends early") and err.count("\n") == 1
    assert sorted(tree("heard")) == sorted(Path("out", name).with_suffix(".flac").as_posix() for name in NAMES)
    assert run("new/out/b/c.ecdc", "single.flac") == 0
    assert Path("single.flac").read_bytes() == tree("heard")["out/b/c.flac"]


def test_what_exists(capsys):
    """Without --out the names are those of single files, and what these have made is found."""
    for name in NAMES:
        assert run("-m", "mono", f"in/{name}") == 0
    before = tree("in")
    assert run("batch", "in", "-m", "mono") == 2
    assert capsys.readouterr() == ("", "tinyencodec batch: 4 of 4 outputs exist, such as in/a.ecdc; use -f to "
                                       "overwrite or --skip-existing to keep them\n")
    assert run("batch", "in", "-m", "mono", "--skip-existing") == 0  # without workers
    assert capsys.readouterr().out == "4 files: 4 skipped\n"
    Path("in/b/c.ecdc").unlink()
    Path("in/a.ecdc").write_bytes(b"old")
    assert run("batch", "in", "-m", "mono", "--skip-existing") == 0
    assert "4 files: 1 done, 3 skipped\n" in capsys.readouterr().out
    assert tree("in") == before | {"a.ecdc": b"old"}


@pytest.mark.parametrize("argv, message", [
    (["nowhere"], "nowhere: expected a file, or a folder or pattern of files ending in .wav, "),
    (["in", "-m", "none"], "unknown model 'none': expected a folder or one of "),
    (["in", "-m", "mono", "-b", "5"], "bandwidth: model mono offers 4, 8, 16 kbit/s, got 5.0"),
    (["in", "-m", "mono", "-l"], "model mono has no language model: expected "),
    (["in", "-m", "mono", "--block", "1"], "--block: expected with --entropy table, --entropy lm or --protect"),
    (["in", "-m", "mono", "--search", "300"], "search: expected a whole number from 1 to 256, got 300"),
    (["x.ecdc", "--search", "2"], "--search: expected with sound only, got .ecdc files"),
    (["in", "-r"], "--rescale: expected with .ecdc files only, got sound"),
    (["x.ecdc", "-b", "4"], "--bandwidth: expected with sound only, got .ecdc files"),
    (["x.ecdc", "in"], "expected sound or .ecdc files, got both, such as in/a.wav and x.ecdc: choose by --to .ecdc "),
    (["in", "--to", ".wav"], "in: expected a file, or a folder or pattern of files ending in .ecdc, found none"),
    (["in", "-j", "0"], "jobs: expected at least 1, got 0"),
    (["in", "--json", "x.txt"], "x.txt: expected a name ending in .json, got .txt"),
    (["in", "--json", "no/x.json"], "no: output folder does not exist"),
    (["in", "in/a.wav", "other/a.wav", "--out", "o"],
     "in/a.wav and other/a.wav: expected outputs that differ, got o/a.ecdc for both"),
    (["in", "-m", "mono", "--out", "x.ecdc"], "x.ecdc: file exists"),
    (["in", "-m", "mono", "--out", "x.ecdc/o"], "x.ecdc/o: Not a directory"),
    ([], "the following arguments are required: INPUT"),
    (["in", "-f", "--skip-existing"], "argument --skip-existing: not allowed with argument -f/--force"),
])
def test_wrong_use(capsys, argv, message):
    """Told before any work, in one line; nothing is written."""
    Path("x.ecdc").touch()
    Path("other").mkdir()
    Path("other/a.wav").touch()
    before = tree(".")
    try:
        code = run("batch", *argv)
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.replace(f"{os.getcwd()}/", "").startswith(f"tinyencodec batch: {message}"), err
    assert tree(".") == before


def test_an_output_folder_that_cannot_be_written(capsys, monkeypatch):
    Path("out").mkdir()
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path("out") and access(path, mode))
    assert run("batch", "in", "-m", "mono", "--out", "out") == 2
    assert capsys.readouterr() == ("", "tinyencodec batch: out: output folder is not writable\n")


def test_interrupted():
    """At once; a summary, no temporary files; what was done stays."""
    soundfile.write("in/0.wav", 0.1 * np.random.default_rng(0).standard_normal(1 << 16), RATE)
    for k in range(1, 400):
        os.link("in/0.wav", f"in/{k}.wav")
    argv = [sys.executable, "-m", "tinyencodec", "batch", "in/*.wav", "-m", "mono", "-o", "out", "-j", "1"]
    program = subprocess.Popen([*argv, "--json", "x.json"], env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True,  # and, if tests run behind &:
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while program.poll() is None and len(list(Path(".").glob("out/*.ecdc"))) < 2:  # the first has been told
        time.sleep(0.01)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    out, err = program.communicate(timeout=60)
    assert program.returncode == 130 and err == "tinyencodec batch: interrupted\n"
    assert "401 files: " in out and " done, " in out and " left\n" in out and "kbit/s" in out
    names = sorted(path.name for path in Path("out").iterdir())
    assert len(names) < 401 and all(name.endswith(".ecdc") and name[0] != "." for name in names)
    totals = json.loads(Path("x.json").read_bytes())["totals"]
    assert 0 < totals["done"] <= len(names) and totals["left"] == 401 - totals["done"]
