"""The words of `tinyencodec info`, and that it decodes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinyencodec.cli import main as cli
from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_48KHZ
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.ecdc.container import EcdcWriter
from tinyencodec.ecdc.describe import describe
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, payload_size
from tinyencodec.ecdc.packets import PacketWriter
from tinyencodec.entropy import tables
from tinyencodec.train.tables import fit_tables, save_tables


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))


def write_file(model, config, audio_length, n_codebooks, lm=False, more=0):
    header = EcdcHeader(model, audio_length, n_codebooks, lm)
    with open("a.ecdc", "wb") as fo:
        fo.write(header_bytes(header))
        fo.write(bytes(payload_size(config, header) + more))
    return "a.ecdc"


def told(*arguments):
    return dict(line.split(maxsplit=1) for line in describe(*arguments).split("\n\n")[0].splitlines())


def table(*arguments):
    """(entropy, bits spent or None) of each codebook, and at last their mean."""
    lines = describe(*arguments).split("\n\n")[1].splitlines()
    assert lines[:2] == ["bits per code, by codebook", "codebook   entropy    spent"]
    return [tuple(map(float, line.split()[1:])) for line in lines[2:]]


def test_mono():
    path = write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8)  # 168 frames of 80 bits: 1680 bytes
    assert describe(path).startswith("""\
model      encodec_24khz, 24000 Hz, mono
duration   2.240 s (53760 samples)
frames     168 in 1 segment, 320 samples each
codebooks  8 of 32, 10 bits per code
coding     fixed width
nominal    6 kbit/s
actual     6.236 kbit/s (1746 bytes)
header     66 bytes (0.236 kbit/s)
payload    1680 bytes (6.000 kbit/s)
trailing   0 bytes

bits per code, by codebook
codebook   entropy    spent
1            0.000   10.000
2            0.000   10.000
""")


def test_stereo_with_trailing_bytes():
    path = write_file("encodec_48khz", ENCODEC_48KHZ, 48_000, 2, more=7)
    facts = told(path)
    assert facts["model"] == "encodec_48khz, 48000 Hz, stereo"
    assert facts["frames"] == "152 in 2 segments, 320 samples each"
    assert facts["nominal"] == "3 kbit/s"
    assert facts["payload"].startswith(f"{4 + 375 + 4 + 5} bytes") and facts["trailing"] == "7 bytes"
    assert facts["actual"].endswith(f"({os.path.getsize(path)} bytes)")


def test_official_language_model():
    assert describe(write_file("encodec_24khz", ENCODEC_24KHZ, 53_760, 8, lm=True, more=-500)) == """\
model      encodec_24khz
length     53760 samples
codebooks  8
coding     official language model, which cannot be decoded here
actual     1245 bytes
header     65 bytes
payload    1180 bytes"""


def write_stream(name, config, sizes, audio_length):
    with open("a.ecdc", "wb") as fo:
        fo.write(header_bytes(EcdcHeader(name, 0, 8, stream=True)))
        packets = PacketWriter(fo, config)
        for n in sizes:
            packets.write(np.zeros((8, n), int), 1.0 if config.normalize else None)
        packets.finish(audio_length)
    return "a.ecdc"


def test_stream():
    assert describe(write_stream("encodec_24khz", ENCODEC_24KHZ, [100, 68], 53_760)).startswith("""\
model      encodec_24khz, 24000 Hz, mono
duration   2.240 s (53760 samples)
frames     168 in 1 segment, 320 samples each
packets    2, of 84.0 frames on average
codebooks  8 of 32, 10 bits per code
coding     fixed width, streamed
nominal    6 kbit/s
actual     6.329 kbit/s (1772 bytes)
header     78 bytes (0.279 kbit/s)
payload    1680 bytes (6.000 kbit/s)
framing    14 bytes (0.050 kbit/s)
trailing   0 bytes

bits""")
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
        fo.write(header_bytes(EcdcHeader("encodec_48khz", 2**62, 2)))  # a walk over its segments would take years
    with pytest.raises(EOFError, match="a.ecdc: file ends early"):
        describe("a.ecdc")


def write_blocks(coder, codes, config=ENCODEC_24KHZ, told=True, name="encodec_24khz"):
    """Blocks of one second."""
    with open("a.ecdc", "wb") as fo:
        writer = EcdcWriter(fo, name, config, len(codes), codes.shape[1] * 320 if told else None, coder, 75)
        writer.write(codes)
        writer.finish(codes.shape[1] * 320)
    return "a.ecdc"


def test_blocks():
    codes = np.zeros((2, 200), int)
    codes[1] = np.arange(200) % 4
    path = write_blocks(FixedCoder(10), codes)
    assert describe(path) == """\
model      encodec_24khz, 24000 Hz, mono
duration   2.667 s (64000 samples)
frames     200 in 1 segment, 320 samples each
blocks     3, of 75 frames (1.000 s)
codebooks  2 of 32, 10 bits per code
coding     fixed width, with checksums
nominal    1.5 kbit/s
actual     1.953 kbit/s (651 bytes)
saving     -15.0 % of 566 bytes in fixed width
header     102 bytes (0.306 kbit/s)
payload    501 bytes (1.503 kbit/s)
framing    48 bytes (0.144 kbit/s)
trailing   0 bytes

bits per code, by codebook
codebook   entropy    spent
1            0.000   10.000
2            2.000   10.000
mean         1.000   10.000"""


def test_tables_and_what_they_save():
    rng = np.random.default_rng(0)
    codes = np.minimum(rng.geometric(0.2, (4, 3000)) - 1, 1023)
    counted = fit_tables(np.stack([np.bincount(row, minlength=1024) for row in codes]))
    path = write_blocks(tables.TableCoder(counted), codes)
    facts = told(path)  # without the tables
    assert facts["coding"].startswith("tables ") and facts["codes"].startswith("not read: model encodec_24khz has no")
    folder = Path("home/models/encodec_24khz")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_tables(folder, counted)
    for entropy, spent in table(path):
        p = 0.2 * 0.8 ** np.arange(99)
        assert abs(entropy + (p * np.log2(p)).sum()) < 0.1 and entropy <= spent < entropy + 0.3
    assert "codes" not in told(path) and float(facts["saving"].split()[0]) > 50
    save_tables(folder, counted ^ 1)
    assert "coded with the tables" in told(path)["codes"]


@pytest.mark.parametrize("told_before", [True, False])
def test_damaged_blocks_are_counted_and_named(told_before):
    data = bytearray(Path(write_blocks(FixedCoder(10), np.zeros((1, 75 * 9), int), told=told_before)).read_bytes())
    start = 13 + data[8]
    size = 10 + 94  # of a block
    for number in (1, 4, 5):
        data[start + number * size + 30] ^= 1
    data[20] ^= 1
    Path("a.ecdc").write_bytes(data)
    facts = told("a.ecdc")
    assert facts["damaged"] == "3 blocks; block 1 (1.000 s to 2.000 s); blocks 4 to 5 (4.000 s to 6.000 s)"
    assert facts["mended"] == "header, bit 0 of byte 20" and facts["duration"].startswith("9.000 s")
    assert facts["unreadable"] == f"{3 * size} bytes" and "saving" not in facts
    Path("a.ecdc").write_bytes(data[:-30])
    facts = told("a.ecdc")
    lost = "4 blocks; block 1 .*; blocks 4 to 5 .*; block 8 .*; the end block" if told_before else \
        "3 blocks; .*; the end block"
    assert re.fullmatch(lost, facts["damaged"]) and facts["duration"].startswith(f"{9 if told_before else 8}.000 s")
    Path("a.ecdc").write_bytes(data[:start + 60])
    if told_before:
        assert told("a.ecdc")["damaged"] == "9 blocks; blocks 0 to 8 (0.000 s to 9.000 s); the end block"
    else:
        with pytest.raises(ValueError, match="at least one that is undamaged, got 'none'"):
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
