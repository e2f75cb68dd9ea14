"""Audio files in and out, channels and rates."""

import io
import os
import threading
import warnings

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.audio import pcm
from tinyencodec.audio.files import convert_audio, read_audio, write_audio

RATE = 8000


def tone(samples=4000, channels=1, frequency=440.0, level=0.5):
    t = np.arange(samples) / RATE
    return np.stack([level * np.sin(2 * np.pi * frequency * (c + 1) * t) for c in range(channels)]).astype(np.float32)


# ---- reading -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix, subtype, tolerance", [
    ("wav", "PCM_16", 1e-4), ("wav", "PCM_U8", 1e-2), ("wav", "PCM_24", 1e-6), ("wav", "FLOAT", 0),
    ("wav", "DOUBLE", 0), ("flac", "PCM_16", 1e-4), ("aiff", "PCM_16", 1e-4), ("ogg", "VORBIS", 0.1),
    ("mp3", "MPEG_LAYER_III", 0.1)])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(tmp_path, suffix, subtype, tolerance, channels):
    if suffix.upper() not in soundfile.available_formats():
        pytest.skip(f"this libsndfile does not write {suffix}")
    wav, path = tone(channels=channels), tmp_path / f"a.{suffix}"
    soundfile.write(path, wav.T, RATE, subtype)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        back = read_audio(source)
        assert back.dtype == np.float32 and back.shape == wav.shape and back.flags.c_contiguous
        assert np.abs(back - wav).max() <= tolerance


def test_rate_and_channels_are_converted(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(4001, 2).T, RATE, "FLOAT")
    assert np.array_equal(read_audio(tmp_path / "a.wav", 24_000, 1), convert_audio(tone(4001, 2), RATE, 24_000, 1))
    assert read_audio(tmp_path / "a.wav", 24_000).shape == (2, 12_003)
    assert read_audio(tmp_path / "a.wav", channels=1).shape == (1, 4001)


def test_longer_than_a_block(tmp_path):
    wav = np.random.default_rng(0).uniform(-1, 1, (2, 70_000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", wav.T, RATE, "FLOAT")
    assert np.array_equal(read_audio(tmp_path / "a.wav"), wav)


def test_named_pipe(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone().T, RATE)
    os.mkfifo(tmp_path / "pipe")
    feeder = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "a.flac").read_bytes()))
    feeder.start()
    assert np.array_equal(read_audio(tmp_path / "pipe"), read_audio(tmp_path / "a.flac"))
    feeder.join()


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio at all", bytes(1000), b"ID3", b"fLaC" + bytes(100),
                                     b"OggS" + bytes(100), b"ECDC" + bytes(100)])
@pytest.mark.parametrize("suffix", ["wav", "mp3", "raw", "txt"])
def test_not_audio(tmp_path, content, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.\w+: expected .*, got ") as caught:
        read_audio(path)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:audio. ends:UserWarning", "ignore:audio. the end is missing:UserWarning")
def test_truncated_files_do_not_crash(tmp_path):
    for suffix in ("wav", "flac", "ogg"):
        soundfile.write(tmp_path / f"a.{suffix}", tone().T, RATE)
        data = (tmp_path / f"a.{suffix}").read_bytes()
        for size in range(0, len(data), 97):
            try:
                assert read_audio(io.BytesIO(data[:size])).shape[1] <= 4000
            except ValueError:
                pass


def test_what_is_missing_is_a_warning(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(channels=2).T, RATE)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:-8000])
    with pytest.warns(UserWarning) as told:
        assert read_audio(tmp_path / "a.wav", 24_000, 1).shape == (1, 6000)
    assert [str(warning.message) for warning in told] == [f"{tmp_path / 'a.wav'}: ends 0.2 s before its header says"]
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(io.BytesIO(data))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(IsADirectoryError):
        read_audio(tmp_path)


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(ValueError, match="a.wav: expected at least one sample, got none"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_sample_that_is_not_finite(tmp_path, value):
    wav = tone(channels=2)
    wav[1, 1234] = value
    soundfile.write(tmp_path / "a.wav", wav.T, RATE, "FLOAT")
    with pytest.raises(ValueError, match=rf"a.wav: .*finite samples, got {value} in channel 1 at 0.1542 s"):
        read_audio(tmp_path / "a.wav", 24_000, 1)


# ---- channels and rates ------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 20))
def test_downmix(channels, samples):
    wav = np.random.default_rng(channels).uniform(-1, 1, (channels, samples)).astype(np.float32)
    mono, stereo = convert_audio(wav, RATE, RATE, 1), convert_audio(wav, RATE, RATE, 2)
    assert mono.shape == (1, samples) and stereo.shape == (2, samples) and mono.dtype == stereo.dtype == np.float32
    assert np.allclose(mono[0], wav.mean(axis=0), atol=1e-6)
    assert np.allclose(stereo.mean(axis=0), mono[0], atol=1e-6) and np.abs(stereo).max() <= 1 + 1e-6
    if channels <= 2:
        assert np.array_equal(stereo, np.broadcast_to(wav, (2, samples)))


def test_surround_to_stereo():
    wav = np.array([[0.5], [-0.25], [0.75], [0.25]], np.float32)
    assert np.allclose(convert_audio(wav, RATE, RATE, 2), [[0.5], [0.125]])  # (own + (0.75 + 0.25) / 2) * 2 / 4


def test_the_result_is_no_view():
    wav = tone(channels=2)
    for channels in (1, 2):
        convert_audio(wav, RATE, RATE, channels)[:] = 9
    assert np.array_equal(wav, tone(channels=2))


@given(st.integers(1, 500), st.sampled_from([(8000, 24_000), (44_100, 24_000), (44_101, 24_000), (48_000, 32_000),
                                             (16_000, 48_000), (7, 3), (1, 1000)]))
def test_resampled_length(samples, rates):
    sr_in, sr_out = rates
    assert convert_audio(np.ones((2, samples)), sr_in, sr_out, 1).shape == (1, -(-samples * sr_out // sr_in))


@pytest.mark.parametrize("sr_out", [24_000, 48_000, 11_025, 6000])
def test_a_tone_stays_the_tone(sr_out):
    wav = convert_audio(tone(8000), RATE, sr_out, 1)[0]
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(sr_out) / sr_out)
    assert np.abs(wav - expected)[sr_out // 10:-sr_out // 10].max() < 5e-3  # away from the ends, where silence begins


@pytest.mark.parametrize("rate", [0, -8000, 1.5, 8000.0, True, None, 10**7, 2**31, np.nan])
def test_bad_rates(rate, tmp_path):
    for rates in ((rate, 8000), (8000, rate)):
        with pytest.raises(ValueError, match="sample rate: expected an integer from 1 to 1000000 Hz, got"):
            convert_audio(np.full((1, 5), np.nan), *rates, 1)
    with pytest.raises(ValueError, match="sample rate"):
        write_audio(tmp_path / "a.wav", tone(), rate)
    assert list(tmp_path.iterdir()) == []


def test_absurd_ratio():
    with pytest.raises(ValueError, match="ratio of at most 1000, got 10 Hz to 24000 Hz"):
        convert_audio(tone(), 10, 24_000, 1)


@pytest.mark.parametrize("channels", [0, 3, -1, None, "2"])
def test_bad_channels(channels):
    with pytest.raises(ValueError, match="channels: expected 1, 2 or the input's 4, got"):
        convert_audio(tone(channels=4), RATE, RATE, channels)


@pytest.mark.parametrize("wav, message", [
    (np.zeros(5), r"got \[5\]"), (np.zeros((1, 0)), r"got \[1, 0\]"), (np.zeros((0, 5)), r"got \[0, 5\]"),
    (np.zeros((1, 5), np.int16), "floating-point samples, got int16"), (np.zeros((1, 5), complex), "got complex"),
    (np.full((1, 5), 1e300), "got inf in channel 0 at 0.0000 s")])
def test_bad_signals(wav, message, tmp_path):
    with pytest.raises(ValueError, match=f"audio: expected .*{message}"):
        convert_audio(wav, RATE, RATE, 1)
    with pytest.raises(ValueError, match=f"audio: expected .*{message}"):
        write_audio(tmp_path / "a.wav", wav, RATE)
    assert list(tmp_path.iterdir()) == []


# ---- writing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, file_format, tolerance", [
    ("a.wav", "WAV", 2**-16), ("A.WAV", "WAV", 2**-16), ("a", "WAV", 2**-16), ("a.flac", "FLAC", 2**-16),
    ("a.ogg", "OGG", 0.1)])
def test_write_and_read_back(tmp_path, name, file_format, tolerance):
    wav = tone(70_000, 2)
    write_audio(tmp_path / name, wav, RATE)
    info = soundfile.info(tmp_path / name)
    assert (info.format, info.samplerate, info.channels) == (file_format, RATE, 2)
    assert info.subtype == ("VORBIS" if file_format == "OGG" else "PCM_16")
    assert np.abs(read_audio(tmp_path / name) - wav).max() <= tolerance
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_loud_signals_are_clipped_or_rescaled(tmp_path):
    wav = np.array([[0.5, -2.0, 1.0]], np.float32)
    write_audio(tmp_path / "a.wav", wav, RATE)
    assert np.allclose(read_audio(tmp_path / "a.wav"), [[0.5, -0.99, 0.99]], atol=2**-15)
    write_audio(tmp_path / "a.wav", wav, RATE, rescale=True)
    assert np.allclose(read_audio(tmp_path / "a.wav"), wav * 0.99 / 2, atol=2**-15)
    quiet = np.array([[0.5, -0.25, 0.0]], np.float32)
    write_audio(tmp_path / "a.wav", quiet, RATE, rescale=True)
    assert np.array_equal(read_audio(tmp_path / "a.wav"), quiet)


def test_silence_can_be_rescaled(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((1, 9)), RATE, rescale=True)
    assert np.array_equal(read_audio(tmp_path / "a.wav"), np.zeros((1, 9)))


def test_unwritable_kinds(tmp_path):
    with pytest.raises(ValueError, match=r"a.txt: expected a name ending in .wav, .flac, .ogg, got .txt"):
        write_audio(tmp_path / "a.txt", tone(), RATE)
    with pytest.raises(ValueError, match="a.flac: expected a signal that FLAC can hold, got 9 channels at 8000 Hz"):
        write_audio(tmp_path / "a.flac", tone(channels=9), RATE)
    assert list(tmp_path.iterdir()) == []


def test_wav_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(pcm, "MAX_WAV_DATA", 100)
    with pytest.raises(ValueError, match="at most 100 bytes for a WAV file, got 8000; use .flac"):
        write_audio(tmp_path / "a.wav", tone(), RATE)


def test_write_audio_keeps_a_file_without_force(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        write_audio(tmp_path / "a.wav", tone(), RATE, force=False)
    assert (tmp_path / "a.wav").read_bytes() == b"precious"


def test_write_to_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_audio(tmp_path / "pipe", tone(), RATE, force=False)
    reader.join()
    assert np.abs(read_audio(io.BytesIO(received[0])) - tone()).max() <= 2**-16
