"""`tinyencodec evaluate` from its arguments to its files, with small models; other programs if they are installed."""

import importlib.util
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.helpers.evaluation import CONFIGS, SMALL, here, notes, write_corpus  # noqa: F401
from tinyencodec.cli import main as cli
from tinyencodec.ecdc.header import EcdcHeader, payload_size
from tinyencodec.models.store import load_model
from tinyencodec.tools.evaluate import plots, programs
from tinyencodec.tools.evaluate.clips import Clip
from tinyencodec.tools.evaluate.codecs import Coded, OurCodec, Pcm, payload_bits
from tinyencodec.tools.evaluate.distance import si_snr
from tinyencodec.tools.evaluate.figures import interval, means, measure_clips
from tinyencodec.tools.evaluate.match import match
from tinyencodec.tools.evaluate.measures import MEASURES, find_measures
from tinyencodec.tools.evaluate.programs import Missing, Mp3, Opus, Program, ogg_packets


def run(*argv):
    return cli.main(["evaluate", "--seconds", "0.5", "--clips", "2", *argv])


SOUNDS = ["music=songs", "speech=talk.wav"]
ALONE = ["--against", "none"]


def test_searches(capsys):
    """Each is a row of its own, with less error than the greedy choice; it costs time, which is told."""
    assert run(*SOUNDS, *ALONE, "-m", "mono", "-b", "3.2", "--search", "1,8", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert [model["coder"] for model in figures["models"]] == ["mono", "mono search 8"]
    assert all(model["encoding"][0]["times_real_time"] > 0 for model in figures["models"])
    rows = {row["coder"]: row["si_snr"] for row in figures["means"] if row["kind"] == "music"}
    assert sorted(rows) == ["mono", "mono search 8"] and len(set(rows.values())) == 2
    assert run(*SOUNDS, *ALONE, "-m", "mono", "--search", "257") == 2
    assert "search: expected a whole number from 1 to 256, got 257" in capsys.readouterr().err


def test_figures_and_files(capsys, tmp_path):
    argv = [*SOUNDS, *ALONE, "-m", "mono", "--entropy", "table,lm", "-o", "out"]
    assert run(*argv, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures == json.loads((tmp_path / "out/results.json").read_text())
    assert figures.pop("command") == ("tinyencodec evaluate --seconds 0.5 --clips 2 music=songs speech=talk.wav "
                                      "--against none -m mono --entropy table,lm -o out --json")
    assert figures["versions"]["numpy"] == np.__version__
    assert (figures["sample_rate"], figures["channels"], figures["source"]) == (8000, 1, "files")
    assert [clip["kind"] for clip in figures["clips"]] == ["music"] * 2 + ["speech"] * 2
    assert [(row["kind"], row["rate"], row["clips"]) for row in figures["means"]] == [
        (kind, rate, 2) for kind in ("music", "speech") for rate in (1.6, 3.2)]
    assert len(figures["each"]) == 8
    for row in figures["means"]:
        assert row["kbps"] == pytest.approx(row["rate"]) and row["mel"] > 0 and np.isfinite(row["si_snr_aligned"])
        of = [one for one in figures["each"] if (one["kind"], one["rate"]) == (row["kind"], row["rate"])]
        for name in ("si_snr", "si_snr_aligned", "error_0_1", "error_1_4"):
            assert row[name] == pytest.approx(np.mean([one[name] for one in of]))
        assert not {"error_4_8", "error_8_12"} & row.keys()  # the model works at 8 kHz
        two = [one["mel"] for one in of]  # Student's t of one degree of freedom: 12.706
        assert row["mel_ci95"] == pytest.approx(12.7062 * abs(two[0] - two[1]) / 2, rel=1e-4)
    [model] = figures["models"]
    frames = sum(-(-int(clip["seconds"] * 8000) // 40) for clip in figures["clips"])
    assert (model["coder"], model["frame_rate"], model["frames"]) == ("mono", 200, frames)
    assert model["tokens_per_second"] == [{"rate": 1.6, "tokens_per_second": 200 * 2},
                                          {"rate": 3.2, "tokens_per_second": 200 * 4}]
    assert [book["codebook"] for book in model["codebooks"]] == [1, 2, 3, 4]
    assert all(0 < book["used"] <= 1 and 1 <= book["perplexity"] <= 16 for book in model["codebooks"])
    assert figures["visqol_modes"] == {"visqol": "audio", "visqol_speech": "speech, polynomial"}
    assert sum("model mono has no" in line for line in figures["left_out"]) == 2

    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"rd.png"}
    drawn = pictures if importlib.util.find_spec("matplotlib") else set()
    assert names == {"results.json", "table.md"} | drawn
    assert all((tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG") for name in drawn)

    assert run(*argv) == 2  # they would be overwritten
    assert "use -f" in capsys.readouterr().err
    assert run(*argv, "-f") == 0
    out = capsys.readouterr().out
    again = json.loads((tmp_path / "out/results.json").read_text())
    speeds = [row["times_real_time"] for each in (again, figures) for row in each["models"][0].pop("encoding")]
    assert len(speeds) == 4 and min(speeds) > 0
    assert again.pop("command").endswith("-o out -f") and again == figures  # the same clips, the same figures
    assert max(len(line) for line in out.splitlines() if not line.startswith("left out")) <= 100
    assert re.search(r"^music +kbit/s +SI-SNR, dB +mel distance", out, re.MULTILINE)
    assert re.search(r"^mono at 1.6 +1.60 ", out, re.MULTILINE)
    assert re.search(r"^music, details +as it is, dB +0-1 +1-4", out, re.MULTILINE)
    assert re.search(r"^speech, means \+- +SI-SNR, dB +mel distance", out, re.MULTILINE)
    told = " ".join(out.split())
    assert "mono: 200 frames/s; tokens/s: 400 at 1.6, 800 at 3.2; times real time to encode: " in told
    assert "; by codebook, over 2 s, entries used: " in told
    assert "ViSQOL: in its mode audio; ViSQOL-S: speech, polynomial" in out
    assert "| mono at 3.2 | 3.20 | " in (tmp_path / "out/table.md").read_text()


def test_stereo_in_segments_and_a_corpus(capsys, tmp_path):
    write_corpus(tmp_path / "corpus")
    assert run("--corpus", "corpus", "--kinds", "speech", *ALONE, "-m", "stereo", "-b", "3.2", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["channels"] == 2 and figures["source"] == "the test split of corpus"
    [row] = figures["means"]
    assert 3.2 < row["kbps"] < 6  # scales and overlap come on top
    assert {clip["name"] for clip in figures["clips"]} == {"package/440.wav"}


def test_without_optional_packages(capsys, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    missing = {*(measure.module for measure in MEASURES), "matplotlib"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else real(name, *rest))
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    assert run(*SOUNDS, "-m", "mono", "-b", "1.6", "-o", "out") == 0
    out, err = capsys.readouterr()
    left_out = re.findall("^left out: (.*)", out, re.MULTILINE)
    assert len(left_out) == 6 and err == ""
    assert left_out[0] == "Opus: opusenc is not installed (Debian's package opus-tools)"
    assert left_out[1] == "MP3: lame is not installed (Debian's package lame)"
    assert left_out[2] == "PESQ: pesq is not installed (pip install 'tinyencodec[evaluate]')"
    assert left_out[5].startswith("pictures: matplotlib is not installed")
    assert "STOI" in left_out[3] and "STOI" not in out.replace(left_out[3], "")
    assert left_out[4] == "VISQOL: visqol-python is not installed (pip install 'tinyencodec[evaluate]')"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.json", "table.md"}


class Late:
    """Returns the sound 100 samples late, a little softer, with noise 20 dB below."""

    name, version, rates = "late", "1", (1, 2)

    def code(self, wav, rate):
        noise = np.random.default_rng(0).standard_normal(wav.shape)
        noise *= np.sqrt(np.square(wav).sum() / np.square(noise).sum()) / 10 ** rate
        return Coded(0.8 * np.pad(wav + noise, ((0, 0), (100, 50))), {"none": 1000 * rate, "lm": 500 * rate})


def test_a_coder_of_known_quality():
    clips = {"speech": [Clip("speech", "a", 0.0, notes(1, 8000)), Clip("speech", "b", 0.0, notes(0.5, 8000))]}
    figures = measure_clips(clips, [Late()], 8000)
    first, second = figures["means"]
    assert first["si_snr_aligned"] == pytest.approx(20, abs=0.3)
    assert second["si_snr_aligned"] == pytest.approx(40, abs=0.3)
    assert max(first["si_snr"], second["si_snr"]) < 10  # as it came back: late
    assert first["mel"] > second["mel"] > 0
    assert first["kbps"] == pytest.approx(1.5) and first["kbps_lm"] == pytest.approx(0.75)  # 1 and 2, by length
    assert first["delay"] == [100, 100] and first["gain"] == pytest.approx(1.25, rel=0.02)
    expected = {measure.name for measure in find_measures(speech=True) if not measure.by_frames}
    assert expected <= figures["each"][0].keys() and "comb" not in figures["each"][0]


def test_means_are_of_what_is_known():
    row = {"kind": "speech", "coder": "x", "rate": 6, "kbps": 6.0, "delay": 1}
    [mean] = means([row | {"pesq": 1.0}, row | {"pesq": None, "stoi": 0.9}, row | {"pesq": 3.0, "delay": -1}])
    assert mean.pop("pesq_ci95") == pytest.approx(12.7062, rel=1e-4)
    assert mean == {"kind": "speech", "coder": "x", "rate": 6, "clips": 3, "kbps": 6.0, "pesq": 2.0, "stoi": 0.9,
                    "delay": [-1, 1]}


def test_intervals_hold_the_true_mean_in_95_of_100():
    rng = np.random.default_rng(0)
    draws = rng.exponential(1.0, (2000, 40)) ** 0.5  # skewed a little, as marks are
    true = math.gamma(1.5)
    inside = [abs(np.mean(some) - true) < interval(list(some)) for some in draws]
    assert 0.93 < np.mean(inside) < 0.97


def test_pcm_of_8_bits():
    wav = notes(1, 24_000)
    codec = Pcm(24_000, 1)
    coded = codec.code(wav, codec.rates[0])
    assert codec.rates == (192.0,) and coded.bits == {"none": 192_000}
    assert np.abs(coded.wav - wav).max() <= 1 / 256 and len(np.unique(coded.wav)) <= 256
    assert np.abs(codec.code(np.array([[-1.0, 1.0]]), 192.0).wav - [[-1.0, 1.0]]).max() <= 1 / 128


def test_the_comb_of_a_model_is_measured(capsys, tmp_path):
    """Its lines are at multiples of the model's own frame rate, here 75 Hz; the baseline has no codebooks."""
    soundfile.write(tmp_path / "hum.wav", notes(1, 24_000)[0], 24_000)
    assert run("music=hum.wav", "-m", "tiny_24khz", "-b", "1.5", "--against", "pcm", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    ours, pcm = figures["means"]
    assert (ours["coder"], pcm["coder"], pcm["rate"]) == ("tiny_24khz", "PCM", 192)
    assert np.isfinite(ours["comb"]) and abs(pcm["comb"]) < abs(ours["comb"]) + 3
    assert pcm["error_1_4"] < ours["error_1_4"] and len(figures["models"]) == 1


@pytest.mark.parametrize("missing, shape", [
    ({}, (3, 3)), ({"visqol": ("speech", "music")}, (2, 3)), ({"visqol": ("speech",)}, (3, 3)),
    ({"pesq": ("speech",), "stoi": ("speech",)}, (3, 2))])
def test_no_panel_is_empty(missing, shape, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib.figure")
    drawn = []
    monkeypatch.setattr(matplotlib.Figure, "savefig", lambda figure, *args, **options: drawn.append(figure))
    speech = {"kind": "speech", "coder": "x", "rate": 6, "kbps": 6.0, **{measure.name: 1.0 for measure in MEASURES}}
    music = {name: value for name, value in speech.items() if name not in ("pesq", "stoi")} | {"kind": "music"}
    rows = [{name: value for name, value in row.items() if row["kind"] not in missing.get(name, ())}
            for row in (speech, music)]
    plots.rate_distortion({"means": rows})
    [figure] = drawn
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    shown = [axis for axis in figure.axes if axis.axison]
    assert all(axis.lines for axis in shown) and len(shown) == 8 - sum(map(len, missing.values()))


def test_our_rate_is_that_of_the_payload(tmp_path):
    model, wav = load_model(tmp_path / "mono"), notes(0.51, 8000)
    coder = OurCodec(model, None, [])
    coded = coder.code(wav, 3.2)
    assert coded.wav.shape == wav.shape
    assert coded.bits == {"none": 8 * payload_size(model.config, EcdcHeader("mono", wav.shape[1], 4))}
    with pytest.raises(EOFError):
        payload_bits(b"ECDC")


def test_ogg_packets():
    def page(*sizes):
        return b"OggS" + bytes(22) + struct.pack("B", len(sizes)) + bytes(sizes) + bytes(sum(sizes))

    assert ogg_packets(page(19) + page(255, 255) + page(0, 255, 7, 3)) == [19, 510, 262, 3]
    assert ogg_packets(b"") == []
    for data in (b"RIFF" + bytes(40), page(5)[:26], page(1, 2) + b"Ogg"):
        with pytest.raises(ValueError, match="Ogg page at byte"):
            ogg_packets(data)


@pytest.mark.parametrize("kind, rate, db", [(Opus, 24, 10), (Mp3, 32, 15)])
@pytest.mark.parametrize("sample_rate, channels", [(24_000, 1), (48_000, 2)])
def test_other_programs(kind, rate, db, sample_rate, channels):
    try:
        coder = kind(sample_rate, channels, (rate * channels,))
    except Missing as error:
        pytest.skip(str(error))
    wav = notes(2.0, sample_rate, channels)
    coded = coder.code(wav, rate * channels)
    assert coded.wav.shape[0] == channels
    assert coded.bits["none"] / 2000 == pytest.approx(rate * channels, rel=0.3)
    y = match(wav, coded.wav, sample_rate)
    assert si_snr(wav, y.wav) > db and 0.9 < y.gain < 1.1
    assert re.search(r"\d\.\d", coder.version)


def test_rates_of_programs(monkeypatch):
    monkeypatch.setattr(programs.shutil, "which", lambda name: name)
    monkeypatch.setattr(Program, "run", lambda self, command: "1.0\n")
    assert Opus(24_000, 1, None).rates == (6, 12, 16, 24) and Mp3(48_000, 2, None).rates == (32, 64)
    some = Opus(48_000, 2, (6, 12, 600))
    assert some.rates == (12,) and some.outside == (6, 600)
    with pytest.raises(Missing, match="its rates are 8 to 160"):
        Mp3(24_000, 1, (6.0,))


def test_a_program_that_fails_says_why(monkeypatch):
    monkeypatch.setattr(programs.shutil, "which", lambda name: name)
    monkeypatch.setattr(Opus, "needs", (sys.executable,))
    coder = Opus(24_000, 1, None)
    with pytest.raises(ValueError, match="got exit status 3: no disk"):
        coder.run([sys.executable, "-c", "import sys; print('hm\\nno disk', file=sys.stderr); sys.exit(3)"])


BAD = {
    "no sound": ([], "expected KIND=PATH or --corpus, got neither"),
    "both": (["music=songs", "--corpus", "corpus"], "got both"),
    "kinds without corpus": (["music=songs", "--kinds", "music"], "with --corpus only"),
    "no kind": (["songs"], "expected KIND=PATH, such as speech=songs"),
    "no file": (["music=nowhere"], "nowhere: No such file"),
    "no corpus": (["--corpus", "songs"], "manifest.csv"),
    "another kind": (["--corpus", "corpus", "--kinds", "speech,music"], "expected kinds of speech, got music"),
    "unknown model": ([*SOUNDS, "-m", "nobody"], "unknown model 'nobody'"),
    "two forms": ([*SOUNDS, "-m", "mono", "-m", "stereo"], "expected one sample rate and number of channels"),
    "twice": ([*SOUNDS, "-m", "mono", "-m", "./mono"], "expected different names"),
    "a rate it lacks": ([*SOUNDS, "-m", "mono", "-b", "1.6,6"], "offers 1.6, 3.2 kbit/s, got 6"),
    "a rate below zero": ([*SOUNDS, "-b", "-1"], "expected (positive numbers|one argument)"),
    "half a clip": ([*SOUNDS, "--clips", "1.5"], "expected positive whole numbers"),
    "two lengths": ([*SOUNDS, "--seconds", "1,2"], "expected one number"),
    "unknown program": ([*SOUNDS, "--against", "opus,magic"], "'magic'"),
    "hardly a clip": ([*SOUNDS, "--seconds", "0.01"], "expected clips of at least 0.1 s, got 0.01"),
    "a file for the folder": ([*SOUNDS, "-m", "mono", "-o", "talk.wav"], "talk.wav"),
    "a folder in no folder": ([*SOUNDS, "-m", "mono", "-o", "no/out"], "output folder does not exist"),
}


@pytest.mark.parametrize("argv, message", BAD.values(), ids=BAD)
def test_bad_input(argv, message, capsys, tmp_path):
    write_corpus(tmp_path / "corpus")
    try:
        code = run(*argv)
    except SystemExit as stop:  # argparse's way
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("tinyencodec evaluate: ")
    assert re.search(message, err), err
    assert not (tmp_path / "out").exists() and (tmp_path / "talk.wav").is_file()


def test_more_paths_of_a_kind(capsys, tmp_path):
    shutil.copy("talk.wav", "odd=name.wav")
    assert run("music=songs", "odd=name.wav", "talk.wav", *ALONE, "-m", "mono", "-b", "1.6", "--clips", "3",
               "--json") == 0
    clips = json.loads(capsys.readouterr().out)["clips"]
    assert {(clip["kind"], clip["name"]) for clip in clips} == {
        ("music", "a.wav"), ("music", "odd=name.wav"), ("music", "talk.wav")}


def test_nothing_imports_pytorch():
    code = "import sys, tinyencodec.cli.evaluate, tinyencodec.train.packed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
