"""No sound is lost without a word: what the program, `batch`, `codes` and `tokenize` make of difficult files."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tinyencodec
from tests.helpers.models import RATE
from tests.helpers.program import piped, run
from tests.helpers.sounds import encoded, flac_of_length, loud_then_soft, mp3, mp3_samples, resized, tone
from tinyencodec.ecdc.container import EcdcReader
from tinyencodec.ecdc.header import read_header

pytestmark = [pytest.mark.usefixtures("here"),
              pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="no MP3 in this libsndfile")]


def ogg(seed, rate=RATE, channels=1):
    return encoded(tone(9000, channels, rate, seed), "OGG", "VORBIS", rate)


def wav():
    return encoded(tone(9000, 1, RATE), "WAV", "PCM_16", RATE)


def headless(mode="VARIABLE"):
    return mp3(loud_then_soft(3 * RATE), RATE, mode, table=False)


DIFFICULT = {  # bytes, samples at 8 kHz, remarks
    "MP3 of variable rate": (headless, lambda data: mp3_samples(data), []),
    "MP3 of constant rate": (lambda: headless("CONSTANT"), lambda data: mp3_samples(data), []),
    "joined MP3": (lambda: mp3(tone(9000, 1, RATE), RATE) + mp3(tone(8000, 1, RATE), RATE), 17_000, []),
    "MP3 from the midst of a frame": (lambda: headless()[5:], lambda data: mp3_samples(headless()) - 576, []),
    "FLAC of unknown length": (lambda: flac_of_length(encoded(tone(9000, 1, RATE), "FLAC", None, RATE), 0), 9000, []),
    "chained Ogg": (lambda: ogg(0) + ogg(1) + ogg(2), 27_000, []),
    "chained Ogg of two rates": (lambda: ogg(0) + ogg(1, 2 * RATE, 2), 13_500, [
        "from 1.1 s on it has 16000 Hz and 2 channels instead of 8000 Hz and 1 channel, and is converted"]),
    "WAV of length 0": (lambda: resized(wav(), 0), 9000, []),
    "WAV of length -1": (lambda: resized(wav(), -1), 9000, []),
    "u-law": (lambda: encoded(tone(9000, 1, RATE), "WAV", "ULAW", RATE), 9000, []),
    "WAV cut short": (lambda: wav()[:-8000], 5000, ["ends 0.5 s before its header says"]),
    "AIFF cut short": (lambda: encoded(tone(9000, 1, RATE), "AIFF", "PCM_16", RATE)[:-8000], 5000,
                       ["ends 0.5 s before its header says"]),
    "Ogg cut short": (lambda: encoded(tone(40_000, 1, RATE), "OGG", "VORBIS", RATE)[:-50], None,
                      ["the end is missing; there may have been more"]),
}


def made(name):
    build, samples, remarks = DIFFICULT[name]
    data = build()
    Path("a.sound").write_bytes(data)
    return data, samples(data) if callable(samples) else samples, remarks


def codes_in(data):
    """Codes [K, F] and the number of samples of an `.ecdc` file."""
    fo = io.BytesIO(data)
    reader = EcdcReader(fo, read_header(fo), tinyencodec.load_model("mono").config)
    codes = np.concatenate([codes for codes, _ in reader], axis=1)
    return codes, reader.audio_length


@pytest.mark.parametrize("name", DIFFICULT)
@pytest.mark.parametrize("into_a_pipe", [True, False])
def test_program(name, into_a_pipe, capfd):
    """Read by its name, from a pipe and redirected: the same codes and remarks."""
    data, samples, remarks = made(name)
    expected = None
    for way in ("name", "pipe", "redirected"):
        with open("a.sound", "rb") as fo:
            files = "a.sound" if way == "name" else "-", "-" if into_a_pipe else f"{way}.ecdc"
            code, out = piped("-m", "mono", "-b", 8, *files, data=data, stdin=fo if way == "redirected" else None)
        told = [line.split(": ", 3)[3] for line in capfd.readouterr().err.splitlines()]
        filled = into_a_pipe and way == "pipe" and name in ("WAV cut short", "AIFF cut short")
        assert (code, told) == (0, remarks + ["silence follows, up to the length that had gone out already"] * filled)
        codes, length = codes_in(out or Path(f"{way}.ecdc").read_bytes())
        if filled:
            assert length == 9000 and np.array_equal(codes[:, :600], expected[:, :600])
            continue
        assert samples in (None, length), way
        expected = codes if expected is None else expected
        assert np.array_equal(codes, expected), way


@pytest.mark.parametrize("name", DIFFICULT)
def test_batch_codes_and_tokenize(name, capsys):
    """Each has the sound to its end, and the remarks where its user looks for them."""
    _, samples, remarks = made(name)
    os.mkdir("in")
    Path("a.sound").rename("in/a.wav")  # a suffix that is looked for, whatever is in the file
    assert run("batch", "in", "--out", "out", "-m", "mono", "-b", 8, "-j", 1) == 0
    told = capsys.readouterr()
    assert [line for line in (told.out + told.err).splitlines() if "warning" in line] == [
        f"tinyencodec batch: warning: in/a.wav: {remark}" for remark in remarks]
    codes, length = codes_in(Path("out/a.ecdc").read_bytes())
    assert samples in (None, length)
    assert run("codes", "in/a.wav", "a.npz", "-m", "mono", "-b", 8) == 0
    assert capsys.readouterr().err.splitlines() == [f"tinyencodec codes: warning: in/a.wav: {remark}"
                                                    for remark in remarks]
    saved = tinyencodec.read_codes("a.npz")
    assert np.array_equal(saved.codes, codes) and saved.length == length
    assert run("tokenize", "in", "--out", "set", "-m", "mono", "-b", 8, "-j", 1) == 0
    (line,) = [json.loads(line) for line in Path("set/manifest.jsonl").read_text().splitlines()]
    assert line["remarks"] == remarks and (line["missing"] > 0) == any("header" in remark for remark in remarks)
    assert line["length"] == length
    assert ("in the manifest" in capsys.readouterr().out) == bool(remarks)
    tokens = tinyencodec.open_dataset("set").codes(0)
    assert np.array_equal(tokens, codes)
