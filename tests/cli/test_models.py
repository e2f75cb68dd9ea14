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
    assert rows["encodec_24khz"] == "fetchable ~155 MB 24 kHz mono 1.5 3 6 12 24 LM not stated (code: MIT)".split()
    assert rows["encodec_48khz"][4:6] == ["kHz", "stereo"] and rows["encodec_32khz"][1:3] == ["~236", "MB"]
    assert f"{store.DEFAULT_MODEL} is used where no model is named." in text
    assert "`tinyencodec fetch NAME`" in text and str(world.folder.parent) in text
    assert max(map(len, text.split("\n\n")[0].splitlines())) <= 108


def test_models_as_json(world, printed):
    printed("fetch", "small", "--no-lm")
    models = {each["name"]: each for each in json.loads(printed("models", "--json"))}
    bundled, fetched, other = models[store.DEFAULT_MODEL], models["small"], models["encodec_48khz"]
    assert bundled["default"] and bundled["where"] == "bundled" and bundled["tables"] and bundled["language_model"]
    assert bundled["bytes"] == sum(path.stat().st_size for path in Path(bundled["path"]).rglob("*") if path.is_file())
    assert fetched["where"] == "fetched" and fetched["checked"] == "SHA-256" and fetched["licence"] == "for tests"
    assert fetched["path"] == str(world.folder) and not fetched["language_model"] and not fetched["tables"]
    assert fetched["urls"] == [f"{world.server.url}/official/{name}" for name in (small.CODEC, small.LM)]
    files = OFFICIAL["encodec_48khz"].files.values()
    assert other == {
        "name": "encodec_48khz", "where": "fetchable", "default": False, "path": None,
        "bytes": sum(file.size for file in files), "bytes_exact": False, "sample_rate": 48_000, "channels": 2,
        "bandwidths": [3.0, 6.0, 12.0, 24.0], "codebooks": 16, "causal": False, "tables": False,
        "language_model": True, "licence": "MIT by its Hub card", "checked": None, "urls": [file.url for file in files],
        "problem": None}


def test_models_made_by_hand_and_damaged_ones(world, printed):
    models = world.folder.parent
    convert(small.CODEC, models / "mine")
    for name in ("no_weights", "no_config"):
        shutil.copytree(models / "mine", models / name)
    (models / "no_weights" / "model.safetensors").unlink()
    (models / "no_config" / "config.json").write_text("{")
    (models / "mine" / "provenance.json").write_text("no JSON")
    (models / "a file").write_text("")
    text = printed("models")
    rows = table(text)
    assert rows["mine"][0] == rows["no_weights"][0] == "local" and rows["no_config"][3] == "damaged"
    assert "no_weights is damaged: " in text and "expected model.safetensors, found none" in text
    assert "no_config is damaged: " in text and "no_config/config.json" in text
    assert len(json.loads(printed("models", "--json"))) == 5 + len(OFFICIAL)


def test_fetch(world, printed):
    assert printed("fetch", "small").splitlines() == [
        f"small: {small.STATEMENT}", f"small: fetching {world.server.url}/official/small.th",
        f"small: fetching {world.server.url}/official/small_lm.th",
        "small: with language model; use it with -m small"]
    assert table(printed("models"))["small"][0] == "fetched"
    assert printed("fetch", "small").startswith(f"small: is here already, {world.folder}\n")
    assert "without language model" in printed("fetch", "small", "-f", "--no-lm", "--half")
    assert "with language model" in printed("fetch", "-f", "small", "--from", world.away, "--offline")
    assert len(world.server.requests) == 3


def test_an_unchecked_one_is_told(world, printed):
    convert(small.CODEC, "folder")
    assert "small: not checked, since no hash is known for folder" in printed("fetch", "small", "--from", "folder")
    assert "small was taken as it came: nothing tells whether its weights are the official ones" in printed("models")


@pytest.mark.parametrize("args, message", [
    (["nobody"], "expected names of official models, encodec_24khz, encodec_48khz, encodec_32khz, small, got 'nobody'; "
     "`tinyencodec convert` makes models of other weights"),
    (["small", "--offline"], "small.th: not here, and the network is not to be used"),
    (["small", "--from", "nowhere"], "nowhere: No such file or directory"),
    (["small", "--from", "small_lm.th"], "small_lm.th: expected small.th too"),
    (["small", "--from", "."], "expected the official small.th, SHA-256"),
    (["small", "--url", "ftp://x"], "'ftp://x/small.th': expected an address that begins with https:// or http://"),
    (["small", "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9/small.th: "),
    (["small"], "/official/small.th: HTTP Error 404: Not Found; with the file from elsewhere: tinyencodec fetch s"),
])
def test_bad_input(world, capsys, args, message):
    world.server.files.clear()
    if args[-1] == ".":
        Path(small.CODEC).write_bytes(b"other")
    assert run("fetch", *args) == 2
    err = capsys.readouterr().err
    assert err.startswith("tinyencodec fetch: ") and message in err and err.count("\n") == 1
    assert not world.folder.exists()


def test_a_missing_model_says_how_to_get_it(world, printed):
    with pytest.raises(ValueError, match="unknown model 'small': .*; `tinyencodec fetch small` gets it"):
        store.load_model("small")
    with pytest.raises(ValueError, match="unknown model 'nobody': expected [^;]*$"):
        store.load_model("nobody")
    printed("fetch", "small")
    assert store.load_model("small").name == "small"
