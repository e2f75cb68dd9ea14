"""Finding and loading models."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import tinyencodec
from tests.helpers.paths import DATA
from tinyencodec.models import store


def test_the_default_is_bundled():
    model = tinyencodec.load_model()
    assert (model.name, model.sample_rate, model.channels, model.hop_length, model.frame_rate) == \
        (store.DEFAULT_MODEL, 24_000, 1, 320, 75)
    assert model.n_codebooks == model.codebooks_for(model.bandwidths[-1])
    assert store.DEFAULT_MODEL in tinyencodec.list_models()


def test_the_stereo_model_is_bundled():
    """A guitar on the left, somebody talking on the right: both come back where they were, better at a higher rate."""
    model = tinyencodec.load_model(store.HQ_MODEL)
    assert (model.sample_rate, model.channels, model.hop_length, model.frame_rate) == (48_000, 2, 320, 150)
    assert store.HQ_MODEL in tinyencodec.list_models() and model.bandwidths == (3.0, 6.0, 12.0)
    sounds = [tinyencodec.read_audio(DATA / name, 48_000, 1)[0, 48_000:192_000]
              for name in ("guitar.flac", "speech.flac")]
    wav, ratios = np.stack(sounds), []
    for bandwidth in model.bandwidths:
        back, rate = tinyencodec.decompress(tinyencodec.compress(model, wav, bandwidth))
        assert back.shape == wav.shape and rate == 48_000
        ratios.append(10 * np.log10(np.square(wav).sum(axis=1) / np.square(wav - back).sum(axis=1)))
    assert np.all(ratios[0] < ratios[1]) and np.all(ratios[1] < ratios[2]) and np.all(ratios[2] > 2)  # dB


def test_a_recording_comes_back():
    """A real recording, a few kilobits: the decoded waveform follows the original, better at a higher rate."""
    model = tinyencodec.load_model()
    for name in ("speech.flac", "guitar.flac"):
        wav = tinyencodec.read_audio(DATA / name, model.sample_rate, model.channels)
        ratios = []
        for bandwidth in (1.5, 6.0):
            data = tinyencodec.compress(model, wav, bandwidth)
            assert len(data) * 8 / (wav.shape[1] / model.sample_rate) < bandwidth * 1000 * 1.01 + 600
            back, rate = tinyencodec.decompress(data)
            assert back.shape == wav.shape and rate == model.sample_rate
            ratios.append(10 * np.log10(np.square(wav).sum() / np.square(wav - back).sum()))
        assert 4 < ratios[0] < ratios[1] - 1  # dB


def test_a_folder_is_a_model_too(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(store.find_model(store.DEFAULT_MODEL), folder)
    assert tinyencodec.load_model(folder).name == "mine"
    assert tinyencodec.load_model(str(folder)).name == "mine"


def test_home_holds_more_models(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="unknown model 'mine': expected a folder or one of .*" + store.DEFAULT_MODEL):
        tinyencodec.load_model("mine")
    shutil.copytree(store.find_model(store.DEFAULT_MODEL), tmp_path / "models" / "mine")
    assert tinyencodec.load_model("mine").name == "mine"
    assert tinyencodec.list_models() == [*tinyencodec.list_models()[:-1], "mine"]


def test_broken_folders(tmp_path):
    with pytest.raises(ValueError, match="found no config.json"):
        tinyencodec.load_model(tmp_path)
    bundled = store.find_model(store.DEFAULT_MODEL)
    shutil.copy(bundled / "config.json", tmp_path)
    with pytest.raises(ValueError, match="expected readable config.json and model.safetensors"):
        tinyencodec.load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((bundled / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ValueError, match="model.safetensors"):
        tinyencodec.load_model(tmp_path)


@pytest.mark.parametrize("name", ["../tiny_24khz", "..", ".", "", "a/b", "tiny_24khz\0", "x" * 300])
def test_names_are_no_paths_into_the_store(name):
    with pytest.raises(ValueError):
        store.load_model(name)


def test_importing_is_light():
    """`import tinyencodec` pulls in none of the slow packages; torch is never imported."""
    code = "import sys, tinyencodec; print([m for m in ('numpy', 'numba', 'scipy', 'soundfile') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
    code = "import sys, tinyencodec; tinyencodec.load_model(); assert not {'torch', 'scipy.signal'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    assert {"load_model", "compress", "AudioReader", "open_dataset"} <= set(tinyencodec.__all__)
    assert all(hasattr(tinyencodec, name) for name in tinyencodec.__all__)
    assert set(tinyencodec.__all__) <= set(dir(tinyencodec))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tinyencodec.nothing  # noqa: B018
