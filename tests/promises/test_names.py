"""Names of files that are no UTF-8: their sound is coded as any other, and they are printed as escapes."""

import json
import os
import sys
from pathlib import Path

import pytest
import soundfile

import tinyencodec
from tests.helpers.program import run, shell

pytestmark = [pytest.mark.usefixtures("here"),
              pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")]
NAMES = [os.fsdecode(b"caf\xe9"), os.fsdecode(b"\xff\xfe \x80")]


@pytest.mark.parametrize("name", NAMES)
def test_all_ways_of_one_file(name, capsys):
    os.rename("in.wav", f"{name}.wav")
    assert run("-m", "mono", f"{name}.wav") == 0
    data = Path(f"{name}.ecdc").read_bytes()
    wav = tinyencodec.read_audio(f"{name}.wav", 8000, 1)
    assert data == tinyencodec.compress(tinyencodec.load_model("mono"), wav, 4.0)
    for suffix in ("wav", "flac", "ogg"):
        assert run(f"{name}.ecdc", f"out {name}.{suffix}") == 0
        assert soundfile.info(os.fsencode(f"out {name}.{suffix}")).frames == wav.shape[1]
    for suffix in ("npz", "safetensors"):
        assert run("codes", "-m", "mono", f"{name}.wav", f"{name}.{suffix}") == 0
        assert run("codes", f"{name}.{suffix}", f"{suffix}.ecdc") == 0
        assert Path(f"{suffix}.ecdc").read_bytes() == data
    assert run("info", f"{name}.ecdc") == 0
    assert capsys.readouterr().err == ""
    assert run(f"no {name}.wav") == 2
    assert capsys.readouterr().err == f"tinyencodec: no {ascii(name)[1:-1]}.wav: No such file or directory\n"


def test_many_files(capsys):
    for name in NAMES:
        Path("in", name).mkdir(parents=True)
        Path("in", name, f"{name}.wav").write_bytes(Path("in.wav").read_bytes())
    assert run("batch", "-m", "mono", "in", "-o", "out", "--json", "done.json") == 0
    assert [task["status"] for task in json.loads(Path("done.json").read_text())["files"]] == ["done"] * 2
    assert run("tokenize", "-m", "mono", "in", "-o", "tokens", "-j", "1") == 0
    assert run("tokenize", "--check", "tokens") == 0
    assert sorted(tinyencodec.open_dataset("tokens").names) == \
        sorted(f"{name}/{name}.wav" for name in NAMES)
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


def test_a_terminal_that_takes_no_escapes():
    done = shell("convert", Path(tinyencodec.load_model("mono").folder), NAMES[0], PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("caf\\udce9: 8000 Hz")
