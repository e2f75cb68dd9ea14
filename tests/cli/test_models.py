"""`tinyencodec models` and `tinyencodec fetch`: what they print, on which stream, and their exit codes."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers import file_server as web
from tests.helpers import small_official as small
from tinyencodec.cli import main as cli
from tinyencodec.models import store
from tinyencodec.models.convert import convert
from tinyencodec.models.fetch import download
from tinyencodec.models.official import OFFICIAL, sha256_of


@pytest.fixture
def world(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(download, "_PAUSE", 0)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("TINYENCODEC_OFFLINE", raising=False)
    monkeypatch.delenv("TINYENCODEC_MIRROR", raising=False)
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    files = small.write(tmp_path)

    def run(*args, code=0):
        assert cli.main([str(arg) for arg in args]) == code, capsys.readouterr()
        captured = capsys.readouterr()
        if code == 2:
            assert captured.out.count("\n") <= 3 and captured.err.count("\n") == 1
            return captured.err
        return captured.out if not code else (captured.out, captured.err)

    with web.serving({f"/official/{file.name}": file.read_bytes() for file in files}) as server:
        small.register(monkeypatch.setitem, server.url, [sha256_of(file) for file in files])
        yield SimpleNamespace(run=run, server=server, models=tmp_path / "home" / "models", away=tmp_path)


def table(text):
    lines = text.split("\n\n")[0].splitlines()
    assert lines[0].split()[:3] == ["NAME", "WHERE", "SIZE"]
    return {line.split()[0]: line.split()[1:] for line in lines[1:]}


def test_models(world):
    text = world.run("models")
    rows = table(text)
    assert list(rows) == [store.DEFAULT_MODEL, store.HQ_MODEL, *OFFICIAL]
    for name in (store.DEFAULT_MODEL, store.HQ_MODEL):
        assert rows[name][0] == "bundled" and rows[name][-3:] == ["tables", "LM", "MIT"]
    assert rows["encodec_24khz"] == "fetchable ~155 MB 24 kHz mono 1.5 3 6 12 24 LM not stated (code: MIT)".split()
    assert rows["encodec_48khz"][4:6] == ["kHz", "stereo"] and rows["encodec_32khz"][1:3] == ["236", "MB"]
    assert f"{store.DEFAULT_MODEL} is used where no model is named." in text
    assert "`tinyencodec fetch NAME`" in text and str(world.models) in text
    assert max(map(len, text.split("\n\n")[0].splitlines())) <= 108


def test_models_as_json(world):
    world.run("fetch", "small", "--no-lm")
    models = {each["name"]: each for each in json.loads(world.run("models", "--json"))}
    bundled, fetched, other = models[store.DEFAULT_MODEL], models["small"], models["encodec_48khz"]
    assert bundled["default"] and bundled["where"] == "bundled" and bundled["tables"] and bundled["language_model"]
    assert bundled["bytes"] == sum(path.stat().st_size for path in Path(bundled["path"]).rglob("*") if path.is_file())
    assert fetched["where"] == "fetched" and fetched["checked"] == "SHA-256" and fetched["licence"] == "for tests"
    assert fetched["path"] == str(world.models / "small") and not fetched["language_model"] and not fetched["tables"]
    assert fetched["urls"] == [f"{world.server.url}/official/{name}" for name in (small.CODEC, small.LM)]
    assert other == {
        "name": "encodec_48khz", "where": "fetchable", "default": False, "path": None, "bytes": other["bytes"],
        "bytes_exact": False, "sample_rate": 48_000, "channels": 2, "bandwidths": [3.0, 6.0, 12.0, 24.0],
        "codebooks": 16, "causal": False, "tables": False, "language_model": True, "licence": "MIT by its Hub card",
        "checked": None, "urls": [file.url for file in OFFICIAL["encodec_48khz"].parts().values()], "problem": None}


def test_models_made_by_hand_and_damaged_ones(world):
    convert(world.away / small.CODEC, world.models / "mine")
    shutil.copytree(world.models / "mine", world.models / "no_weights")
    (world.models / "no_weights" / "model.safetensors").unlink()
    shutil.copytree(world.models / "mine", world.models / "no_config")
    (world.models / "no_config" / "config.json").write_text("{")
    (world.models / "mine" / "provenance.json").write_text("no JSON")
    (world.models / "a file").write_text("")
    text = world.run("models")
    rows = table(text)
    assert rows["mine"][0] == rows["no_weights"][0] == "local" and rows["no_config"][3] == "damaged"
    assert "no_weights is damaged: " in text and "expected model.safetensors, found none" in text
    assert "no_config is damaged: " in text and "no_config/config.json" in text
    assert len(json.loads(world.run("models", "--json"))) == 6 + len(OFFICIAL) - 1


def test_fetch(world):
    out = world.run("fetch", "small")
    assert out.splitlines() == [
        "small: These weights are random. Nobody wants them.",
        f"small: fetching {world.server.url}/official/small.th",
        f"small: fetching {world.server.url}/official/small_lm.th",
        "small: 24000 Hz, 1 channel(s), 0 MB, with language model; use it with -m small"]
    assert table(world.run("models"))["small"][0] == "fetched"
    assert world.run("fetch", "small").startswith(f"small: is here already, {world.models / 'small'}\n")
    assert "without language model" in world.run("fetch", "small", "-f", "--no-lm", "--half")
    assert "with language model" in world.run("fetch", "-f", "small", "--from", world.away, "--offline")
    assert len(world.server.requests) == 3
    assert world.run("info", world.away / "x.ecdc", code=2).endswith("No such file or directory\n")


def test_an_unchecked_one_is_told(world):
    convert(world.away / small.CODEC, world.away / "folder")
    out = world.run("fetch", "small", "--from", "folder")
    assert "small: not checked, since no hash is known for folder" in out
    assert "small was taken as it came: nothing tells whether its weights are the official ones" in world.run("models")


@pytest.mark.parametrize("args, message", [
    (["nobody"], "expected names of official models, encodec_24khz, encodec_48khz, encodec_32khz, small, got 'nobody'"),
    (["small", "tiny_24khz"], "got 'tiny_24khz'; `tinyencodec convert` makes models of other weights"),
    (["small", "--offline"], "small.th and small_lm.th: not here, and the network is not to be used"),
    (["small", "--from", "nowhere"], "nowhere: No such file or directory"),
    (["small", "--from", "small_lm.th"], "small_lm.th: expected small.th too"),
    (["small", "--from", "."], "expected the official small.th, SHA-256"),
    (["small", "--url", "ftp://x"], "'ftp://x/small.th': expected an address that begins with https:// or http://"),
    (["small", "--url", "http://127.0.0.1:9"], "http://127.0.0.1:9/small.th: no network, or no such host"),
    (["small"], "/official/small.th: HTTP 404 Not Found; with the file from elsewhere: tinyencodec fetch small --from"),
])
def test_bad_input(world, args, message):
    world.server.files.clear()
    if args[-1] == ".":
        (world.away / small.CODEC).write_bytes(b"other")
    err = world.run("fetch", *args, code=2)
    assert err.startswith("tinyencodec fetch: ") and message in err
    assert not (world.models / "small").exists()


@pytest.mark.parametrize("args", [[], ["small", "--from"], ["small", "--what"]])
def test_wrong_use(args):
    with pytest.raises(SystemExit) as caught:
        cli.main(["fetch", *args])
    assert caught.value.code == 2


def test_one_of_several_fails(world, monkeypatch):
    monkeypatch.setitem(OFFICIAL, "broken", OFFICIAL["small"]._replace(
        codec=OFFICIAL["small"].codec._replace(name="broken.th", url=f"{world.server.url}/broken.th")))
    out, err = world.run("fetch", "broken", "small", code=1)
    assert "small: 24000 Hz" in out and (world.models / "small" / "lm").is_dir()
    assert err.startswith(f"tinyencodec fetch: broken: {world.server.url}/broken.th: HTTP 404 Not Found; ")
    assert err.count("\n") == 1 and not (world.models / "broken").exists()


def test_interrupted(world, monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(download, "_chunks", interrupt)
    assert cli.main(["fetch", "small"]) == 130
    assert capsys.readouterr().err == "tinyencodec fetch: interrupted\n"


def test_a_missing_model_says_how_to_get_it(world):
    with pytest.raises(ValueError, match="unknown model 'small': .*; `tinyencodec fetch small` gets it"):
        store.load_model("small")
    with pytest.raises(ValueError, match="unknown model 'nobody': expected [^;]*$"):
        store.load_model("nobody")
    world.run("fetch", "small")
    assert store.load_model("small").name == "small"
