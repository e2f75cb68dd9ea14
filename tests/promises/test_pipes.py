"""The program between other programs: standard input and output, live."""

import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers.models import RATE
from tests.helpers.paths import DATA
from tests.helpers.pipes import Pipe
from tests.helpers.program import collect, piped
from tinyencodec.audio.pcm import wav_header
from tinyencodec.cli import main as cli
from tinyencodec.ecdc.compression import compress_stream
from tinyencodec.system.compiler import jit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
SAMPLES = 5003
ENVIRONMENT = {"PYTHONPATH": str(Path(tinyencodec.__file__).parent.parent), "PYTHON": sys.executable}


@pytest.fixture(autouse=True)
def here(tmp_path, home, monkeypatch):
    """A folder with a recording as `in.wav` and `in.flac`, and its samples as `in.s16` and `in.f32`."""
    monkeypatch.setenv("TINYENCODEC_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    wav = (3000 * np.random.default_rng(0).standard_normal((SAMPLES, 2))).astype("<i2")
    soundfile.write("in.wav", wav, RATE)
    soundfile.write("in.flac", wav, RATE)
    Path("in.s16").write_bytes(wav.tobytes())
    Path("in.f32").write_bytes((wav / 32768).astype("<f4").tobytes())


def run(*argv):
    assert cli.main([str(arg) for arg in argv]) == 0


def made(*argv, **sources):
    code, out = piped(*argv, **sources)
    assert code == 0
    return out


def sh(command):
    """A line of shell, in which T is the program; what it wrote on stdout."""
    script = f'T() {{ "$PYTHON" -m tinyencodec "$@"; }}; set -o pipefail; {command}'
    done = subprocess.run(["bash", "-c", script], env={**os.environ, **ENVIRONMENT}, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def codes_of(data):
    """What follows the header."""
    size = struct.unpack("!I", data[5:9])[0]
    return data[9 + size:]


def assert_same(got, expected):
    assert len(got) == len(expected)
    if jit.JIT:  # else NumPy's products may depend on the pieces
        assert got == expected


# ---- the same in all ways ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["mono", "stereo"])
def test_known_length(model):
    run("-m", model, "in.wav", "in.ecdc")
    for name in ("back.wav", "back.flac"):
        run("in.ecdc", name)
    run("in.ecdc", "--raw", "f32le", "back.f32")
    run("in.ecdc", "--raw", "s16le")
    ecdc, wav, f32 = (Path(name).read_bytes() for name in ("in.ecdc", "back.wav", "back.f32"))
    assert Path("in_decompressed.raw").read_bytes() == wav[44:]
    m, source = ["-m", model], Path("in.wav").read_bytes()

    assert made(*m, "in.wav", "-") == ecdc
    assert_same(made(*m, "-", "-", data=source), ecdc)
    assert_same(made(*m, "-", data=source), ecdc)
    assert_same(made(*m, "-", data=Path("in.flac").read_bytes()), ecdc)
    with open("in.wav", "rb") as fo:
        assert_same(made(*m, "-", stdin=fo), ecdc)
    with open("in.f32", "rb") as fo:
        assert_same(made(*m, "--raw", "f32le", "--rate", 8000, "--channels", 2, "-", stdin=fo), ecdc)
    made(*m, "-", "x.ecdc", data=source)
    made(*m, "--raw", "s16le", "--channels", 2, "in.s16", "y.ecdc")
    assert_same(Path("y.ecdc").read_bytes(), ecdc)
    data = Path("x.ecdc").read_bytes()  # another file could have followed, so room was left in the header
    assert_same(codes_of(data), codes_of(ecdc))
    assert len(data) - len(ecdc) == 19 - len(str(SAMPLES))  # spaces

    assert made("in.ecdc", "-") == wav
    assert_same(made("-", "-", data=ecdc), wav)
    assert_same(made("-", "--raw", "f32le", data=ecdc), f32)
    made("-", "z.wav", data=ecdc)
    assert_same(Path("z.wav").read_bytes(), wav)
    with open("in.ecdc", "rb") as fo, open("redirected.wav", "wb") as out:
        assert made("-", stdin=fo, stdout=out) == b""
    assert Path("redirected.wav").read_bytes() == wav
    Path("in.ecdc").rename("in.bin")
    assert made("--decompress", "in.bin", "-") == wav
    assert not Path("-").exists()


@pytest.mark.parametrize("model, channels", [("mono", 1), ("stereo", 2)])
def test_unknown_length(model, channels):
    run("-m", model, "in.wav", "in.ecdc")
    run("in.ecdc", "back.wav")
    ecdc, wav = Path("in.ecdc").read_bytes(), Path("back.wav").read_bytes()
    live, source = ["-m", model, "--raw", "s16le", "--channels", 2, "-"], Path("in.s16").read_bytes()

    made(*live, "live.ecdc", data=source)
    data = Path("live.ecdc").read_bytes()
    assert_same(codes_of(data), codes_of(ecdc))
    assert len(data) - len(ecdc) == 19 - len(str(SAMPLES))  # spaces
    with open("redirected.ecdc", "wb") as out:
        made(*live, data=source, stdout=out)
    assert_same(Path("redirected.ecdc").read_bytes(), data)

    stream = made(*live, data=source)
    assert b'"stream": true' in stream
    Path("appended.ecdc").write_bytes(b"before")
    with open("appended.ecdc", "ab") as out:  # a header could not be corrected there
        made(*live, data=source, stdout=out)
    assert Path("appended.ecdc").read_bytes()[6:].startswith(stream[:60])

    through = made("-", data=stream)
    assert through[:44] == wav_header(RATE, channels, None)
    assert_same(through[44:], wav[44:])
    made("-", "a.wav", data=stream)
    assert_same(Path("a.wav").read_bytes(), wav)
    with open("b.wav", "wb") as out:
        made("-", data=stream, stdout=out)
    assert_same(Path("b.wav").read_bytes(), wav)


def test_both_at_once_from_a_pipe():
    run("-m", "mono", "in.wav", "a.flac")
    made("-m", "mono", "--raw", "s16le", "--channels", 2, "-", "b.flac", data=Path("in.s16").read_bytes())
    assert tinyencodec.read_audio("b.flac").shape == (1, SAMPLES)
    if jit.JIT:
        assert np.array_equal(tinyencodec.read_audio("a.flac"), tinyencodec.read_audio("b.flac"))


def test_programs_in_a_row():
    """With the bundled model, and FLAC in a pipe."""
    wav = sh(f"cat {DATA / 'speech.flac'} | T - - | T - - | cat")
    run(DATA / "speech.flac", "file.ecdc")
    run("file.ecdc", "file.wav")
    assert_same(wav, Path("file.wav").read_bytes())


def test_info(capsys):
    Path("stream.ecdc").write_bytes(made("-m", "mono", "--raw", "s16le", "-", data=Path("in.s16").read_bytes()))
    run("info", "stream.ecdc")
    told = capsys.readouterr().out
    assert "10006 samples" in told and "fixed width, streamed" in told and "trailing   0 bytes" in told
    with open("stream.ecdc", "rb") as fo:
        assert made("info", "-", stdin=fo) == b""  # pytest took it
    assert capsys.readouterr().out == told


def test_rescaled_and_by_more_threads():
    run("-m", "mono", "in.wav", "in.ecdc")
    run("-r", "in.ecdc", "quiet.wav")
    assert made("-r", "in.ecdc", "-") == Path("quiet.wav").read_bytes()
    assert made("in.ecdc", "-", "--threads", 1) == made("in.ecdc", "-", "--threads", 3)


# ---- live --------------------------------------------------------------------------------------------


def start(*argv):
    """A process that Ctrl-C reaches, even if the tests run in the background of a shell, which has it ignored."""
    process = subprocess.Popen([sys.executable, "-m", "tinyencodec", *argv], env={**os.environ, **ENVIRONMENT},
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    received: list[bytes] = []
    thread = threading.Thread(target=collect, args=(os.dup(process.stdout.fileno()), received), daemon=True)
    thread.start()
    return process, received, thread


def wait_for(received, size):
    limit = time.monotonic() + 60
    while sum(map(len, received)) < size:
        assert time.monotonic() < limit, f"expected {size} bytes, got {sum(map(len, received))}"
        time.sleep(0.01)


def test_sound_comes_out_while_more_goes_in():
    model = tinyencodec.load_model("mono")
    encoder, encoder_out, encoder_thread = start("-m", "mono", "--raw", "s16le", "-", "-")
    decoder, decoder_out, decoder_thread = start("--raw", "s16le", "-", "-")
    forwarded = samples = 0
    late = model.encoder_delay + (model.decoder_delay + 1) * model.hop_length  # the least that may be held back
    for _ in range(4):
        encoder.stdin.write(np.random.default_rng(0).integers(-999, 999, 1000).astype("<i2").tobytes())
        samples += 1000
        wait_for(encoder_out, 60 + (samples - model.encoder_delay) // model.hop_length // 2)
        deadline = time.monotonic() + 60
        while sum(map(len, decoder_out)) < 2 * (samples - late):
            data = b"".join(encoder_out)
            decoder.stdin.write(data[forwarded:])
            forwarded = len(data)
            assert time.monotonic() < deadline
            time.sleep(0.01)
    encoder.stdin.close()
    encoder_thread.join(60)
    decoder.stdin.write(b"".join(encoder_out)[forwarded:])
    decoder.stdin.close()
    decoder_thread.join(60)
    assert sum(map(len, decoder_out)) == 8000 and (encoder.wait(60), decoder.wait(60)) == (0, 0)


@pytest.mark.parametrize("argv", [["-m", "mono", "--raw", "s16le", "-"], ["in.ecdc", "-"], ["info", "in.ecdc"]])
def test_nobody_reads(argv):
    run("-m", "mono", "in.wav", "in.ecdc")
    reading, writing = os.pipe()
    os.close(reading)
    with open("in.s16", "rb") as fo:
        done = subprocess.run([sys.executable, "-m", "tinyencodec", *argv], env={**os.environ, **ENVIRONMENT},
                              stdin=fo, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def wait_until_begun():
    limit = time.monotonic() + 60
    while not any(name.endswith(".tmp") for name in os.listdir()):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_interrupted():
    process, _, _ = start("-m", "mono", "--raw", "s16le", "-", "out.ecdc")
    process.stdin.write(bytes(2000))
    wait_until_begun()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not [name for name in os.listdir() if "out" in name or "tmp" in name]


def test_ctrl_c_ends_the_recording_and_keeps_it():
    """It ends the program before the pipe, and so the sound; only a second one ends this program."""
    data = Path("in.s16").read_bytes()
    process, _, _ = start("-m", "mono", "--raw", "s16le", "-", "out.ecdc")
    process.stdin.write(data[:len(data) // 4 * 2])
    wait_until_begun()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.stdin.write(data[len(data) // 4 * 2:])
    process.stdin.close()
    assert process.wait(60) == 0
    run("-m", "mono", "--raw", "s16le", "in.s16", "whole.ecdc")
    assert_same(codes_of(Path("out.ecdc").read_bytes()), codes_of(Path("whole.ecdc").read_bytes()))


def test_ctrl_c_twice():
    process, _, _ = start("-m", "mono", "--raw", "s16le", "-", "out.ecdc")
    process.stdin.write(bytes(2000))
    wait_until_begun()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not [name for name in os.listdir() if "out" in name or "tmp" in name]


# ---- bad input ---------------------------------------------------------------------------------------


def sound():
    return Path("in.wav").read_bytes()


def stream():
    return made("-m", "mono", "--raw", "s16le", "-", data=Path("in.s16").read_bytes())


MONO_RAW = ["-m", "mono", "--raw"]
BAD = {
    "nothing": (["-"], lambda: b"", "standard input: expected sound or an .ecdc file, got nothing"),
    "nothing, to a file": (["-", "x.ecdc"], lambda: b"", "standard input: expected sound or an .ecdc file, got"),
    "nothing to decompress": (["--decompress", "-"], lambda: b"", "standard input: file ends early: expected 4 bytes"),
    "sound to decompress": (["--decompress", "-"], sound, "standard input: not an .ecdc file: .*got b'RIFF'"),
    "no audio": (["-"], lambda: b"no audio", "standard input: expected an audio file, got something unreadable"),
    "less than a sample": ([*MONO_RAW, "s16le", "-"], lambda: b"x", "standard input: .*at least one sample"),
    "not finite": ([*MONO_RAW, "f32le", "-"], lambda: b"\xff" * 8, "standard input: .*got nan .* at 0.0000 s"),
    "packets break off": (["-", "x.wav"], lambda: stream()[:400], "standard input: file ends early: expected"),
    "the end breaks off": (["-", "x.wav"], lambda: stream()[:-1], "expected 8 bytes of audio length, got 7"),
    "no length": (["-", "x.wav"], lambda: stream()[:-8] + bytes(8), "audio length: expected 1 to 2..62 samples, got 0"),
    "another length": (["-", "x.wav"], lambda: stream()[:-2] + bytes(2), "standard input: .*expected"),
    "rate 0": ([*MONO_RAW, "s16le", "--rate", 0, "-"], sound, "sample rate: expected an integer from 1"),
    "no channels": ([*MONO_RAW, "s16le", "--channels", 0, "-"], sound, "channels: expected 1 to 1024, got 0"),
    "rate of a WAV file": (["-m", "mono", "--rate", 8000, "-"], sound, "--rate and --channels: expected with --raw"),
    "rate when decompressing": (["--rate", 8000, "-"], stream, "--rate and --channels: expected with --raw and sound"),
    "unknown raw": (["--raw", "u8", "-"], sound, "invalid choice: 'u8'"),
    "no threads": (["--threads", 0, "-"], sound, "threads: expected at least 1, got 0"),
    "raw and a suffix": (["--raw", "s16le", "-", "x.wav"], stream, "x.wav: expected another suffix for raw samples"),
    "decompress to .ecdc": (["-", "x.ecdc"], stream, "x.ecdc: expected an output name ending in .wav, .flac, .ogg"),
    "folder missing": (["-m", "mono", "-", "none/x.ecdc"], sound, "output folder does not exist"),
}


@pytest.mark.parametrize("argv, data, message", BAD.values(), ids=BAD)
def test_bad_input(argv, data, message, capfd):
    data, before = data(), sorted(os.listdir())
    capfd.readouterr()
    code, out = piped(*argv, data=data)
    told = capfd.readouterr().err
    assert code == 2 and out == b"" and re.search(message, told) and told.count("\n") == 1, told
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("argv", [["-", "x.ecdc"], ["-"], ["cut.wav", "x.ecdc"], ["cut.wav", "-"], ["<cut.wav", "-"]])
@pytest.mark.parametrize("size", [5000, 15_000])
def test_sound_that_breaks_off_is_coded(argv, size, capfd):
    """With a remark. Into a pipe its length has gone out before, if it came from one: then silence follows."""
    samples = (size - 44) // 4
    Path("cut.wav").write_bytes(sound()[:size])
    redirected, argv = argv[0][0] == "<", [arg.replace("<cut.wav", "-") for arg in argv]
    with open("cut.wav", "rb") as fo:
        code, out = piped("-m", "mono", "-b", 8, *argv, data=Path("cut.wav").read_bytes(),
                          stdin=fo if redirected else None)
    name = "standard input" if argv[0] == "-" else argv[0]
    told = [f"tinyencodec: warning: {name}: ends {(SAMPLES - samples) / RATE:.1f} s before its header says"]
    if argv == ["-"] and not redirected:
        told.append(f"tinyencodec: warning: {name}: silence follows, up to the length that had gone out already")
    assert (code, capfd.readouterr().err.splitlines()) == (0, told)
    made("--raw", "s16le", "-", "back.raw", data=out or Path("x.ecdc").read_bytes())
    assert Path("back.raw").stat().st_size == 2 * (SAMPLES if len(told) == 2 else samples)
    if len(told) == 1:
        wav = tinyencodec.AudioReader("cut.wav", RATE, 1)
        model = tinyencodec.load_model("mono")
        whole = tinyencodec.compress(model, np.concatenate(list(wav), axis=1), 8.0)
        assert_same(codes_of(out or Path("x.ecdc").read_bytes()), codes_of(whole))


def test_hours_of_silence_are_not_made_up(capfd):
    """A header that promises them, and a pipe into which their length has gone out."""
    code, out = piped("-m", "mono", "-", data=wav_header(RATE, 1, 2**30 - 2**20) + bytes(999))
    told = capfd.readouterr().err
    assert code == 2 and len(out) < 1000 and told.count("\n") == 1
    assert "audio length: expected 1072693248 samples as announced, got 499" in told, told


def test_what_came_before_the_break_is_written(capfd):
    """Into a pipe; there is nothing else to do with it."""
    model, fo = tinyencodec.load_model("mono"), Pipe()
    wav = 0.1 * np.random.default_rng(0).standard_normal((1, 5000))
    compress_stream(model, np.split(wav, 10, axis=1), fo, 4.0)
    whole = made("-", "--raw", "s16le", data=fo.getvalue())
    code, out = piped("-", "--raw", "s16le", data=fo.getvalue()[:250])
    assert code == 2 and 3000 < len(out) < len(whole) == 10_000
    assert not jit.JIT or whole.startswith(out)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk(capfd):
    with open("/dev/full", "wb") as full:
        assert piped("-m", "mono", "in.wav", "-", stdout=full) == (2, b"")
    assert capfd.readouterr().err == "tinyencodec: standard output: No space left on device\n"


def test_closed():
    done = subprocess.run(["bash", "-c", '"$PYTHON" -m tinyencodec - - <&-'], env={**os.environ, **ENVIRONMENT},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr == "tinyencodec: standard input: Bad file descriptor\n"


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no /proc")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_names_of_standard_output(name):
    """A file that the shell has opened is written to where it stands, not replaced, and needs no -f."""
    os.symlink("/dev/stdout", "link")
    run("-m", "mono", "in.wav", "in.ecdc")
    Path("out").write_bytes(b"before")
    for redirection, before in ((">>", b"before"), (">", b"")):
        subprocess.run(["bash", "-c", f'"$PYTHON" -m tinyencodec -m mono in.wav {name} {redirection} out'], check=True,
                       env={**os.environ, **ENVIRONMENT}, timeout=60)
        assert Path("out").read_bytes() == before + Path("in.ecdc").read_bytes()
