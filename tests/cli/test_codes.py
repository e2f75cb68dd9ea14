"""`tinyencodec codes` from outside: files, exit codes, messages."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import tinyencodec
from tests.helpers.models import RATE
from tests.helpers.paths import DATA
from tests.helpers.pipes import Pipe
from tests.helpers.program import run
from tinyencodec.codec.config import PRESETS
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, payload_size

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("model", ["mono", "stereo"])
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_all_ways(model, kind, capsys):
    assert run("-m", model, "-b", 8, "in.wav", "in.ecdc") == 0
    assert run("codes", "-m", model, "-b", 8, "in.wav", f"a.{kind}") == 0
    assert run("codes", "in.ecdc", f"b.{kind}") == 0
    assert Path(f"a.{kind}").read_bytes() == Path(f"b.{kind}").read_bytes()
    assert run("codes", f"a.{kind}") == 0
    assert Path("a.ecdc").read_bytes() == Path("in.ecdc").read_bytes()
    assert run("in.ecdc", "direct.wav") == 0
    assert run("codes", f"a.{kind}", "a.wav", "--threads", 1) == 0
    assert Path("a.wav").read_bytes() == Path("direct.wav").read_bytes()
    assert run("codes", f"a.{kind}", "a.flac", "-r") == 0
    saved = tinyencodec.read_codes(f"a.{kind}")
    assert (saved.model, saved.codes.shape[0], saved.bandwidth, saved.length) == (model, 2, 8.0, 1103)
    assert capsys.readouterr() == ("", "")


def test_defaults(capsys):
    assert run("codes", "-m", "mono", "in.wav") == 0
    assert tinyencodec.read_codes("in.npz").bandwidth == 4.0  # the nearest to 6
    assert run("codes", "in.npz") == 0
    assert sorted(os.listdir()) == ["in.ecdc", "in.npz", "in.wav"]
    assert run("codes", "in.npz") == 2
    assert capsys.readouterr().err == "tinyencodec codes: in.ecdc: file exists; use -f to overwrite\n"
    assert run("codes", "-f", "in.npz") == 0


@pytest.mark.parametrize("model", ["mono", "stereo"])
def test_files_with_checksums_and_streams(model):
    """Whatever the form of the file, its codes are those of the plain one."""
    assert run("-m", model, "in.wav", "plain.ecdc") == 0
    assert run("-m", model, "--protect", "in.wav", "blocks.ecdc") == 0
    loaded, wav = tinyencodec.load_model(model), tinyencodec.read_audio("in.wav", RATE, 1 + (model == "stereo"))
    pipe = Pipe()
    tinyencodec.compress_stream(loaded, [wav], pipe, 4.0)
    Path("stream.ecdc").write_bytes(pipe.getvalue())
    for name in ("blocks", "stream"):
        assert run("codes", f"{name}.ecdc") == 0
        assert run("codes", f"{name}.npz", "back.ecdc", "-f") == 0
        assert Path("back.ecdc").read_bytes() == Path("plain.ecdc").read_bytes()


def test_the_bundled_model_and_its_tables():
    speech = DATA / "speech.flac"
    short = tinyencodec.read_audio(speech, 24_000, 1)[:, :12_000]
    tinyencodec.write_audio("short.wav", short, 24_000)
    assert run("codes", "short.wav") == 0
    assert run("codes", "short.npz", "--entropy", "table") == 0
    assert run("short.wav", "direct.ecdc", "--entropy", "table") == 0
    assert Path("short.ecdc").read_bytes() == Path("direct.ecdc").read_bytes()
    assert run("codes", "short.ecdc", "again.npz") == 0
    assert Path("again.npz").read_bytes() == Path("short.npz").read_bytes()


@pytest.mark.parametrize("model, length", [("encodec_24khz", 53_760), ("encodec_48khz", 100_000)])
def test_official_files_need_no_weights(model, length):
    header, random = EcdcHeader(model, length, 4), np.random.default_rng(0)
    with open("a.ecdc", "wb") as fo:
        fo.write(header_bytes(header))
        if model == "encodec_24khz":
            fo.write(random.bytes(payload_size(PRESETS[model], header)))
        else:
            fo.write(bytes(payload_size(PRESETS[model], header)))
    assert run("codes", "a.ecdc") == 0
    assert run("codes", "a.npz", "b.ecdc") == 0
    assert Path("a.ecdc").read_bytes() == Path("b.ecdc").read_bytes()
    assert tinyencodec.read_codes("a.npz").bandwidth == (3.0 if model == "encodec_24khz" else 6.0)


def bad_npz(**changes):
    facts = {"codes": np.zeros((1, 2), np.int16), "model": "mono", "sample_rate": RATE, "bandwidth": 4.0, "length": 16,
             "version": 1}
    np.savez("bad.npz", **(facts | changes))
    return "bad.npz"


@pytest.mark.parametrize("argv, message", [
    (["none.wav"], "none.wav: No such file or directory"),
    (["in.wav", "a.txt"], "a.txt: expected a name ending in .npz or .safetensors, got .txt"),
    (["in.wav", "a.ecdc"], "a.ecdc: expected a name ending in .npz or .safetensors, got .ecdc"),
    (["in.wav", "-m", "nobody"], "unknown model 'nobody'"),
    (["in.wav", "-m", "mono", "-b", "5"], "bandwidth: model mono offers 4, 8, 16 kbit/s, got 5.0"),
    (["in.wav", "-m", "mono", "--threads", "0"], "threads: expected at least 1, got 0"),
    (["in.wav", "-m", "mono", "--entropy", "none"], "--entropy: expected with codes to .ecdc only"),
    (["in.wav", "-m", "mono", "-r"], "--rescale: expected with codes to audio only"),
    (["in.wav", "no/a.npz", "-m", "mono"], "no: output folder does not exist"),
    (["good.ecdc", "-b", "4"], "--bandwidth and --hq: expected with sound as INPUT only, got .ecdc"),
    (["good.ecdc", "-m", "stereo"], "good.ecdc: model: expected 'stereo', got 'mono'"),
    (["good.npz", "-m", "stereo"], "good.npz: model: expected 'stereo', got 'mono'"),
    (["good.npz", "a.npz"], "a.npz: expected an output name ending in .ecdc, .wav, .flac, .ogg, got .npz"),
    (["good.npz", "--entropy", "table"], "good.npz: model mono has no tables"),
    (["cut.ecdc"], "cut.ecdc: file ends early"),
    (["text.ecdc", "x.npz"], "text.ecdc: not an .ecdc file: first bytes: expected b'ECDC', got b'text'"),
    (["text.npz", "x.ecdc"], "text.npz: expected a whole .npz file, got a damaged or another one"),
    (["text.safetensors", "x.ecdc"], "text.safetensors: expected a whole safetensors file, got a damaged"),
    (["text.wav", "x.npz"], "text.wav: "),
    (["bad.npz", "a.wav"], "bad.npz: codes: expected 0 ... 15, got [16, 16]"),
    (["bad.npz", "a.ecdc"], "bad.npz: codes: expected 0 ... 15, got [16, 16]"),
])
def test_bad_input_is_one_line_and_no_file(argv, message, capsys):
    assert run("-m", "mono", "in.wav", "good.ecdc") == run("codes", "good.ecdc") == 0
    Path("cut.ecdc").write_bytes(Path("good.ecdc").read_bytes()[:-1])
    for suffix in ("ecdc", "npz", "safetensors", "wav"):
        Path(f"text.{suffix}").write_text("text\n" * 20)
    bad_npz(codes=np.full((1, 2), 16))
    os.remove("good.ecdc" if argv[0] == "good.npz" else "good.npz")
    before = sorted(os.listdir())
    assert run("codes", *argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("tinyencodec codes: ") and message in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_a_failure_while_writing_leaves_nothing(monkeypatch, capsys):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert run("codes", "-m", "mono", "in.wav", "a.npz") == 2
    assert capsys.readouterr().err == "tinyencodec codes: No space left on device\n"
    assert os.listdir() == ["in.wav"]


def test_input_is_never_overwritten(capsys):
    assert run("-m", "mono", "in.wav") == 0
    os.link("in.ecdc", "in.npz")
    before = Path("in.ecdc").read_bytes()
    assert run("codes", "-f", "in.ecdc", "in.npz") == 2
    assert "expected another file for the output than the input" in capsys.readouterr().err
    assert Path("in.ecdc").read_bytes() == before


def test_model_by_folder(home):
    shutil.copytree(home / "models" / "mono", "elsewhere/mine")
    assert run("codes", "-m", "elsewhere/mine", "in.wav") == 0
    assert run("codes", "in.npz") == 2  # nobody knows where `mine` is
    assert run("codes", "-m", "elsewhere/mine", "in.npz", "a.ecdc") == 0
    assert run("codes", "-m", "elsewhere/mine", "a.ecdc", "b.npz") == 0
    assert Path("b.npz").read_bytes() == Path("in.npz").read_bytes()
