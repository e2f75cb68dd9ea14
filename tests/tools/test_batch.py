"""Many files, in this process: names of outputs, and one file after the other."""

import os
import shutil
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.helpers.models import RATE, add_coders
from tests.helpers.program import run
from tinyencodec.system.inputs import Found
from tinyencodec.tools.batch import tasks
from tinyencodec.tools.batch.report import Report, showable
from tinyencodec.tools.batch.tasks import CodingOptions, Outcome, Task, assign_outputs, load_worker, reason

CHOICES = CodingOptions(compress=True, model="mono", bandwidth=None, entropy="none", block=None, protect=False,
                        search=1, rate_weight=None, keep_going=None, rescale=False, threads=1)


@pytest.fixture(scope="module")
def home(tmp_path_factory, home):
    """The store, and coders for the model mono."""
    copy = tmp_path_factory.mktemp("with coders") / "home"
    shutil.copytree(home, copy)
    add_coders(copy / "models" / "mono")
    return copy


@pytest.fixture(autouse=True)
def sounds(here):
    wav, rate = soundfile.read("in.wav")
    os.rename("in.wav", "a.wav")
    soundfile.write("b.flac", wav[::-1], RATE)


def found(*names, folder="in"):
    return [Found(Path(folder, name), PurePosixPath(name)) for name in names]


# ---- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names, to, out, suffix, expected", [
    (["a.wav", "x/b.c.MP3", "d"], None, None, ".ecdc", ["in/a.ecdc", "in/x/b.c.ecdc", "in/d.ecdc"]),
    (["a.wav", "x/b.c.MP3"], None, "o/p", ".ecdc", ["o/p/a.ecdc", "o/p/x/b.c.ecdc"]),
    (["a.ecdc", "x/b.ECDC"], None, None, ".wav", ["in/a_decompressed.wav", "in/x/b_decompressed.wav"]),
    (["a.ecdc", "x/b.ECDC"], None, "o", ".wav", ["o/a.wav", "o/x/b.wav"]),
    (["a.ecdc", "x/b.old"], ".ogg", "o", ".ogg", ["o/a.ogg", "o/x/b.ogg"]),
    (["a.wav"], ".ecdc", "in", ".ecdc", ["in/a.ecdc"]),
    (["ü\n.wav", "[x]/ .wav"], None, "o", ".ecdc", ["o/ü\n.ecdc", "o/[x]/ .ecdc"]),
])
def test_outputs(names, to, out, suffix, expected):
    found_suffix, found_tasks = assign_outputs(found(*names), to, out and Path(out))
    assert found_suffix == suffix and [str(task.dest) for task in found_tasks] == expected
    assert [str(task.source) for task in found_tasks] == [f"in/{name}" for name in names]


def test_sizes():
    _, found_tasks = assign_outputs(found("a.wav", "none.wav", folder=""), None, None)
    assert [task.size for task in found_tasks] == [os.path.getsize("a.wav"), 0]


@pytest.mark.parametrize("names, out, left", [
    (["a.ecdc", "a.wav", "b.wav"], None, ["a.wav", "b.wav"]),
    (["a.ecdc", "a_decompressed.wav", "b.ecdc"], None, ["a.ecdc", "b.ecdc"]),
    (["a.ecdc", "a.wav", "a_decompressed.wav"], None, ["a.wav"]),
    (["a.wav", "out/a.ecdc"], "in/out", ["a.wav"]),
])
def test_outputs_of_an_earlier_run_are_no_inputs(names, out, left):
    _, found_tasks = assign_outputs(found(*names), None, out and Path(out).absolute())
    assert [str(task.source) for task in found_tasks] == [f"in/{name}" for name in left]


@pytest.mark.parametrize("names, to, out, message", [
    (["a.wav", "b.ecdc"], None, None,
     "expected sound or .ecdc files, got both, such as in/a.wav and in/b.ecdc: choose by --to .ecdc or --to .wav"),
    (["a.wav", "a.ecdc"], None, "in",
     "expected sound or .ecdc files, got both, such as in/a.wav and in/a.ecdc: choose by --to .ecdc or --to .wav"),
    (["a.wav", "a.mp3"], None, None, "in/a.wav and in/a.mp3: expected outputs that differ, got in/a.ecdc for both"),
    (["a.ecdc"], ".ecdc", None, "in/a.ecdc: expected another file for the output than the input, got the same"),
    (["a.wav", "b.ecdc"], ".wav", "in",
     "in/a.wav: expected another file for the output than the input, got the same"),
])
def test_outputs_that_cannot_be(names, to, out, message):
    with pytest.raises(ValueError) as error:
        assign_outputs(found(*names), to, out and Path(out))
    assert str(error.value) == message


def test_the_same_name_from_two_folders():
    files = found("x.wav", folder="a") + found("x.wav", folder="b")
    with pytest.raises(ValueError) as error:
        assign_outputs(files, None, Path("o"))
    assert str(error.value) == "a/x.wav and b/x.wav: expected outputs that differ, got o/x.ecdc for both"
    assert len(assign_outputs(files, None, None)[1]) == 2


# ---- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model, options, choices", [
    ("mono", [], {}),
    ("stereo", ["-b", 8], {"bandwidth": 8.0}),
    ("mono", ["--entropy", "table", "--block", 0.1], {"entropy": "table", "block": 0.1}),
    ("mono", ["-l", "--block", 0.1], {"entropy": "lm", "block": 0.1}),
    ("stereo", ["--protect"], {"protect": True}),
])
def test_same_bytes_as_of_the_single_file(model, options, choices):
    """And back; one worker does several files."""
    code = load_worker(CHOICES._replace(model=model, **choices))
    for name in ("a.wav", "b.flac"):
        outcome = code(Task(Path(name), Path("out/x", name).with_suffix(".ecdc"), 0))
        assert run("-m", model, *options, name) == 0
        data = Path(name).with_suffix(".ecdc").read_bytes()
        assert data == Path("out/x", name).with_suffix(".ecdc").read_bytes()
        length = 1103 if name == "a.wav" else 2205
        assert outcome == Outcome("", (), length / RATE, os.path.getsize(name), len(data), outcome.elapsed)
    code = load_worker(CHOICES._replace(compress=False, model=None))
    for name in ("a.ecdc", "b.ecdc"):
        outcome = code(Task(Path("out/x", name), Path("heard", name).with_suffix(".flac"), 0))
        assert not outcome.error and outcome.seconds == (1103 if name == "a.ecdc" else 2205) / RATE
        assert run(name, "single.flac", "-f") == 0
        assert Path("single.flac").read_bytes() == Path("heard", name).with_suffix(".flac").read_bytes()


def test_models_and_coders_are_loaded_once(monkeypatch):
    for model in ("mono", "stereo", "mono"):
        assert run("-m", model, "a.wav", f"{model}.ecdc", *(["-l"] if model == "mono" else []), "-f") == 0
    loaded = []
    load_model, load_coder = tasks.load_model, tasks.load_coder
    monkeypatch.setattr(tasks, "load_model", lambda name: loaded.append(name) or load_model(name))
    monkeypatch.setattr(tasks, "load_coder", lambda kind, model: loaded.append(kind) or load_coder(kind, model))
    code = load_worker(CHOICES._replace(compress=False, model=None))
    for k, name in enumerate(["mono.ecdc", "stereo.ecdc", "mono.ecdc", "stereo.ecdc"]):
        assert code(Task(Path(name), Path(f"{k}.wav"), 0)).error == ""
    assert loaded == ["mono", "lm", "stereo"]


@pytest.mark.parametrize("choices, message", [
    ({"model": "none"}, "unknown model 'none'"), ({"model": "none", "compress": False}, "unknown model 'none'"),
    ({"bandwidth": 5.0}, "bandwidth: model mono offers 4, 8, 16 kbit/s"),
    ({"model": "stereo", "entropy": "table"}, "model stereo has no tables"),
    ({"model": "stereo", "entropy": "lm"}, "model stereo has no language model"),
    ({"protect": True, "block": -1.0}, "block: expected a positive"),
])
def test_choices_that_cannot_be(choices, message):
    with pytest.raises(ValueError, match=message):
        load_worker(CHOICES._replace(**choices))


def test_files_that_cannot_be_coded():
    """The reason does not name the file again; nothing is left behind; the next one is coded."""
    Path("text.wav").write_text("not sound")
    Path("empty.wav").touch()
    Path("folder.wav").mkdir()
    soundfile.write("none.wav", np.zeros((0, 1)), RATE)
    soundfile.write("nan.wav", np.full(9, np.nan), RATE, subtype="FLOAT")
    Path("file").touch()
    Path("there.ecdc").write_bytes(b"old")
    code = load_worker(CHOICES)
    unreadable = "expected an audio file, got something unreadable ("
    for source, dest, expected in [
            ("gone.wav", "o/x.ecdc", "No such file or directory"), ("text.wav", "o/x.ecdc", unreadable),
            ("empty.wav", "o/x.ecdc", unreadable), ("folder.wav", "o/x.ecdc", "Is a directory"),
            ("none.wav", "o/x.ecdc", "expected at least one sample, got none"),
            ("nan.wav", "o/x.ecdc", "audio: expected finite samples"),
            ("a.wav", "there.ecdc", "there.ecdc: file exists"), ("a.wav", "file/x.ecdc", "file: File exists"),
            ("a.wav", "file/x/y.ecdc", "file/x: Not a directory")]:
        outcome = code(Task(Path(source), Path(dest), 0))
        assert outcome.error.startswith(expected), outcome.error
        assert outcome == Outcome(outcome.error)
    assert os.listdir("o") == [] and Path("there.ecdc").read_bytes() == b"old"
    assert code(Task(Path("a.wav"), Path("o/a.ecdc"), 0)).error == "" and os.listdir("o") == ["a.ecdc"]


def test_files_that_cannot_be_decoded():
    assert run("-m", "mono", "a.wav") == run("-m", "mono", "-l", "--block", 0.02, "a.wav", "blocks.ecdc") == 0
    assert run("-m", "loud", "a.wav", "loud.ecdc") == 0
    data = Path("a.ecdc").read_bytes()
    Path("cut.ecdc").write_bytes(data[:-9])
    Path("other.ecdc").write_bytes(data.replace(b"mono", b"gone"))
    damaged = bytearray(Path("blocks.ecdc").read_bytes())
    damaged[-60] ^= 1
    Path("damaged.ecdc").write_bytes(damaged)
    code = load_worker(CHOICES._replace(compress=False, model=None))
    for name, expected in [("cut", "file ends early: expected"), ("other", "unknown model 'gone'"),
                           ("damaged", "block "), ("none", "No such file"), ("a", "")]:
        outcome = code(Task(Path(name + ".ecdc"), Path("o", name + ".wav"), 0))
        assert outcome.error.startswith(expected) and bool(outcome.error) == bool(expected) and not outcome.remarks
    assert os.listdir("o") == ["a.wav"]
    code = load_worker(CHOICES._replace(compress=False, model=None, keep_going="silence"))
    outcome = code(Task(Path("damaged.ecdc"), Path("o/damaged.wav"), 0))
    assert not outcome.error and len(outcome.remarks) == 1 and "are lost and filled by silence" in outcome.remarks[0]
    assert not outcome.remarks[0].startswith("damaged.ecdc")
    for rescale in (False, True):
        code = load_worker(CHOICES._replace(compress=False, model=None, rescale=rescale))
        remarks = code(Task(Path("loud.ecdc"), Path("o/loud.wav"), 0, force=rescale)).remarks
        assert [remark.split(" and ")[-1] for remark in remarks] == \
            ([] if rescale else ["was clipped at 0.99; use -r to scale it down instead"])


@pytest.mark.parametrize("error, expected", [
    (PermissionError(13, "Permission denied", "a.wav"), "Permission denied"),
    (OSError(28, "No space left on device"), "No space left on device"),
    (OSError(5, "Input/output error", "b"), "b: Input/output error"),
    (ValueError("a.wav: expected this"), "expected this"), (EOFError(), "EOFError: "),
    (MemoryError(), "out of memory"), (KeyError("x"), "KeyError: 'x'"), (OSError("a process died"), "a process died"),
])
def test_reasons(error, expected):
    assert reason(error, Path("a.wav")) == expected


# ---- report ------------------------------------------------------------------------------------------


def test_report(capsys, monkeypatch):
    clock = SimpleNamespace(monotonic=iter([10.0, 12.0, 14.0, 20.0, 30.0]).__next__)
    monkeypatch.setattr("tinyencodec.tools.batch.report.time", clock)
    tasks = [Task(Path(f"{name}.wav"), Path(f"{name}.ecdc"), 1) for name in "abc\nde"]
    a, b, c, newline, d, e = tasks
    report = Report(tasks, [a, b, newline, d, e], compress=True, cores=2)
    assert list(report.add(a, Outcome("", ("quiet",), 60.0, 2000, 45000, 3.0))) == ["warning: a.wav: quiet"]
    assert list(report.add(newline, Outcome("no\x1b[2J good"))) == ["\\n.wav: no\\x1b[2J good"]
    assert list(report.add(d, Outcome("", (), 40.0, 1000, 30000, 2.0))) == []
    assert report.failed == [newline]
    report.print(each=True)
    assert capsys.readouterr().out == """\
  seconds     bytes in    bytes out   kbit/s  x real time
    60.00         2000        45000     6.00         20.0  a.wav
    40.00         1000        30000     6.00         20.0  d.wav
6 files: 2 done, 1 skipped, 1 failed, 2 left
0:01:40 of sound, 3000 bytes to 75000 bytes, 6.00 kbit/s
in 0:00:10: 10.0 hours of sound an hour, 5.0 on each of 2 cores
failed:
  \\n.wav: no\\x1b[2J good
"""
    report.print(each=False)
    assert "a.wav" not in capsys.readouterr().out
    back = Report(tasks[:1], tasks[:1], compress=False, cores=1)
    back.print(each=True)
    assert capsys.readouterr().out == "1 file: 1 left\n"


def test_printable(monkeypatch):
    assert showable(os.fsdecode(b"\xff ") + "ä\t\r\x1b]0;x\x07\u202e") == "\\udcff ä\\t\\r\\x1b]0;x\\x07\\u202e"
    monkeypatch.setattr("sys.stdout", open(os.devnull, "w", encoding="ascii"))
    assert showable("ä") == "\\xe4"
