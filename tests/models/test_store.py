"""Finding and loading models."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyencodec
from tests.helpers.paths import DATA, ROOT
from tests.helpers.program import run
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
        assert 3 < ratios[0] < ratios[1] - 1  # dB; of sounds it has not learnt from


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


@pytest.fixture
def no_home(monkeypatch):
    """A user without a passwd entry, and without HOME."""
    def refuse(*args):
        raise KeyError("no such uid")

    for name in ("HOME", "TINYENCODEC_HOME", "XDG_CACHE_HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", refuse)
    with pytest.raises(RuntimeError):
        Path.home()


def test_bundled_models_need_no_home(no_home, tmp_path, capsys):
    assert tinyencodec.list_models() == [store.DEFAULT_MODEL, store.HQ_MODEL]
    assert tinyencodec.load_model().name == store.DEFAULT_MODEL
    with pytest.raises(ValueError, match="unknown model 'nobody': expected a folder or one of tiny_24khz, tiny_48khz$"):
        tinyencodec.load_model("nobody")
    source = str(DATA / "speech.flac")
    for argv in ([source, tmp_path / "a.ecdc"], ["info", tmp_path / "a.ecdc"],
                 [tmp_path / "a.ecdc", tmp_path / "a.wav"], ["codes", source, tmp_path / "a.npz"],
                 ["convert", "tiny_24khz", tmp_path / "a"], ["models"]):
        assert run(*argv) == 0, argv
    assert "No models can be fetched: this user has no home" in capsys.readouterr().out
    assert run("fetch", "encodec_24khz") == 2
    assert capsys.readouterr().err == ("tinyencodec fetch: this user has no home for models; set TINYENCODEC_HOME to a "
                                       "folder for them\n")


def test_a_cache_folder_of_its_own_is_enough(no_home, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.home() == tmp_path / "tinyencodec"


_CAPABILITIES = "+dac_override,+dac_read_search"  # to read this Python, wherever it lies


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_as_a_user_without_a_name(tmp_path):
    """As in `docker run -u 12345`."""
    user = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps", _CAPABILITIES,
            "--ambient-caps", _CAPABILITIES]
    nowhere = {name: value for name, value in os.environ.items() if "HOME" not in name}
    coded = tmp_path / "a.ecdc"
    assert run(DATA / "speech.flac", coded) == 0
    for argv, code, said in ((["models"], 0, ""), (["info", coded], 0, ""), ([coded, "-"], 0, ""),
                             (["fetch", "encodec_24khz"], 2, "tinyencodec fetch: this user has no home for models; ")):
        done = subprocess.run([*user, sys.executable, "-m", "tinyencodec", *map(str, argv)], capture_output=True,
                              text=True, errors="replace", env={**nowhere, "PYTHONPATH": str(ROOT)})
        assert done.returncode == code and done.stderr.startswith(said) and done.stderr.count("\n") == (code > 0), done


def test_a_home_that_cannot_be_used(monkeypatch, capsys):
    """Nothing can be made there: whoever does not fetch does not notice."""
    monkeypatch.delenv("TINYENCODEC_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    assert tinyencodec.list_models() == [store.DEFAULT_MODEL, store.HQ_MODEL]
    assert run("models") == 0 and run("fetch", "encodec_24khz") == 2
    assert capsys.readouterr().err == ("tinyencodec fetch: /dev/null/cache/tinyencodec/downloads: Not a directory; set "
                                       "TINYENCODEC_HOME to a folder for models\n")


def test_models_that_may_not_be_looked_at(tmp_path, monkeypatch):
    """As in the home of another user."""
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    stat = os.stat

    def refuse(path, *args, **options):
        if str(path).startswith(str(tmp_path / "models")):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **options)

    monkeypatch.setattr("os.stat", refuse)
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).startswith(str(tmp_path)))
    assert tinyencodec.list_models() == [store.DEFAULT_MODEL, store.HQ_MODEL]
    assert store.find_model(store.DEFAULT_MODEL).is_dir()


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
    code = "import sys, tinyencodec as t; t.load_model(); assert not {'torch', 'scipy', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    assert {"load_model", "compress", "AudioReader", "open_dataset"} <= set(tinyencodec.__all__)
    assert all(hasattr(tinyencodec, name) for name in tinyencodec.__all__)
    assert set(tinyencodec.__all__) <= set(dir(tinyencodec))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tinyencodec.nothing  # noqa: B018
