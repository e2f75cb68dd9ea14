"""`tutorials/codec_in_one_file.py` beside the package: the same codes, bytes and sound; and its command line."""

import ast
import importlib.util
import subprocess
import sys
import wave

import numpy as np
import pytest

import tinyencodec
from tests.helpers import vectors
from tests.helpers.paths import GOLDEN, ROOT

PATH = ROOT / "tutorials" / "codec_in_one_file.py"
PLAIN = [name for name, (which, options) in vectors.FILES.items() if options in ({}, {"padded": True})]


def _load():
    spec = importlib.util.spec_from_file_location("codec_in_one_file", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


one = _load()


def folder_of(model):
    return GOLDEN / model if (GOLDEN / model).is_dir() else one.WEIGHTS / model


def run(*args):
    return subprocess.run([sys.executable, PATH, *map(str, args)], capture_output=True, text=True, timeout=120)


def refusal(monkeypatch, *args):
    """The one line with which the program ends."""
    monkeypatch.setattr(sys, "argv", [str(PATH), *map(str, args)])
    with pytest.raises(SystemExit) as ended:
        one.main()
    assert isinstance(ended.value.code, str) and "\n" not in ended.value.code  # so the exit status is 1
    return ended.value.code


def test_one_file_of_at_most_400_lines_with_nothing_of_the_package():
    text = PATH.read_text()
    assert len(text.splitlines()) <= 400
    imported = {(node.module if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0]
                for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in node.names}
    assert imported - set(sys.stdlib_module_names) == {"numpy", "safetensors"}


def test_its_sections_are_those_of_the_specification():
    import re
    sections = re.findall(r"^# ---- (\d+ .*?) -*$", PATH.read_text(), flags=re.M)
    specified = re.findall(r"^## (\d+ .*)$", (ROOT / "tutorials" / "format.md").read_text(), flags=re.M)
    assert len(sections) == 8 and sections == specified[:8]


@pytest.mark.parametrize("name", PLAIN)
def test_vectors_both_ways(name):
    expected = vectors.expected()
    signal = expected["signals"][expected["files"][f"{name}.ecdc"]]
    data = (vectors.FOLDER / f"{name}.ecdc").read_bytes()
    header, payload = one.read_header(data)
    model = one.load_model(one.WEIGHTS / header.model)
    segments = one.read_payload(model.config, header, payload)
    assert [segment.codes.tolist() for segment in segments] == signal["codes"]
    assert [segment.scale for segment in segments] == signal["scales"]
    ours, theirs = one.decode(model, segments, header.length), tinyencodec.decompress(data)[0]
    assert ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-4

    coded = one.encode(model, vectors.signal(vectors.FILES[name][0]), vectors.SIGNALS[vectors.FILES[name][0]][1])
    assert [segment.codes.tolist() for segment in coded] == signal["codes"]
    if name in vectors.SIGNALS:
        assert one.header_bytes(header) + one.payload_bytes(model.config, coded) == data


@pytest.mark.parametrize("name", ["causal", "dilated", "identity_skip", "segments", "uneven", "zero_padded"])
def test_models_of_other_shapes(name):
    """Sums are rounded in another order, so a few codes may differ where two entries are nearly as near."""
    theirs, ours = tinyencodec.load_model(folder_of(name)), one.load_model(folder_of(name))
    wav = 0.3 * np.random.default_rng(0).standard_normal((theirs.channels, 7001)).astype(np.float32)
    rate = theirs.bandwidths[-1]
    frames, segments = theirs.encode(wav, rate), one.encode(ours, wav, rate)
    same = [np.mean(a.codes == b.codes) for a, b in zip(frames, segments, strict=True)]
    assert min(same) > 0.98
    sound = one.decode(ours, [one.Segment(*frame) for frame in frames], wav.shape[1])
    expected = theirs.decode(frames, wav.shape[1])
    assert np.abs(sound - expected).max() < 1e-4 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name, channels", [("mono", 1), ("mono", 2), ("stereo", 2), ("stereo_short", 1)])
def test_command_line(tmp_path, name, channels):
    """WAV to `.ecdc` and back; a file with the other number of channels is mixed, or doubled."""
    model, rate, length = vectors.SIGNALS[name]
    hertz = 24_000 if model == "tiny_24khz" else 48_000
    wav = np.resize(vectors.signal(name), (channels, length))
    one.write_wav(tmp_path / "in.wav", wav, hertz)
    done = run(tmp_path / "in.wav", tmp_path / "a.ecdc", "--bandwidth", rate)
    assert done.returncode == 0 and not done.stderr, done.stderr
    sound, got_rate = tinyencodec.decompress((tmp_path / "a.ecdc").read_bytes())
    done = run(tmp_path / "a.ecdc", tmp_path / "out.wav")
    assert done.returncode == 0, done.stderr
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert file.getparams()[:4] == (len(sound), 2, hertz, length) and got_rate == hertz
    back, _ = one.read_wav(tmp_path / "out.wav")
    assert np.abs(back - np.clip(sound, -1, 1)).max() < 1e-4


@pytest.mark.parametrize("name, say", [
    ("mono_stream", "expected plain version 0"), ("mono_blocks", "expected .ecdc version 0, got 1"),
    ("mono_lm", "expected .ecdc version 0, got 1")])
def test_other_forms_are_refused(tmp_path, monkeypatch, name, say):
    assert say in refusal(monkeypatch, vectors.FOLDER / f"{name}.ecdc", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize("change, say", [
    (lambda data: b"", "begins with b'ECDC'"), (lambda data: b"RIFF" + data[4:], "begins with b'ECDC'"),
    (lambda data: data[:7], "a header of 9 bytes, got 7"), (lambda data: data[:40], "a header of "),
    (lambda data: data[:-1], "the file ends early"), (lambda data: data.replace(b'"al"', b'"aL"'), "expected JSON"),
    (lambda data: data.replace(b"12345", b"-2345"), "expected al to be a positive integer"),
    (lambda data: data.replace(b"12345", b"9e300"), "expected al to be a positive integer"),
    (lambda data: data.replace(b'"nc": 8', b'"nc":99'), "expected at most 16 codebooks"),
    (lambda data: data.replace(b"tiny_24khz", b"../24khz.."), "expected the plain name"),
    (lambda data: data.replace(b"tiny_24khz", b"tiny_25khz"), "tiny_25khz"),
    (lambda data: data.replace(b"false", b"true "), "expected plain version 0")])
def test_damaged_files_are_refused_in_one_line(tmp_path, monkeypatch, change, say):
    (tmp_path / "bad.ecdc").write_bytes(change((vectors.FOLDER / "mono.ecdc").read_bytes()))
    assert say in refusal(monkeypatch, tmp_path / "bad.ecdc", tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_sound_that_does_not_fit_is_refused_in_one_line(tmp_path, monkeypatch):
    source, target = tmp_path / "in.wav", tmp_path / "out.ecdc"
    one.write_wav(source, np.zeros((1, 100)), 44_100)
    assert "expected 24000 Hz for tiny_24khz, got 44100 Hz" in refusal(monkeypatch, source, target)
    one.write_wav(source, np.zeros((1, 100)), 24_000)
    assert "expected a bandwidth of [1.5, 3.0, 6.0, 12.0] kbit/s, got 7" in refusal(monkeypatch, source, target,
                                                                                  "--bandwidth", 7)
    one.write_wav(source, np.zeros((1, 0)), 24_000)
    assert "0 samples" in refusal(monkeypatch, source, target)
    source.write_bytes(b"not a sound")
    assert "in.wav: " in refusal(monkeypatch, source, target)
    assert not target.exists()
