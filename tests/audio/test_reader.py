"""Sound in blocks: the same as in one piece, from files and pipes, with the same complaints."""

import io
import os
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest
import soundfile

from tests.helpers.paths import ROOT
from tests.helpers.sounds import Pipe
from tinyencodec.audio import library, sources
from tinyencodec.audio.files import read_audio
from tinyencodec.audio.pcm import Pcm, encode
from tinyencodec.audio.reader import AudioReader

RATE = 8000


def noise(channels=1, samples=5000):
    return np.random.default_rng(channels).uniform(-1, 1, (channels, samples)).astype(np.float32)


def stored(wav, file_format="WAV", subtype=None):
    fo = io.BytesIO()
    soundfile.write(fo, wav.T, RATE, subtype, format=file_format)
    return fo.getvalue()


def small_blocks(monkeypatch):
    for module in (library, sources):
        monkeypatch.setattr(module, "BLOCK", 1000)
    monkeypatch.setattr(library, "_READ", 500)


def joined(reader):
    with reader:
        blocks = list(reader)
    assert all(block.dtype == np.float32 and block.shape[1] for block in blocks)
    return np.concatenate(blocks, axis=1)


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
@pytest.mark.parametrize("rate, channels", [(None, None), (24_000, 1), (11_025, 2)])
def test_files_and_pipes_give_the_same(tmp_path, monkeypatch, file_format, rate, channels):
    if file_format not in soundfile.available_formats():
        pytest.skip(f"this libsndfile does not write {file_format}")
    small_blocks(monkeypatch)
    data = stored(noise(2), file_format)
    (tmp_path / "a").write_bytes(data)
    whole = read_audio(io.BytesIO(data), rate, channels)
    for file in (tmp_path / "a", io.BytesIO(data), Pipe(data)):
        reader = AudioReader(file, rate, channels)
        assert (reader.sample_rate, reader.channels) == (rate or RATE, channels or 2)
        assert reader.announced == whole.shape[1]
        plain = file_format in ("WAV", "AIFF")  # not copied to a file, so that nobody knows what is behind them
        assert reader.length == (None if plain and isinstance(file, Pipe) else whole.shape[1])
        assert np.array_equal(joined(reader), whole)
    later = io.BytesIO(b"before" + data)
    later.seek(6)
    assert np.array_equal(joined(AudioReader(later, rate, channels)), whole)


@pytest.mark.parametrize("encoding", ["s16le", "f32le"])
def test_raw(tmp_path, encoding):
    wav = (np.round(noise(2) * 32000) / 32768).astype(np.float32)
    data, pcm = encode(wav, encoding), Pcm(encoding, RATE, 2)
    (tmp_path / "a.wav").write_bytes(data)  # whatever the name
    for file, length in ((tmp_path / "a.wav", 5000), (io.BytesIO(data), 5000), (Pipe(data), None)):
        reader = AudioReader(file, raw=pcm)
        assert reader.length == length and np.array_equal(joined(reader), wav)
    assert AudioReader(tmp_path / "a.wav", 24_000, raw=pcm).length == 15_000
    for bad in (Pcm(encoding, 0, 2), Pcm("s17le", RATE, 1), Pcm(encoding, RATE, 0)):
        with pytest.raises(ValueError, match="a.wav: .*expected .*, got"):
            AudioReader(tmp_path / "a.wav", raw=bad)


def test_what_has_come_is_there_at_once():
    reading, writing = os.pipe()
    data = stored(noise())
    with open(reading, "rb", buffering=0) as fo, open(writing, "wb", buffering=0) as feeder:
        feeder.write(data[:1044])
        blocks = iter(AudioReader(fo))
        assert next(blocks).shape == (1, 500)
        feeder.write(data[1044:1051])
        assert next(blocks).shape == (1, 3)
        feeder.write(data[1051:1052])
        assert next(blocks).shape == (1, 1)


def test_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(stored(noise())))
    feeder.start()
    assert np.array_equal(joined(AudioReader(tmp_path / "pipe")), read_audio(io.BytesIO(stored(noise()))))
    feeder.join()


@pytest.mark.parametrize("make, message", [
    (lambda: b"", "expected an audio file, got nothing"), (lambda: b"RIFF", "expected an audio file"),
    (lambda: b"no audio" * 99, "expected an audio file, got something unreadable"),
    (lambda: stored(noise(samples=0)), "expected at least one sample, got none"),
    (lambda: stored(np.where(np.arange(9) == 4, np.nan, noise(2, 9)), subtype="FLOAT"), "got nan .* at 0.0005 s")])
def test_complaints_about_pipes(make, message):
    with pytest.raises((ValueError, EOFError), match=f"^audio: .*{message}"):
        joined(AudioReader(Pipe(make())))


def test_sample_that_is_not_finite_far_from_the_start(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    wav = noise(2)
    wav[1, 4000] = np.inf
    soundfile.write(tmp_path / "a.wav", wav.T, RATE, "FLOAT")
    with pytest.raises(ValueError, match="a.wav: audio: expected finite samples, got inf in channel 1 at 0.5000 s"):
        joined(AudioReader(tmp_path / "a.wav", 24_000, 1))


def test_damaged_in_the_middle(tmp_path):
    data = stored(noise(samples=50_000), "FLAC")
    (tmp_path / "a.flac").write_bytes(data[:30_000] + bytes(3000) + data[33_000:])
    with pytest.raises(ValueError, match="a.flac: expected an audio file, got something unreadable"):
        joined(AudioReader(tmp_path / "a.flac"))


def test_files_are_closed(tmp_path, monkeypatch):
    made = []

    def temporary_file(**options):
        made.append(original(**options))
        return made[-1]

    original = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    given = Pipe(stored(noise(), "FLAC"))
    joined(AudioReader(given))
    with pytest.raises(ValueError):
        AudioReader(Pipe(b"no audio"))
    assert [copy.closed for copy in made] == [True, True] and not given.closed


def test_nothing_heavy_is_imported_early():
    script = ("import sys, tinyencodec.cli.main\n"
              "from tinyencodec.audio import reader, resample, writer\n"
              "assert not {'soundfile', 'scipy', 'numba'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
