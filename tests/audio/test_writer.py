"""Sound out in blocks: the same file as in one piece; into pipes; loud sounds."""

import io
import os

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.signals import cut
from tinyencodec.audio import pcm
from tinyencodec.audio.files import read_audio, write_audio
from tinyencodec.audio.writer import AudioWriter
from tinyencodec.system.files import atomic_write

RATE = 8000


class Pipe(io.BytesIO):
    """Cannot seek."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation("seek")

    tell = seek


def noise(channels=1, samples=3000, level=1.2):
    return np.random.default_rng(channels).uniform(-level, level, (channels, samples)).astype(np.float32)


def written(fo, kind, blocks, **options):
    with AudioWriter(fo, kind, RATE, len(blocks[0]), **options) as writer:
        for block in blocks:
            writer.write(block)
    return fo.getvalue()


@given(st.sampled_from(["WAV", "FLAC", "s16le", "f32le"]), st.integers(1, 2), st.booleans(),
       st.lists(st.integers(0, 1000), max_size=5))
def test_blocks_make_the_same_file(kind, channels, rescale, parts):
    wav = noise(channels)
    whole = written(io.BytesIO(), kind, [wav], rescale=rescale)
    for length in (None, 3000):
        assert written(io.BytesIO(), kind, cut(wav, parts), rescale=rescale, length=length) == whole
        piped = written(Pipe(), kind, cut(wav, parts), rescale=rescale, length=length)
        if kind == "WAV" and length is None:
            assert piped == pcm.wav_header(RATE, channels, None) + whole[44:]
            assert np.array_equal(read_audio(Pipe(piped)), read_audio(io.BytesIO(whole)))
        else:
            assert piped == whole


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_equals_that_of_libsndfile(channels):
    wav, expected = noise(channels), io.BytesIO()
    soundfile.write(expected, np.rint(np.clip(wav, -0.99, 0.99).T * 32768).astype(np.int16), RATE, format="WAV")
    assert written(io.BytesIO(), "WAV", [wav]) == expected.getvalue()


def test_vorbis(tmp_path):
    for fo in (io.BytesIO(), Pipe()):
        data = written(fo, "OGG", cut(noise(2, 100_000, 0.5), [70_000, 0, 5]))
        assert soundfile.info(io.BytesIO(data)).frames == 100_000


def test_each_block_goes_out_at_once():
    class Flushed(Pipe):
        size = 0

        def flush(self):
            self.size = len(self.getvalue())

    for kind, header in (("WAV", 44), ("s16le", 0)):
        fo = Flushed()
        with AudioWriter(fo, kind, RATE, 1) as writer:
            for i in range(1, 5):
                writer.write(noise(samples=100))
                assert fo.size == header + 200 * i


def test_peak_and_clipping():
    with AudioWriter(io.BytesIO(), "WAV", RATE, 1) as writer:
        writer.write(np.array([[0.5, -0.75]]))
        assert (writer.peak, writer.clipped) == (0.75, False)
        writer.write(np.array([[1.5]]))
        assert (writer.peak, writer.clipped) == (1.5, True)
    for kind, rescale in (("WAV", True), ("f32le", False)):
        fo = io.BytesIO()
        with AudioWriter(fo, kind, RATE, 1, rescale=rescale) as writer:
            writer.write(np.array([[1.5]]))
        assert not writer.clipped
    assert np.frombuffer(fo.getvalue(), "<f4") == 1.5  # floats can hold it


def test_rescaled_sound_waits_on_the_disk_of_the_output(tmp_path, monkeypatch):
    folders = []
    monkeypatch.setattr("tempfile.TemporaryFile", lambda dir=None: folders.append(dir) or io.BytesIO())
    write_audio(tmp_path / "a.wav", noise(), RATE, rescale=True)
    written(Pipe(), "FLAC", [noise()])
    assert folders == [str(tmp_path), None]


def test_wav_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(pcm, "MAX_WAV_DATA", 100)
    with pytest.raises(ValueError, match="at most 100 bytes for a WAV file, got 102; use .flac"):
        AudioWriter(io.BytesIO(), "WAV", RATE, 1, length=51)  # before the work
    with pytest.raises(ValueError, match="at most 100 bytes for a WAV file, got 102; use .flac"):
        written(io.BytesIO(), "WAV", cut(noise(samples=51), [50]))
    assert written(Pipe(), "WAV", [noise(samples=51)], length=51)[40:44] == b"\xff" * 4  # endless in a pipe


def test_wrong_use():
    with pytest.raises(ValueError, match="expected 9 samples as announced, got 8"):
        written(Pipe(), "WAV", [noise(samples=8)], length=9)
    with pytest.raises(ValueError, match="expected 1 channels, got 2"):
        written(io.BytesIO(), "WAV", [noise(1), noise(2)])
    with pytest.raises(ValueError, match="finite samples, got nan in channel 0 at 0.0010 s"):
        written(io.BytesIO(), "WAV", [noise(samples=8), np.full((1, 1), np.nan)])


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "f32le"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk(kind, capfd):
    with pytest.raises(OSError, match="No space left"):
        with atomic_write("/dev/full") as fo, AudioWriter(fo, kind, RATE, 1) as writer:
            writer.write(noise(samples=200_000))
            fo.flush()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_error_between_two_blocks_leaves_nothing(tmp_path, suffix):
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as fo:
        with AudioWriter(fo, suffix.upper(), RATE, 1, rescale=True) as writer:
            writer.write(noise())
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
