"""The benchmark: that it does the work it times and tells all figures. No test expects a speed."""

import json
import re

import numpy as np
import pytest

from tests.helpers.models import MONO, STEREO, save_model
from tests.helpers.program import run
from tinyencodec.codec.config import PRESETS
from tinyencodec.codec.model import EncodecModel
from tinyencodec.tools.bench import child, report, runs, subject
from tinyencodec.tools.bench.peers import CannotRun
from tinyencodec.tools.bench.speed import Contestant

CONFIGS = {"whole": MONO, "cut": STEREO}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with two small models."""
    for name, config in CONFIGS.items():
        save_model(tmp_path / name, config)
    monkeypatch.chdir(tmp_path)


def figures_of(capsys, *argv):
    assert run("bench", *argv, "--json", "-") == 0
    return json.loads(capsys.readouterr().out)


def test_all_figures(capsys):
    figures = figures_of(capsys, "--quick", "--models", "whole,cut", "--seconds", "0.3", "--threads", "1,2,3",
                         "--repeat", "1", "--profile", "--against", "encodec,onnxruntime")
    assert {"cpu", "cores", "numpy", "numba", "load_before"} <= figures["machine"].keys()
    speed = [row for row in figures["speed"] if row["who"] == "ours"]
    exported = {row["model"] for row in figures["speed"] if row["who"] == "onnxruntime"}
    assert exported <= {"whole"}  # nothing, if it is not installed
    # Whether it is installed or not: these models are not of an official size.
    assert {(row["peer"], row["model"]) for row in figures["left_out"]} == {
        *(("encodec", model) for model in CONFIGS), *(("onnxruntime", model) for model in CONFIGS.keys() - exported)}

    assert [(row["model"], row["threads"], row["operation"]) for row in speed] == [
        (model, threads, operation) for model in CONFIGS for threads in (1, 2, 3) for operation in ("encode", "decode")]
    for row in speed:
        assert row["realtime"] == 0.3 / row["times"][0] and len(row["times"]) == 1
        single = next(one for one in speed if one["threads"] == 1 and one["operation"] == row["operation"]
                      and one["model"] == row["model"])
        assert row.get("speedup") == (None if row is single or row["threads"] == 1
                                      else single["times"][0] / row["times"][0])

    streaming = figures["streaming"]  # the model with segments does not stream
    assert [(row["model"], row["operation"]) for row in streaming] == [
        ("whole", operation) for operation in ("encode", "decode", "both")]
    for row in streaming:
        assert row["samples"] == 8 and row["pushes"] > 900
        assert 0 < row["median_ms"] <= row["p99_ms"] and row["realtime"] > 0
    assert streaming[2]["realtime"] == pytest.approx(
        1 / (1 / streaming[0]["realtime"] + 1 / streaming[1]["realtime"]))

    assert len(figures["memory"]) == 8 + 2 * len(exported)
    assert all(row["peak_mb"] > 10 for row in figures["memory"]), figures["memory"]
    [start] = figures["start"]
    assert 0 < start["numba"] and 0 < start["cached"] and 0 < start["compiling"]
    assert [*start["parts"]] == ["python", "numpy", "llvmlite", "soundfile", "modules", "weights", "kernels", "work"]
    assert sum(start["parts"].values()) < 3 * start["cached"]

    for model in CONFIGS:
        for operation in ("encode", "decode"):
            shares = [row["share"] for row in figures["profile"]
                      if row["model"] == model and row["operation"] == operation]
            assert shares[-1] == 1 and abs(sum(shares[:-1]) - 1) < 1e-6
    assert all(0 <= row["peak"] < 1.5 and (row["peak"] > 0) == (row["gflops"] > 0) for row in figures["profile"])


def test_table_and_file(capsys, tmp_path):
    argv = ["--quick", "--models", "whole", "--seconds", "0.2", "--repeat", "1", "--parts", "speed,streaming",
            "--profile", "--json", "figures.json"]
    assert run("bench", *argv) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    for heading in ("Speed", "Streaming", "Where the time goes"):
        assert f"\n{heading}" in out
    assert json.loads((tmp_path / "figures.json").read_text())["speed"][0]["model"] == "whole"
    assert run("bench", *argv) == 2  # it would be overwritten
    assert "use -f" in capsys.readouterr().err
    assert run("bench", *argv, "-f") == 0


def test_peers_run_in_turn(capsys, monkeypatch):
    """With a stand-in that records what it is given."""
    calls = []

    class Slow:
        version = "1.0"

        def contestant(self, subject, seconds, threads):
            if subject.model.config.normalize:
                raise CannotRun("it cannot")
            return Contestant("encodec", threads, lambda n: calls.append(n),
                              lambda wav: calls.append(wav.shape), lambda frames: calls.append(frames[0].codes.shape))

    monkeypatch.setattr(runs, "find_peer", lambda name: Slow())
    figures = figures_of(capsys, "--models", "whole,cut", "--seconds", "0.1,0.2", "--against-seconds", "0.1",
                         "--repeat", "2", "--parts", "speed", "--against", "encodec")
    assert figures["peers"] == {"encodec": "1.0"}
    assert figures["left_out"] == [{"peer": "encodec", "model": "cut", "reason": "it cannot"}]
    rows = [row for row in figures["speed"] if row["who"] == "encodec"]
    assert [(row["seconds"], row["threads"], row["operation"]) for row in rows] == [
        (0.1, threads, operation) for threads in (1, 2) for operation in ("encode", "decode")]
    assert all(row["ratio_min"] <= row["ratio"] <= row["ratio_max"] for row in rows)
    encode, decode = (np.median([row["ratio"] for row in rows if row["operation"] == operation])
                      for operation in ("encode", "decode"))
    assert report.table(figures).endswith(
        f"In all, to encode and to decode: {encode:.2f} and {decode:.2f} times as fast as encodec\n")
    assert calls == [1, (1, 800), (1, 100), 2, (1, 800), (1, 100)] * 3  # the first round is to warm up


BAD = {
    "unknown model": (["--models", "nobody"], "unknown model 'nobody'"),
    "unknown peer": (["--against", "encodec,magic"], "unknown peer 'magic'"),
    "unknown part": (["--parts", "weather"], "unknown part 'weather'"),
    "no model": (["--models", ","], "expected names with commas between, got ','"),
    "no length": (["--seconds", "0"], "expected positive numbers"),
    "endless": (["--seconds", "inf"], "expected positive numbers"),
    "half a thread": (["--threads", "1.5"], "expected positive whole numbers"),
    "two repeats": (["--repeat", "1,2"], "expected one number"),
    "a folder for the figures": (["--models", "whole", "--json", "whole"], "folder"),
}


@pytest.mark.parametrize("argv, message", BAD.values(), ids=BAD)
def test_bad_input(argv, message, capsys):
    try:
        code = run("bench", *argv)
    except SystemExit as stop:  # argparse's way
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("tinyencodec bench: ")
    assert re.search(message, err), err


def test_a_child_that_fails_says_why():
    assert "unknown model" in child.ask({"do": "encode", "folder": "nobody", "seconds": 1, "threads": 1})["error"]


@pytest.mark.parametrize("name", ["encodec_24khz", "encodec_48khz"])
def test_random_weights_are_lively(name):
    """Neither silence nor overflow: the codes change, the sound has a sane level, and nothing is denormal."""
    config = PRESETS[name]
    model = EncodecModel(name, config, subject.random_tensors(config))
    frames = model.encode(subject.sound(model, 0.3))
    assert len(np.unique(frames[0].codes[0])) > 5
    assert 1e-3 < np.sqrt(np.mean(np.square(model.decode(frames)))) < 1e3


def test_operations_are_counted():
    """The first convolution: kernel 7, 1 -> 32 channels. The whole: about 3 GFLOP per second of sound each way."""
    config = PRESETS["encodec_24khz"]
    model = EncodecModel("x", config, subject.random_tensors(config))
    assert model.encoder.layers[0].macs == 7 * 32
    assert 2.5 < 2e-9 * 24_000 * model.encoder.macs < 3.5 and 2.5 < 2e-9 * 75 * model.decoder.macs < 3.5
