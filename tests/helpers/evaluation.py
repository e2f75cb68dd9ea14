"""Sounds, models and a corpus for the tests of `evaluate` and `compare`."""

import numpy as np
import pytest
import soundfile

from tests.helpers.models import save_model
from tinyencodec.codec.config import CodecConfig
from tinyencodec.train.corpus import CorpusWriter
from tinyencodec.train.packed import Entry

SMALL = {"num_filters": 2, "hidden_size": 4, "codebook_size": 16, "upsampling_ratios": (8, 5), "num_lstm_layers": 1,
         "sampling_rate": 8000, "target_bandwidths": (1.6, 3.2)}
CONFIGS = {"mono": CodecConfig(**SMALL),
           "stereo": CodecConfig(**SMALL, audio_channels=2, normalize=True, chunk_length_s=0.2, overlap=0.05,
                                 norm_type="time_group_norm", use_causal_conv=False)}


def notes(seconds, rate, channels=1):
    """Harmonic notes that change, a little noise: [C, T]."""
    t = np.arange(int(seconds * rate)) / rate
    pitch = 180 * 2 ** (np.floor(4 * t) % 5 / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wav = sum(np.sin(h * phase) / h for h in range(1, 9)) * (1.1 + np.sin(8 * np.pi * t)) * 0.1
    sides = np.random.default_rng(0).standard_normal((channels, len(t)))
    return (wav + 0.003 * sides).astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with two models and some sound."""
    for name, config in CONFIGS.items():
        save_model(tmp_path / name, config)
    (tmp_path / "songs").mkdir()
    soundfile.write(tmp_path / "songs/a.wav", notes(2.5, 8000)[0], 8000)
    soundfile.write(tmp_path / "talk.wav", notes(1.5, 16_000)[0], 16_000)
    monkeypatch.chdir(tmp_path)


def write_corpus(folder, rate=8000):
    """A corpus of one test and one training sound of speech."""
    writer = CorpusWriter(folder, rate, 1)
    for split, hertz in (("test", 440), ("train", 1000)):
        wav = np.round(20_000 * np.sin(2 * np.pi * hertz * np.arange(4 * rate) / rate)).astype("<i2")[:, None]
        writer.add(wav, Entry(split, "speech", 0, 0, 0.0, rate, 1, rate, 1.0, "package", "free", f"{hertz}.wav"))
    writer.finish()
    return folder
