"""The words of `tinyencodec info`, and that it decodes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyencodec import cli
from tinyencodec.config import ENCODEC_24KHZ, ENCODEC_48KHZ
from tinyencodec.describe import describe
from tinyencodec.ecdc import EcdcHeader, payload_size, write_header
from tinyencodec.packets import write_end, write_packets


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))


def write_file(model, config, audio_length, n_codebooks, lm=False, more=0):
    header = EcdcHeader(model, audio_length, n_codebooks, lm)
    with open("a.ecdc", "wb") as fo:
        write_header(fo, header)
        fo.write(bytes(payload_size(config, header) + more))
    return "a.ecdc"


def told(*arguments):
    return dict(line.split(maxsplit=1) for line in describe(*arguments).splitlines())


def test_mono():
    path = write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8)  # 168 frames of 80 bits: 1680 bytes
    assert describe(path) == """\
model      encodec_24khz, 24000 Hz, mono
duration   2.240 s (53760 samples)
frames     168 in 1 segment, 320 samples each
codebooks  8 of 32, 10 bits per code
coding     fixed width
nominal    6 kbit/s
actual     6.236 kbit/s (1746 bytes)
header     66 bytes
payload    1680 bytes
trailing   0 bytes"""


def test_stereo_with_trailing_bytes():
    path = write_file("encodec_48khz", ENCODEC_48KHZ, 48_000, 2, more=7)
    facts = told(path)
    assert facts["model"] == "encodec_48khz, 48000 Hz, stereo"
    assert facts["frames"] == "152 in 2 segments, 320 samples each"
    assert facts["nominal"] == "3 kbit/s"
    assert facts["payload"] == f"{4 + 375 + 4 + 5} bytes" and facts["trailing"] == "7 bytes"
    assert facts["actual"].endswith(f"({os.path.getsize(path)} bytes)")


def test_language_model():
    facts = told(write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8, lm=True, more=-500))
    assert facts["coding"] == "language model" and facts["trailing"] == "not known without decoding"
    assert facts["payload"] == "1180 bytes" and "frames" not in facts


def write_stream(name, config, sizes, audio_length):
    with open("a.ecdc", "wb") as fo:
        write_header(fo, EcdcHeader(name, 0, 8, stream=True))
        for n in sizes:
            write_packets(fo, np.zeros((8, n), int), 1.0 if config.normalize else None, config.bits_per_code)
        write_end(fo, audio_length)
    return "a.ecdc"


def test_stream():
    assert describe(write_stream("encodec_24khz", ENCODEC_24KHZ, [100, 68], 53_760)) == """\
model      encodec_24khz, 24000 Hz, mono
duration   2.240 s (53760 samples)
frames     168 in 1 segment, 320 samples each
packets    2, of 84.0 frames on average
codebooks  8 of 32, 10 bits per code
coding     fixed width, streamed
nominal    6 kbit/s
actual     6.329 kbit/s (1772 bytes)
header     78 bytes
payload    1694 bytes
trailing   0 bytes"""
    facts = told(write_stream("encodec_48khz", ENCODEC_48KHZ, [150, 2], 48_000))
    assert facts["frames"] == "152 in 2 segments, 320 samples each" and facts["packets"].startswith("2,")
    facts = told(write_stream("nobody", ENCODEC_24KHZ, [100, 68], 53_760))
    assert facts["length"] == "told at the end of the file" and facts["payload"] == "1694 bytes"
    with pytest.raises(ValueError, match="a.ecdc: frames: expected those of 53760 samples, got '167 in 1 segment'"):
        describe(write_stream("encodec_24khz", ENCODEC_24KHZ, [167], 53_760))
    data = Path(write_stream("encodec_24khz", ENCODEC_24KHZ, [168], 53_760)).read_bytes()
    Path("a.ecdc").write_bytes(data[:-1])
    with pytest.raises(EOFError, match="a.ecdc: file ends early: expected 8 bytes of audio length, got 7"):
        describe("a.ecdc")


def test_unknown_model():
    facts = told(write_file("nobody", ENCODEC_24KHZ, 53_760, 8))
    assert facts["model"].startswith("nobody, not found here") and facts["length"] == "53760 samples"
    assert facts["payload"] == "1680 bytes" and "duration" not in facts


def test_installed_and_given_models():
    path = write_file("nobody", ENCODEC_24KHZ, 53_760, 8)
    for folder in (Path("home/models/nobody"), Path("elsewhere/nobody")):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"sampling_rate": 48000, "target_bandwidths": [24.0]}')
        assert told(path, *([] if "home" in str(folder) else [str(folder)]))["duration"].startswith("1.120 s")
    Path("other").mkdir()
    (Path("other") / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="a.ecdc: model: expected 'other', got 'nobody'"):
        describe(path, "other")


def test_bad_files():
    with pytest.raises(EOFError, match="a.ecdc: file ends early: expected 1680 bytes after the header, got 1679"):
        describe(write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8, more=-1))
    with pytest.raises(ValueError, match="a.ecdc: codebooks: expected 1 to 32, got 33"):
        describe(write_file("encodec_24khz", ENCODEC_24KHZ, 1, 33))
    with open("a.ecdc", "wb") as fo:
        write_header(fo, EcdcHeader("encodec_48khz", 2**62, 2))  # a walk over its segments would take years
    with pytest.raises(EOFError, match="a.ecdc: file ends early"):
        describe("a.ecdc")


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_command_reads_a_pipe(capsys):
    path = write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8)
    expected = describe(path) + "\n"
    os.mkfifo("pipe")
    feeder = subprocess.Popen(f"cat {path} > pipe", shell=True)
    assert cli.main(["info", "pipe"]) == 0
    feeder.wait(timeout=60)
    assert capsys.readouterr().out == expected
