"""The program from outside: exit codes, messages, files, on small random models and on the bundled one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers.models import MONO, RATE, STEREO, add_coders
from tests.helpers.paths import DATA
from tests.helpers.program import ENVIRONMENT, run, shell
from tinyencodec.cli.commands import COMMANDS
from tinyencodec.cli.parser import Parser
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, read_header
from tinyencodec.system import files

pytestmark = pytest.mark.usefixtures("here")


# ---- what it does ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model, config", [("mono", MONO), ("stereo", STEREO)])
def test_compress_and_decompress(here, capsys, model, config):
    assert run("-m", model, "in.wav") == 0
    loaded = tinyencodec.load_model(model)
    wav = tinyencodec.read_audio("in.wav", RATE, config.audio_channels)
    assert Path("in.ecdc").read_bytes() == tinyencodec.compress(loaded, wav, 4.0)
    assert run("in.ecdc") == 0
    info = soundfile.info("in_decompressed.wav")
    assert (info.samplerate, info.channels, info.frames, info.subtype) == (RATE, config.audio_channels, 1103, "PCM_16")
    decoded, _ = tinyencodec.decompress(Path("in.ecdc").read_bytes())
    assert np.abs(tinyencodec.read_audio("in_decompressed.wav") - np.clip(decoded, -0.99, 0.99)).max() <= 2**-16
    assert sorted(os.listdir()) == ["in.ecdc", "in.wav", "in_decompressed.wav"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "WAV"])
def test_both_in_one_go(suffix):
    assert run("-m", "stereo", "in.wav", f"out.{suffix}") == 0
    assert run("-m", "stereo", "in.wav", "out.ecdc") == 0
    assert run("out.ecdc", f"two-step.{suffix}") == 0
    assert np.array_equal(tinyencodec.read_audio(f"out.{suffix}"), tinyencodec.read_audio(f"two-step.{suffix}"))


@pytest.mark.parametrize("bandwidth, codebooks", [("4", 1), ("8", 2), ("16.0", 4), (None, 1)])
def test_bandwidth(bandwidth, codebooks):
    assert run("-m", "mono", "in.wav", *(["-b", bandwidth] if bandwidth else [])) == 0  # 4 is the nearest to 6
    with open("in.ecdc", "rb") as fo:
        assert read_header(fo) == EcdcHeader("mono", 1103, codebooks)


def test_names_of_outputs():
    shutil.copy("in.wav", "a.b.wav")
    assert run("-m", "mono", "a.b.wav") == 0
    assert run("a.b.ecdc") == 0
    assert run("-s", "_back", "a.b.ecdc") == 0
    assert sorted(os.listdir()) == ["a.b.ecdc", "a.b.wav", "a.b_back.wav", "a.b_decompressed.wav", "in.wav"]


def test_model_folder_and_names_of_commands(home):
    shutil.copytree(home / "models" / "mono", "mine")
    Path("in.wav").rename("info")
    assert run("-m", "mine", "./info", "out.ECDC") == 0
    assert run("-m", "mine", "out.ECDC", "out.wav") == 0


def test_devices_and_pipes_are_outputs():
    assert run("-m", "mono", "in.wav", "/dev/null") == 0
    os.mkfifo("pipe.ecdc")
    reader = subprocess.Popen(["cat", "pipe.ecdc"], stdout=subprocess.PIPE)
    assert run("-m", "mono", "in.wav", "pipe.ecdc") == 0
    data = reader.communicate(timeout=60)[0]
    assert run("-m", "mono", "in.wav", "file.ecdc") == 0
    assert Path("file.ecdc").read_bytes() == data


def test_overwrite_with_force():
    Path("in.ecdc").write_bytes(b"old")
    assert run("-f", "-m", "mono", "in.wav") == 0
    assert Path("in.ecdc").read_bytes().startswith(b"ECDC")


def test_clipping_is_told_and_avoided(capsys):
    assert run("-m", "loud", "in.wav", "clipped.wav") == 0
    warning = capsys.readouterr().err
    assert re.fullmatch(r"tinyencodec: warning: the sound reaches \S+ .* clipped at 0.99; use -r .*\n", warning)
    assert run("-r", "-m", "loud", "in.wav", "scaled.wav") == 0
    assert capsys.readouterr().err == ""
    assert run("-m", "loud", "in.wav", "in.ecdc") == 0
    wav, _ = tinyencodec.decompress(Path("in.ecdc").read_bytes())
    for name, expected in (("clipped.wav", np.clip(wav, -0.99, 0.99)), ("scaled.wav", wav * 0.99 / np.abs(wav).max())):
        assert np.abs(tinyencodec.read_audio(name) - expected).max() <= 2**-15


def test_bytes_after_the_payload_are_ignored():
    assert run("-m", "mono", "in.wav") == 0
    with open("in.ecdc", "ab") as fo:
        fo.write(b"tail")
    assert run("in.ecdc") == 0


@pytest.mark.parametrize("options, coding", [
    ([], {}), (["--lm"], {"entropy": "lm"}), (["--entropy", "table", "--rate-weight", "3"],
                                              {"entropy": "table", "rate_weight": 3})])
def test_search(options, coding):
    """The file is that of `compress`, another than without; alone and among many."""
    model = tinyencodec.load_model()
    wav = tinyencodec.read_audio("in.wav", model.sample_rate, model.channels)
    assert run("in.wav", *options, "--search", "7") == 0
    data = Path("in.ecdc").read_bytes()
    assert data == tinyencodec.compress(model, wav, search=7, **coding)
    assert run("batch", "in.wav", *options, "--search", "7", "--out", "many") == 0
    assert Path("many/in.ecdc").read_bytes() == data
    assert run("-f", "in.wav", *options[:2], "--search", "1") == 0
    assert Path("in.ecdc").read_bytes() != data
    assert run("many/in.ecdc", "out.wav") == 0


@pytest.mark.parametrize("model, options", [("mono", ["--protect"]), ("stereo", ["--protect", "--block", "0.2"]),
                                            ("mono", ["--entropy", "table"]), ("mono", ["-l", "--block", "0.1"]),
                                            ("mono", ["--entropy", "none", "--protect", "--block", "0.01"])])
def test_in_blocks(home, monkeypatch, capsys, model, options):
    """The same sound as without; a wrong bit is told, and costs a block."""
    monkeypatch.setenv("TINYENCODEC_HOME", "copy")
    shutil.copytree(home, "copy")
    add_coders(Path("copy/models/mono"))
    assert run("-m", model, "in.wav", "plain.ecdc") == run("-m", model, "in.wav", *options) == 0
    assert run("plain.ecdc", "plain.wav") == run("in.ecdc", "out.wav") == 0
    plain = tinyencodec.read_audio("plain.wav")
    assert np.array_equal(plain, tinyencodec.read_audio("out.wav"))
    data = bytearray(Path("in.ecdc").read_bytes())
    assert data[4] == 1 and capsys.readouterr() == ("", "")
    assert run("info", "in.ecdc") == 0
    told = capsys.readouterr().out
    assert "with checksums" in told and "bits per code, by codebook" in told and "not read" not in told
    data[11] ^= 1
    Path("in.ecdc").write_bytes(data)
    assert run("-f", "in.ecdc", "out.wav", "--keep-going") == 0
    assert np.array_equal(plain, tinyencodec.read_audio("out.wav"))
    assert capsys.readouterr().err == ("tinyencodec: warning: in.ecdc: the header was damaged, and is put right "
                                       "(bit 0 of byte 11)\n")
    start, size = 13 + data[8], 10 + int.from_bytes(data[21 + data[8]:23 + data[8]], "big")
    if len(data) < start + size + 40:  # a single block
        return
    data[11] ^= 1
    data[start + size + 20] ^= 8
    Path("in.ecdc").write_bytes(data)
    for how, words in (("repeat", "repetition"), ("silence", "silence")):
        assert run("-f", "in.ecdc", "out.wav", "--keep-going", how) == 0
        found = re.fullmatch(rf"tinyencodec: warning: in.ecdc: (\S+) s to (\S+) s are lost and filled by {words}\n",
                             capsys.readouterr().err)
        out = tinyencodec.read_audio("out.wav")
        a, b = (round(RATE * float(second)) for second in found.groups())
        assert out.shape == plain.shape and np.array_equal(out[:, :max(0, a - 800)], plain[:, :max(0, a - 800)])
        assert not out[:, a:b].any() or how == "repeat"


def test_an_end_that_is_missing(capsys):
    """Of a stream, whose length nobody knows then."""
    with open("stream.ecdc", "wb") as fo:
        wav = tinyencodec.read_audio("in.wav", RATE, 1)
        tinyencodec.compress_stream(tinyencodec.load_model("mono"), [wav], fo, 4.0, block=0.05, protect=True)
    data = Path("stream.ecdc").read_bytes()
    Path("stream.ecdc").write_bytes(data[:-20])
    assert run("stream.ecdc", "out.wav", "--keep-going") == 0
    assert capsys.readouterr().err == ("tinyencodec: warning: stream.ecdc: the end is missing; "
                                       "there may have been more\n")
    assert tinyencodec.read_audio("out.wav").shape == (1, 800)


def test_convert(home, capsys):
    assert run("convert", home / "models" / "mono", "copy", "--half") == 0
    assert capsys.readouterr().out == "copy: 8000 Hz, 1 channel(s), 4 codebooks of 16\n"
    assert run("-m", "copy", "in.wav") == 0


def test_help_and_version(capsys):
    for argv in (["--help"], ["info", "--help"], ["convert", "-h"]):
        with pytest.raises(SystemExit) as caught:
            run(*argv)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)
    with pytest.raises(SystemExit):
        run("--version")
    assert capsys.readouterr().out == f"tinyencodec {tinyencodec.__version__}\n"


# ---- bad input: one line, exit code 2, nothing written -----------------------------------------------


def make(name, content):
    Path(name).write_bytes(content)
    return name


def wav_file(name, samples):
    soundfile.write(name, samples, RATE, "FLOAT")
    return name


def ecdc_file(size=None, tail=b"", model="mono", **fields):
    """A good file of 1000 samples with some header fields changed, cut to `size` bytes."""
    with open("bad.ecdc", "wb") as fo:
        fo.write(header_bytes(EcdcHeader(model, fields.get("al", 1000), fields.get("nc", 2), fields.get("lm", False))))
        fo.write(bytes(125))
    with open("bad.ecdc", "rb") as fo:
        data = fo.read()
    return make("bad.ecdc", data[:size] + tail)


def blocks_file(flip=None, cut=None):
    """A quarter of a second in blocks of a tenth, with a wrong bit, or cut off."""
    wav = tinyencodec.read_audio("in.wav", RATE, 1)[:, :2000]
    model = tinyencodec.load_model("mono")
    data = bytearray(tinyencodec.compress(model, np.tile(wav, 2), 16.0, block=0.1, protect=True))
    if flip is not None:
        start = 13 + data[8]  # each block has 10 + 200 bytes
        data[start + flip + 100] ^= 16
    return make("bad.ecdc", bytes(data)[:cut if cut is None else 13 + data[8] + cut + 80])


def existing(name):
    return make(name, b"old")


BAD = {
    "no arguments": (lambda: [], "required: INPUT"),
    "unknown option": (lambda: ["--nonsense", "in.wav"], "unrecognized|nonsense"),
    "too many arguments": (lambda: ["in.wav", "a.ecdc", "b.ecdc"], "expected INPUT and OUTPUT, got 1 more, b.ecdc"),
    "hq and model": (lambda: ["-q", "-m", "mono", "in.wav"], "not allowed with"),
    "bandwidth is no number": (lambda: ["-b", "much", "in.wav"], "invalid float value: 'much'"),
    "bandwidth of another model": (lambda: ["-m", "mono", "-b", "6", "in.wav"], "offers 4, 8, 16 kbit/s, got 6"),
    "bandwidth nan": (lambda: ["-m", "mono", "-b", "nan", "in.wav"], "offers 4, 8, 16 kbit/s, got nan"),
    "unknown model": (lambda: ["-m", "nobody", "in.wav"], "unknown model 'nobody'"),
    "model that is not fetched": (lambda: ["-m", "encodec_48khz", "in.wav"], "unknown model .*tinyencodec fetch"),
    "model folder without a model": (lambda: ["-m", ".", "in.wav"], "found no config.json"),
    "missing input": (lambda: ["none.wav"], "none.wav: No such file"),
    "folder as input": (lambda: ["-m", "mono", "."], ""),
    "missing .ecdc": (lambda: ["none.ecdc"], "none.ecdc: No such file"),
    "two lines in a name": (lambda: ["no\nne.wav"], "no ne.wav: No such file"),
    "empty file": (lambda: ["-m", "mono", make("a.wav", b"")], "a.wav: expected an audio file"),
    "text file": (lambda: ["-m", "mono", make("a.mp3", b"hello, world\n" * 99)], "a.mp3: expected an audio file"),
    "MPEG frame, then text": (lambda: ["-m", "mono", make("a.mp3", b"\xff\xfb\x90\x00" + b"hello, world\n" * 99)],
                              "a.mp3: expected an audio file"),
    "raw samples": (lambda: ["-m", "mono", make("a.raw", bytes(999))], "a.raw: expected an audio file"),
    "no samples": (lambda: ["-m", "mono", wav_file("a.wav", np.zeros((0, 1)))], "a.wav: .*at least one sample"),
    "NaN": (lambda: ["-m", "mono", wav_file("a.wav", np.array([0.0] * 80 + [np.nan]))], "got nan .* at 0.0100 s"),
    "infinity": (lambda: ["-m", "mono", wav_file("a.wav", np.array([np.inf]))], "got inf .* at 0.0000 s"),
    "output exists": (lambda: ["-m", "mono", "in.wav", existing("a.ecdc")], "a.ecdc: file exists; use -f"),
    "default output exists": (lambda: [existing("in.ecdc") and "in.wav", "-m", "mono"], "in.ecdc: file exists"),
    "both, output exists": (lambda: ["-m", "mono", "in.wav", existing("a.wav")], "a.wav: file exists; use -f"),
    "output is the input": (lambda: ["-f", "-m", "mono", "in.wav", "in.wav"], "expected another file"),
    "output folder missing": (lambda: ["-m", "mono", "in.wav", "none/a.ecdc"], "none: output folder does not exist"),
    "output is a folder": (lambda: ["-m", "mono", "in.wav", (Path("d.ecdc").mkdir(), "d.ecdc")[1]], "got a folder"),
    "output suffix": (lambda: ["-m", "mono", "in.wav", "a.mp4"], r"in .ecdc, .wav, .flac, .ogg, got .mp4"),
    "no output suffix": (lambda: ["-m", "mono", "in.wav", "out"], "got no suffix"),
    "decompressed suffix": (lambda: [ecdc_file(), "a.ecdc"], r"in .wav, .flac, .ogg, got .ecdc"),
    "slash in -s": (lambda: ["-s", "/../../x", ecdc_file()], "x.wav|Invalid name"),
    "not .ecdc": (lambda: [make("a.ecdc", Path("in.wav").read_bytes())], "a.ecdc: not an .ecdc file: .*got b'RIFF'"),
    "version 2": (lambda: [make("a.ecdc", b"ECDC\x02" + bytes(99))], "a.ecdc: not an .ecdc file: version"),
    "version 1, no header": (lambda: [make("a.ecdc", b"ECDC\x01" + bytes(99))], "at most one wrong bit, got more"),
    "garbage header": (lambda: [make("a.ecdc", b"ECDC\x00\x00\x00\x00\x04{{{{")], "JSON object"),
    **{f"cut to {size} bytes": (lambda size=size: [ecdc_file(size)], "bad.ecdc: file ends early: expected .* got")
       for size in (0, 3, 4, 8, 9, 30, 56, 57, 100, -1)},
    "long claim": (lambda: [ecdc_file(al=2**60)], "file ends early"),
    "many codebooks": (lambda: [ecdc_file(nc=5)], "expected 1 to 4, got 5"),
    "language model": (lambda: [ecdc_file(lm=True)], "bad.ecdc: coded with the official language model, .*: decode it"),
    "damaged block": (lambda: [blocks_file(flip=400)], r"c: block 2 \(0.200 s to 0.276 s\): damaged: expected"),
    "cut block": (lambda: [blocks_file(cut=400)], r"c: block 2 \(0.200 s to 0.276 s\): file ends early: exp"),
    "no undamaged block": (lambda: [blocks_file(cut=100), "--keep-going"], "one that is undamaged, got 'none'"),
    "no tables": (lambda: ["-m", "mono", "--entropy", "table", "in.wav"], "mono has no tables: expected .*tables"),
    "no language model": (lambda: ["-m", "mono", "-l", "in.wav"], "mono has no language model: expected .*json"),
    "two ways of coding": (lambda: ["-l", "--entropy", "table", "in.wav"], "not allowed with"),
    "unknown way of coding": (lambda: ["--entropy", "zip", "in.wav"], "invalid choice: 'zip'"),
    "block without checksums": (lambda: ["-m", "mono", "--block", "1", "in.wav"], "--block: expected with --entropy"),
    "no block": (lambda: ["-m", "mono", "--protect", "--block", "0", "in.wav"], "block: expected a positive number"),
    "long block": (lambda: ["-m", "mono", "--protect", "--block", "99", "in.wav"], "block: expected at most 20.96 s"),
    "protected input": (lambda: ["--protect", ecdc_file()], "expected with sound as INPUT, got an .ecdc file"),
    "block of an input": (lambda: [ecdc_file(), "--block", "1"], "expected with sound as INPUT, got an .ecdc file"),
    "entropy of an input": (lambda: ["-l", ecdc_file()], "expected with sound as INPUT, got an .ecdc file"),
    "keep going with sound": (lambda: ["in.wav", "--keep-going"], "--keep-going: expected with an .ecdc file as INPUT"),
    "keep going elsewhere": (lambda: [ecdc_file(), "--keep-going", "on"], "invalid choice: 'on'"),
    "file of an unknown model": (lambda: [ecdc_file(model="nobody")], "bad.ecdc: unknown model 'nobody'"),
    "file of a model to fetch": (lambda: [ecdc_file(model="encodec_24khz")], "tinyencodec fetch encodec_24khz"),
    "file of another model": (lambda: ["-m", "stereo", ecdc_file()], "bad.ecdc: model: expected 'stereo', got 'mono'"),
    "info without file": (lambda: ["info"], "tinyencodec info: .*required"),
    "info of a missing file": (lambda: ["info", "none.ecdc"], "tinyencodec info: none.ecdc: No such file"),
    "info of audio": (lambda: ["info", "in.wav"], "in.wav: not an .ecdc file"),
    "info of a cut file": (lambda: ["info", ecdc_file(-1)], "expected 125 bytes after the header, got 124"),
    "convert without arguments": (lambda: ["convert"], "tinyencodec convert: .*required: SRC, DEST"),
    "convert nothing": (lambda: ["convert", "none.th", "dest"], "none.th"),
    "convert audio": (lambda: ["convert", "in.wav", "dest"], "in.wav"),
}


@pytest.mark.parametrize("build, message", BAD.values(), ids=BAD)
def test_bad_input(build, message, capfd):
    argv = build()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    try:
        code = run(*argv)
    except SystemExit as stop:  # argparse's way
        code = stop.code
    out, err = capfd.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("tinyencodec") and err.endswith("\n") and err.count("\n") == 1 and "Traceback" not in err
    assert re.search(message, err), err
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


@pytest.mark.parametrize("error, code", [(KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 2),
                                         (MemoryError(), 2)])
@pytest.mark.parametrize("output", ["out.ecdc", "out.wav"])
def test_interrupted_write_leaves_nothing(monkeypatch, capsys, error, code, output):
    def fail(_):
        raise error

    monkeypatch.setattr(files.os, "fsync", fail)
    assert run("-m", "mono", "in.wav", output) == code
    assert os.listdir() == ["in.wav"]
    assert capsys.readouterr().err.count("\n") == 1


# ---- in a process of its own -------------------------------------------------------------------------


def test_bundled_model():
    done = shell(DATA / "speech.flac", "speech.ecdc")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = shell("speech.ecdc")
    assert done.returncode == 0 and done.stdout == ""
    before = tinyencodec.read_audio(DATA / "speech.flac", 24_000, 1)
    after = tinyencodec.read_audio("speech_decompressed.wav")
    assert after.shape == before.shape
    error = np.square(after - before).sum() / np.square(before).sum()
    assert error < 0.5, f"energy of the error is {error:.2f} of the speech's; a rough model leaves about 0.25"


def test_bad_input_in_a_process():
    done = shell("-m", "mono", make("a.wav", b"no audio"))
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert sorted(os.listdir()) == ["a.wav", "in.wav"]
    assert shell("--nonsense").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_terminated_while_writing():
    """SIGTERM between the first byte and the renaming: the temporary file goes, no output appears."""
    script = ("import os, sys, signal, tinyencodec.system.files as f, tinyencodec.cli.main as c\n"
              "f.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGTERM)\n"
              "sys.argv = ['tinyencodec', '-m', 'mono', 'in.wav']\n"
              "sys.exit(c.main())")
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **ENVIRONMENT}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 128 + signal.SIGTERM and "Traceback" not in done.stderr
    assert os.listdir() == ["in.wav"]


def test_interrupted_while_arguments_are_read(monkeypatch, capsys):
    """The interrupt waits until argparse, which loses it halfway, has come to an end."""
    whole, ended = Parser.parse_known_intermixed_args, []

    def interrupted(parser, argv):
        os.kill(os.getpid(), signal.SIGINT)
        result = whole(parser, argv)
        ended.append(True)
        return result

    monkeypatch.setattr(Parser, "parse_known_intermixed_args", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
    try:
        assert run("in.wav", "out.wav") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended and capsys.readouterr().err == "tinyencodec: interrupted\n"
