"""The program as a shell starts it, ended at random moments from the first to the last; more of `test_interrupted`."""

import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from safetensors.numpy import save_file

from tests.helpers.paths import ROOT
from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.tensors import expected_tensors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="POSIX signals")
MONO = CodecConfig(sampling_rate=8000, num_filters=2, upsampling_ratios=(4, 2), hidden_size=4, codebook_size=16,
                   target_bandwidths=(4.0, 8.0), num_lstm_layers=1)
COMMANDS = {"compress": (["-f", "-m", "mono", "in.wav", "out.ecdc"], "out.ecdc"),
            "decompress": (["-f", "in.ecdc", "out.flac"], "out.flac"),
            "codes": (["codes", "-f", "in.ecdc", "out.npz"], "out.npz"),
            "convert": (["convert", "home/models/mono", "out"], "out")}
MOMENTS = 2  # for each command and signal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    model, rng = folder / "home" / "models" / "mono", np.random.default_rng(1)
    model.mkdir(parents=True)
    save_file({name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in expected_tensors(MONO).items()}, model / "model.safetensors")
    (model / "config.json").write_text(json.dumps(MONO.to_dict()))
    soundfile.write(folder / "in.wav", 0.1 * rng.standard_normal((400_000, 1)), 8000)
    start(folder, ["-m", "mono", "in.wav", "in.ecdc"]).communicate(timeout=300)
    return folder


def start(folder, argv, output=False, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TINYENCODEC_HOME": "home", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "tinyencodec", *argv], env=environment, cwd=folder, text=True,
                            stdout=subprocess.PIPE if output else subprocess.DEVNULL, stderr=subprocess.PIPE,
                            **options)


def content(path):
    if path.is_dir():
        return {each.name: each.read_bytes() for each in path.iterdir()}
    return path.read_bytes() if path.exists() else None


def clear(folder, output):
    subprocess.run(["rm", "-rf", folder / output, *folder.glob(".*.tmp"), *folder.glob(".*.part")], check=True)


@functools.cache
def undisturbed(folder, name):
    """How long a command takes, and what it writes."""
    argv, output = COMMANDS[name]
    began = time.monotonic()
    process = start(folder, argv)
    assert (process.communicate(timeout=300)[1], process.returncode) == ("", 0)
    took, good = time.monotonic() - began, content(folder / output)
    clear(folder, output)
    return took, good


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL],
                         ids=lambda number: number.name)
@pytest.mark.parametrize("name", COMMANDS)
def test_ended_at_any_moment(folder, name, number):
    argv, output = COMMANDS[name]
    took, good = undisturbed(folder, name)
    source = random.Random(f"{name} {number}")
    for moment in range(MOMENTS):
        old = b"old" if name != "convert" and moment % 2 else None
        if old:
            (folder / output).write_bytes(old)
        before = set(os.listdir(folder))
        process = start(folder, argv)
        time.sleep(took * (moment + source.random()) / MOMENTS)
        process.send_signal(number)
        err = process.communicate(timeout=300)[1]
        found, left = content(folder / output), set(os.listdir(folder)) - before - {output}
        assert found == good or found == old, "half-written output"
        if process.returncode != 1 or "import_site" not in err:  # the interpreter's answer, before it gets to us
            assert process.returncode in (0, 128 + number, -number), (process.returncode, err)
        if process.returncode == 128 + number:
            assert found == old and err == ("tinyencodec: interrupted\n" if number == signal.SIGINT else "").replace(
                "tinyencodec", f"tinyencodec {argv[0]}" if argv[0].isalpha() else "tinyencodec", 1)
        if number == signal.SIGKILL:
            assert all(re.fullmatch(r"\..+\.(tmp|part)", each) for each in left) and len(left) <= 1
        else:
            assert not left
        clear(folder, output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_ended_while_numpy_is_loaded(folder, number):
    """In C it imports `datetime`; whatever is raised there comes out as an ImportError."""
    program = """if True:
        import os, runpy, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored by what runs behind it
        number, times = int(os.environ["NUMBER"]), []
        def hook(event, args):
            if event == "import" and args[0] == "datetime" and not times:
                times.append(1)
                os.kill(os.getpid(), number)
        sys.addaudithook(hook)
        runpy.run_module("tinyencodec", run_name="__main__")"""
    argv = [sys.executable, "-c", program, "info", "in.ecdc"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBER": str(int(number))}
    done = subprocess.run(argv, env=environment, cwd=folder, text=True, capture_output=True)
    wanted = "tinyencodec info: interrupted\n" if number == signal.SIGINT else ""
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", wanted)


@pytest.mark.parametrize("protect", [[], ["--protect"]])
@pytest.mark.parametrize("wait", [0.1, 3.0])
def test_the_other_end_of_the_pipe_is_killed(folder, protect, wait):
    """The decoder tells that the end is missing, and leaves no file."""
    clear(folder, "out.wav")
    encoder = start(folder, ["-m", "mono", "--raw", "s16le", *protect, "-", "-"], stdin=subprocess.PIPE, output=True)
    decoder = start(folder, ["-", "out.wav"], stdin=encoder.stdout)
    encoder.stdin.write("x" * 60_000)
    encoder.stdin.flush()
    time.sleep(wait)
    encoder.kill()
    err = decoder.communicate(timeout=300)[1]
    assert decoder.returncode == 2 and re.search("got nothing|ends early", err) and err.count("\n") == 1, err
    assert content(folder / "out.wav") is None and not list(folder.glob(".*.tmp"))


def test_two_at_once(folder):
    """Two programs write the same output: one of the two whole files is there."""
    clear(folder, "out.ecdc")
    processes = [start(folder, ["-f", "-m", "mono", "-b", rate, "in.wav", "out.ecdc"]) for rate in ("4", "8")]
    for process in processes:
        assert (process.communicate(timeout=300)[1], process.returncode) == ("", 0)
    wanted = []
    for rate in ("4", "8"):
        start(folder, ["-f", "-m", "mono", "-b", rate, "in.wav", "one.ecdc"]).communicate(timeout=300)
        wanted.append(content(folder / "one.ecdc"))
    (folder / "one.ecdc").unlink()
    assert content(folder / "out.ecdc") in wanted
    assert not list(folder.glob(".*.tmp"))
