"""`tinyencodec models` and `tinyencodec fetch`: what they print, on which stream, and their exit codes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers import small_official as small
from tests.helpers.program import run
from tinyencodec.models import store
from tinyencodec.models.convert import convert
from tinyencodec.models.official import OFFICIAL


@pytest.fixture
def world(tmp_path, monkeypatch):
    with small.served(tmp_path, monkeypatch) as world:
        monkeypatch.chdir(world.away)
        yield world


@pytest.fixture
def printed(capsys):
    """What a command prints that succeeds."""
    def call(*args):
        assert run(*args) == 0, capsys.readouterr()
        return capsys.readouterr().out
    return call


def table(text):
    lines = text.split("\n\n")[0].splitlines()
    assert lines[0].split()[:3] == ["NAME", "WHERE", "SIZE"]
    return {line.split()[0]: line.split()[1:] for line in lines[1:]}


def test_models(world, printed):
    text = printed("models")
    rows = table(text)
    assert list(rows) == [store.DEFAULT_MODEL, store.HQ_MODEL, *OFFICIAL]
    for name in (store.DEFAULT_MODEL, store.HQ_MODEL):
        assert rows[name][0] == "bundled" and rows[name][-3:] == ["tables", "LM", "MIT"]
    assert rows["encodec_24khz"] == "fetchable 155 MB 24 kHz mono 1.5 3 6 12 24 LM not stated (code: MIT)".split()
    assert rows["encodec_48khz"][4:6] == ["kHz", "stereo"]
    assert f"{store.DEFAULT_MODEL} is used where no model is named." in text
    assert "`tinyencodec fetch NAME`" in text and str(world.folder.parent) in text
    assert max(map(len, text.split("\n\n")[0].splitlines())) <= 108


def test_models_as_json(world, printed):
    printed("fetch", "small", "--no-lm")
    models = {each["name"]: each for each in json.loads(printed("models", "--json"))}
    bundled, fetched = models[store.DEFAULT_MODEL], models["small"]
    assert bundled["default"] and bundled["where"] == "bundled" and bundled["tables"] and bundled["language_model"]
    assert bundled["bytes"] == sum(path.stat().st_size for path in Path(bundled["path"]).rglob("*") if path.is_file())
    assert fetched["where"] == "fetched" and fetched["licence"] == "for tests" and fetched["path"] == str(world.folder)
    assert not fetched["language_model"] and not fetched["tables"]
    assert models["encodec_48khz"] == {
        "name": "encodec_48khz", "where": "fetchable", "default": False, "path": None,
        "bytes": sum(file.size for file in OFFICIAL["encodec_48khz"].files.values()), "sample_rate": 48_000,
        "channels": 2, "bandwidths": [3.0, 6.0, 12.0, 24.0], "codebooks": 16, "causal": False, "tables": False,
        "language_model": True, "licence": "MIT by its Hub card", "problem": None}


def test_models_made_by_hand_and_damaged_ones(world, printed):
    models = world.folder.parent
    convert(small.CODEC, models / "small")
    for name in ("no_weights", "no_config"):
        shutil.copytree(models / "small", models / name)
    (models / "no_weights" / "model.safetensors").unlink()
    (models / "no_config" / "config.json").write_text("{")
    (models / "a file").write_text("")
    text = printed("models")
    rows = table(text)
    assert rows["small"][0] == rows["no_weights"][0] == "local" and rows["no_config"][3] == "damaged"
    assert "no_weights is damaged: " in text and "expected model.safetensors, found none" in text
    assert "no_config is damaged: " in text and "no_config/config.json" in text


def test_fetch(world, printed):
    with pytest.raises(ValueError, match="unknown model 'small': .*; `tinyencodec fetch small` gets it"):
        store.load_model("small")
    lines = printed("fetch", "small").splitlines()
    assert lines[::3] == [f"small: {small.STATEMENT}", "small: with language model; use it with -m small"]
    assert "without language model" in printed("fetch", "small", "-f", "--no-lm", "--half")
    assert "with language model" in printed("fetch", "-f", "small", "--from", world.away, "--offline")
    assert len(world.server.requests) == 3


@pytest.mark.parametrize("args, message", [
    (["small", "--offline"], "small.th: not here, and the network is not to be used (--offline or TINYENCODEC_OFFLINE);"
     " to be had at URL/official/small.th; `tinyencodec fetch NAME --from FILE` takes the file from elsewhere"),
    (["small", "--from", "nowhere"], "nowhere: No such file or directory"),
    (["small", "--from", "empty"], "empty: expected a folder with small.th or model.safetensors, got neither"),
    (["small", "--from", "small_lm.th"], "small_lm.th: expected small.th too, got the language model only"),
    (["small", "--from", "."], "small.th: expected the official small.th, SHA-256 HASH, got OTHER; "
     "`tinyencodec convert small.th small` takes any weights"),
])
def test_bad_input(world, capsys, args, message):
    Path("empty").mkdir()
    Path(small.CODEC).write_bytes(b"other")
    other = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
    message = message.replace("URL", world.server.url).replace("HASH", world.hashes[0]).replace("OTHER", other)
    assert run("fetch", *args) == 2
    assert capsys.readouterr().err == f"tinyencodec fetch: {message}\n"
    assert not world.folder.exists()
