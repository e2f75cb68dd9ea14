"""Weights from a file or a folder that the user has: what is taken, what is checked, and what is refused."""

import dataclasses
import json
import shutil

import pytest

import tinyencodec
from tests.helpers import small_official as small
from tinyencodec.models.convert import convert
from tinyencodec.models.fetch.local_files import find_local_files
from tinyencodec.models.official import OFFICIAL, OfficialFile
from tinyencodec.system.files import sha256_of

NAME, CODEC, LM = small.NAME, small.CODEC, small.LM


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A folder with both official files, and nothing else: the server has none."""
    with small.served(tmp_path, monkeypatch) as world:
        world.server.files.clear()
        yield world.away


def found(source):
    return [(part, each.path, each.checked)
            for part, each in find_local_files(NAME, OFFICIAL[NAME].files, source).items()]


def fetch(source, **options):
    told = []
    folder = tinyencodec.fetch_model(NAME, source, tell=told.append, **options)
    assert tinyencodec.load_model(NAME).name == NAME
    return folder, told


def refused(source, *matches, kind=ValueError):
    with pytest.raises(kind) as caught:
        tinyencodec.fetch_model(NAME, source)
    for match in matches:
        assert match in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value) and NAME not in tinyencodec.list_models()


def spoil(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def hub_folder(away, folder, **changes):
    """As the Hub has it: a config with more fields, and no word of where it is from."""
    convert(away / CODEC, folder)
    config = {**small.CONFIG.to_dict(), "codebook_dim": 4, "architectures": ["EncodecModel"], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_downloads(away):
    assert found(away) == [("codec", away / CODEC, "SHA-256"), ("lm", away / LM, "SHA-256")]
    folder, told = fetch(away)
    assert told == [f"{NAME}: {small.STATEMENT}"]
    assert (folder / "lm" / "config.json").is_file()
    assert json.loads((folder / "provenance.json").read_text())["source"] == str(away / CODEC)
    assert (away / CODEC).is_file()


def test_a_file_under_any_name(away):
    (away / CODEC).rename(away / "weights.bin")
    refused(away / LM, f"{away / LM}: expected {CODEC} too, got the language model only")
    assert found(away / "weights.bin") == [("codec", away / "weights.bin", "SHA-256")]
    folder, _ = fetch(away / "weights.bin")
    assert not (folder / "lm").exists()
    assert found(away / LM) == [("lm", away / LM, "SHA-256")]
    fetch(away / LM)
    assert (folder / "lm" / "config.json").is_file()


def test_what_is_not_wanted_is_not_looked_at(away):
    spoil(away / LM)
    refused(away, f"expected the official {LM}")
    fetch(away, lm=False)


def test_folders_by_name(away, tmp_path):
    """Such as the `models` folder of another machine, or a folder for each model."""
    (tmp_path / NAME).mkdir()
    for name in (CODEC, LM):
        shutil.move(away / name, tmp_path / NAME)
    assert [path for _, path, _ in found(tmp_path)] == [tmp_path / NAME / CODEC, tmp_path / NAME / LM]


@pytest.mark.parametrize("half", [False, True])
def test_the_model_folder_of_another_machine(away, tmp_path, half):
    folder, _ = fetch(away, half=half)
    (folder / "tables.safetensors").write_bytes(b"tables")
    other = tmp_path / "other"
    shutil.move(tmp_path / "home", other)
    checked, weights = "provenance.json beside it", other / "models" / NAME / "model.safetensors"
    for source in (other / "models", other / "models" / NAME):
        assert found(source) == [("codec", weights, checked), ("lm", weights.parent / "lm" / weights.name, checked)]
    folder, told = fetch(other / "models", half=half)
    assert not any("not checked" in line for line in told)
    for name in ("config.json", "model.safetensors", "lm/model.safetensors", "tables.safetensors"):
        assert (folder / name).read_bytes() == (other / "models" / NAME / name).read_bytes(), name
    told = json.loads((folder / "provenance.json").read_text())
    assert told["sha256"] == OFFICIAL[NAME].files["codec"].sha256
    assert told["stored"] == ("float16" if half else "float32")


def test_a_model_folder_that_was_changed(away, tmp_path):
    shutil.move(fetch(away)[0], tmp_path / "was")
    record = tmp_path / "was" / "provenance.json"
    told = json.loads(record.read_text())
    record.write_text(json.dumps({**told, "sha256": "0" * 64}))
    refused(tmp_path / "was", "model.safetensors: expected the official small.th", "tinyencodec convert")
    record.write_text(json.dumps(told))
    spoil(tmp_path / "was" / "model.safetensors")
    refused(tmp_path / "was", "model.safetensors: expected the official small.th", "tinyencodec convert")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', "[" * 100_000, None])
def test_a_folder_without_a_record_is_told(away, tmp_path, text):
    folder = hub_folder(away, tmp_path / "hub")
    if text is not None:
        (folder / "provenance.json").write_text(text)
    weights = folder / "model.safetensors"
    digest = sha256_of(weights)
    for source in (folder, weights):
        assert found(source) == [("codec", weights, "")]
        fetched, told = fetch(source, force=True)
        assert told[-1] == f"{NAME}: not checked, since no hash is known for {weights}: its SHA-256 is {digest}"
        record = json.loads((fetched / "provenance.json").read_text())
        assert (record["checked"], record["sha256"]) == ("nothing", digest)
        config = tinyencodec.load_model(NAME).config
        assert dataclasses.replace(config, codebook_dim=None) == small.CONFIG


def test_the_official_file_is_in_a_hub_folder(away, tmp_path, monkeypatch):
    folder = hub_folder(away, tmp_path / "hub")
    weights = folder / "model.safetensors"
    official = OfficialFile("small.safetensors", "http://127.0.0.1:9/x", sha256_of(weights), small.CONFIG, 1)
    monkeypatch.setitem(OFFICIAL[NAME].files, "codec", official)
    for source in (folder, weights):
        assert found(source) == [("codec", weights, "SHA-256")]
        fetch(source, force=True)
    shutil.rmtree(tmp_path / "home")
    spoil(weights)
    for source in (folder, weights):
        refused(source, f"{weights}: expected the official small.safetensors, SHA-256", "takes any weights")


def test_another_model(away, tmp_path):
    refused(hub_folder(away, tmp_path / "hub", sampling_rate=12_000, target_bandwidths=[4, 8]),
            "hub/model.safetensors: expected the configuration of small, got that of another model")


def test_a_damaged_file(away):
    spoil(away / CODEC)
    expected = OFFICIAL[NAME].files["codec"].sha256
    for source in (away, away / CODEC):
        refused(source, f"{away / CODEC}: expected the official {CODEC}, SHA-256 {expected}",
                f"`tinyencodec convert {away / CODEC} {NAME}` takes any weights")


def test_nothing_there(away, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", f"expected a folder with {CODEC}, {LM} or model.safetensors, got neither")
    refused(tmp_path / "nowhere", "nowhere", kind=FileNotFoundError)
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"")
    refused(tmp_path / "empty", "model.safetensors")
