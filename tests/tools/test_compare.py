"""`tinyencodec compare` from its arguments to its page, with small models. tests/tutorials opens pages in a browser."""

import base64
import html
import importlib.util
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from tests.helpers.evaluation import here, notes  # noqa: F401
from tinyencodec.cli import main as cli
from tinyencodec.tools.compare import page, pictures, renditions
from tinyencodec.tools.compare.pictures import levels
from tinyencodec.tools.compare.renditions import Rendition
from tinyencodec.tools.evaluate import measures
from tinyencodec.tools.evaluate.codecs import Coded

needs_libraries = pytest.mark.skipif(not all(map(importlib.util.find_spec, ("jinja2", "matplotlib"))),
                                     reason="needs the extra `compare` (jinja2, matplotlib)")


class Elements(HTMLParser):
    """All start tags of a page, with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


def run(*argv):
    return cli.main(["compare", *argv])


def read(uri, kind):
    head, data = uri.split(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(data)


@needs_libraries
def test_page(capsys, tmp_path):
    assert run("talk.wav", "-o", "out.html", "-m", "mono", "--seconds", "0.5", "--entropy", "table") == 0
    assert capsys.readouterr() == ("", "")
    text = (tmp_path / "out.html").read_text()
    elements = Elements(text)
    sounds = [soundfile.read(io.BytesIO(read(audio["src"], "audio/flac"))) for audio in elements.all("audio")]
    assert [(len(wav), rate) for wav, rate in sounds] == [(4000, 8000)] * 3
    assert all(np.abs(wav).max() > 1e-3 for wav, _ in sounds)
    given, _ = soundfile.read(tmp_path / "talk.wav")
    assert np.corrcoef(sounds[0][0], given[::2][:4000])[0, 1] > 0.99  # the original, from 16 to 8 kHz
    images = [read(image["src"], "image/webp") for image in elements.all("img")]
    assert len(set(images)) == 5 and all(image[:4] == b"RIFF" and image[8:12] == b"WEBP" for image in images)
    assert re.findall(r"only the first .*", elements.text, re.I) == ["Only the first 0.5 s of 1.5 s (--seconds)."]
    assert "Left out: model mono has no" in elements.text
    assert "fixed width 1.60" in elements.text and "3.2 kbit/s" in elements.text
    assert json.loads(re.search(r'id="player">(.*?)</script>', text)[1]) == {"sampleRate": 8000, "seconds": 0.5}
    # one file: nothing is fetched, and the policy forbids it
    addresses = [value for _, attrs in elements.found for name, value in attrs.items() if name in ("src", "href")]
    assert len(addresses) == 9 and all(address.startswith("data:") for address in addresses)
    assert not re.search(r"https?:|url\(|@import", text) and "default-src 'none'" in text

    assert run("talk.wav", "-o", "again.html", "-m", "mono", "--seconds", "0.5", "--entropy", "table") == 0
    assert (tmp_path / "again.html").read_text() == text
    assert run("talk.wav", "-o", "out.html", "-m", "mono") == 2 and "use -f" in capsys.readouterr().err
    assert run("songs/a.wav", "-o", "out.html", "-m", "mono", "-b", "3.2", "--entropy", "none", "-f") == 0
    other = Elements((tmp_path / "out.html").read_text())
    assert len(other.all("audio")) == 2 and "Left out" not in other.text and "Only the first" not in other.text


@needs_libraries
def test_stereo_in_segments(tmp_path):
    assert run("talk.wav", "-o", "out.html", "-m", "stereo", "-b", "3.2,1.6") == 0
    elements = Elements((tmp_path / "out.html").read_text())
    assert "1.5 s, 8000 Hz stereo, coded by stereo" in elements.text
    for audio in elements.all("audio"):
        assert soundfile.info(io.BytesIO(read(audio["src"], "audio/flac"))).channels == 2
    assert [audio["aria-label"] for audio in elements.all("audio")] == ["original", "1.6 kbit/s", "3.2 kbit/s"]


NAMES = ["<script>alert(1)<!--&amp;\"'.wav", "</title><img src=x>", "{{ 7 * 7 }} ünï.wav"]


@needs_libraries
@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    path = folder / name.replace("/", "\N{DIVISION SLASH}")
    try:
        path.write_bytes((tmp_path / "talk.wav").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("no such names here")
    assert run(str(path), "-o", "out.html", "-m", "mono", "-b", "1.6") == 0
    text = (tmp_path / "out.html").read_text()
    assert html.unescape(re.search("<h1>(.*?)</h1>", text)[1]) == path.name
    elements = Elements(text)
    assert len(elements.all("script")) == 2 and len(elements.all("img")) == 3


@needs_libraries
def test_a_name_that_is_no_text():
    wav = notes(0.5, 8000)
    same = Rendition("6 kbit/s", wav, {"kbps": 6.0, "si_snr_aligned": 3.0})
    original = Rendition("original", wav, {"kbps": 128.0})
    text = page.render("a\udcffb.wav", "mono", ["<i>"], [original, same], 8000).decode()
    assert "<h1>a\N{REPLACEMENT CHARACTER}b.wav</h1>" in text and "&lt;i&gt;" in text


@needs_libraries
def test_silence(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(8000), 8000)
    assert run("silence.wav", "-o", "out.html", "-m", "mono") == 0
    table = re.search("<table>.*</table>", (tmp_path / "out.html").read_text(), re.DOTALL)[0]
    assert len(re.findall("<td>", table)) == 9 and not re.search("nan|inf", Elements(table).text)


def test_speech_has_pesq_and_stoi(tmp_path, monkeypatch):
    class Same:
        rates = (6.0,)

        def code(self, wav, rate):
            return Coded(wav, {"none": 6000, "lm": 3000})

    scores = {"visqol": lambda *_: 4.0, "pesq": lambda *_: 4.5, "stoi": lambda *_: None}
    monkeypatch.setattr(measures, "MEASURES", tuple(
        measure._replace(score=scores.get(measure.name, measure.score), module=None) for measure in measures.MEASURES))
    wav = notes(1, 8000)
    original, same = renditions.listen(Same(), wav, 8000, True)
    assert (original.label, original.figures) == ("original", {"kbps": 128.0}) and original.wav is wav
    assert same.label == "6 kbit/s" and same.figures["si_snr_aligned"] > 80
    assert {name: same.figures[name] for name in ("kbps", "kbps_lm", "mel", "pesq")} == pytest.approx(
        {"kbps": 6, "kbps_lm": 3, "mel": 0, "pesq": 4.5}) and "stoi" not in same.figures
    assert "pesq" not in (figures := renditions.listen(Same(), wav, 8000, False)[1].figures) and figures["visqol"] == 4


def test_no_source_is_clipped():
    loud = [Rendition("original", np.float32([[0.5, -0.9]]), {}), Rendition("6 kbit/s", np.float32([[0.1, -1.98]]), {})]
    assert renditions.find_gain(loud) == pytest.approx(0.5)
    assert renditions.find_gain(loud[:1]) == 1.0
    assert renditions.find_gain([Rendition("original", np.zeros((1, 9)), {})]) == 1.0


def test_levels_are_where_the_sound_is():
    rate, t = 24_000, np.arange(24_000) / 24_000
    wav = np.sin(2 * np.pi * 3000 * t) * (t < 0.5)  # a quarter of the band, half of the time
    level = levels(wav[None])
    assert level.shape == (256, -(-rate // 256))
    frequency, _ = np.unravel_index(level.argmax(), level.shape)
    assert abs(frequency / 256 - 0.25) < 0.01
    loud = level[frequency] > level.max() - 20
    assert loud[2:45].all() and not loud[49:].any()
    assert levels(np.tile(wav, 60)[None]).shape == (256, 1200)  # a long one is no wider than that
    assert levels(np.ones((2, 50))).shape == (256, 1)


@needs_libraries
def test_differences_have_their_colours():
    from PIL import Image

    original = np.full((8, 12), -30.0)
    other = original.copy()
    other[:, :4], other[:, 8:] = -70, -10
    image = np.asarray(Image.open(io.BytesIO(pictures.draw_difference(other, original, 0.0))).convert("RGBA"))
    left, middle, right = (image[4, x].astype(int) for x in (1, 6, 10))
    assert left[2] > left[0] + 60 and right[0] > right[2] + 60  # blue: missing; orange: added
    assert left[3] > 200 and right[3] > 200 and middle[3] < 30
    below = pictures.draw_difference(other - 200, original - 100, 0.0)  # both are below the range
    assert np.asarray(Image.open(io.BytesIO(below)).convert("RGBA"))[..., 3].max() < 30


def test_ticks_and_words():
    assert page._ticks(5.7, 6) == [(0.0, "0"), (17.544, "1"), (35.088, "2"), (52.632, "3"), (70.175, "4"),
                                   (87.719, "5")]
    assert page._ticks(12.0, 4)[-1] == (83.333, "10") and page._ticks(30, 6)[-1] == (100, "30")
    assert all(1 < len(page._ticks(end, 6)) <= 7 for end in np.geomspace(0.1, 3600, 99))
    assert [page.clock(x) for x in (0.5, 30, 61, 3599.9)] == ["0.5 s", "30 s", "1:01", "59:59"]
    assert [page._size(x) for x in (612, 8540, 2.5e6)] == ["612 B", "8.5 kB", "2.50 MB"]


@pytest.mark.parametrize("missing, words", [({"jinja2"}, "no jinja2"), ({"matplotlib"}, "no matplotlib"),
                                            ({"jinja2", "matplotlib"}, "no jinja2 and no matplotlib")])
def test_without_libraries(missing, words, capsys, monkeypatch, tmp_path):
    real = importlib.util.find_spec
    there = {"jinja2", "matplotlib"} - missing
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else
                        object() if name in there else real(name, *rest))
    assert run("talk.wav", "-o", "out.html", "-m", "mono") == 2
    assert capsys.readouterr() == ("", f"tinyencodec compare: expected jinja2 and matplotlib, got {words} "
                                       "(pip install 'tinyencodec[compare]')\n")
    assert not (tmp_path / "out.html").exists()


BAD = {
    "no output": (["talk.wav"], "arguments are required: -o"),
    "no input": (["-o", "out.html"], "arguments are required: INPUT"),
    "no file": (["none.wav", "-o", "out.html"], "none.wav: No such file"),
    "no sound": (["mono/config.json", "-o", "out.html"], "config.json: "),
    "a folder": (["songs", "-o", "out.html"], "songs: "),
    "too short": (["short.wav", "-o", "out.html"], r"short.wav: expected at least 0.1 s of sound, got 0.05"),
    "unknown model": (["talk.wav", "-o", "out.html", "-m", "nobody"], "unknown model 'nobody'"),
    "a rate it lacks": (["talk.wav", "-o", "out.html", "-b", "6"], "offers 1.6, 3.2 kbit/s, got 6"),
    "no rates": (["talk.wav", "-o", "out.html", "-b", "fast"], "expected positive numbers"),
    "unknown coder": (["talk.wav", "-o", "out.html", "--entropy", "zip"], "expected some of table,lm,none, got"),
    "no time": (["talk.wav", "-o", "out.html", "--seconds", "0"], "expected 0.1 to 600 seconds, got '0'"),
    "not a time": (["talk.wav", "-o", "out.html", "--seconds", "nan"], "expected 0.1 to 600 seconds"),
    "no folder": (["talk.wav", "-o", "no/out.html"], "output folder does not exist"),
    "a folder for the page": (["talk.wav", "-o", "songs"], "got a folder"),
    "its own input": (["talk.wav", "-o", "talk.wav", "-f"], "expected another file than INPUT"),
}


@needs_libraries
@pytest.mark.parametrize("argv, message", BAD.values(), ids=BAD)
def test_bad_input(argv, message, capsys, tmp_path):
    soundfile.write(tmp_path / "short.wav", notes(0.05, 8000)[0], 8000)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    try:
        code = run(*argv, *([] if "-m" in argv else ["-m", "mono"]))
    except SystemExit as stop:  # argparse's way
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith("tinyencodec compare: ")
    assert re.search(message, err), err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_command_line_stays_quick_to_start():
    code = ("import sys, tinyencodec.cli.main; "
            "sys.exit(', '.join({'matplotlib', 'jinja2', 'scipy', 'torch'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
