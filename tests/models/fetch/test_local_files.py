"""Weights from a file or a folder that the user has: what is taken, what is checked, and what is refused."""

import dataclasses
import json
import shutil

import pytest

import tinyencodec
from tests.helpers import small_official as small
from tinyencodec.models import official
from tinyencodec.models.convert import convert
from tinyencodec.models.fetch.local_files import find_handed
from tinyencodec.models.official import OFFICIAL, sha256_of

NAME, CODEC, LM = small.NAME, small.CODEC, small.LM


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A folder with both official files; nothing is listening at their addresses."""
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))
    (tmp_path / "away").mkdir()
    files = small.write(tmp_path / "away")
    small.register(monkeypatch.setitem, "http://127.0.0.1:9", [sha256_of(file) for file in files],
                   [file.stat().st_size for file in files])
    return tmp_path / "away"


def found(source):
    return [(each.part, each.path, each.checked) for each in find_handed(NAME, OFFICIAL[NAME], source)]


def fetch(source, **options):
    told = []
    folder = tinyencodec.fetch_model(NAME, source, tell=told.append, **options)
    config = tinyencodec.load_model(NAME).config
    assert dataclasses.replace(config, codebook_dim=None) == small.CONFIG
    return folder, told


def refused(source, *matches, kind=ValueError):
    with pytest.raises(kind) as caught:
        tinyencodec.fetch_model(NAME, source)
    for match in matches:
        assert match in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value) and NAME not in tinyencodec.list_models()


def hub_folder(away, folder, **changes):
    """As the Hub has it: other names, buffers for training, and a config with more fields."""
    convert(away / CODEC, folder)
    config = {**small.CONFIG.to_dict(), "codebook_dim": 4, "architectures": ["EncodecModel"], **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").unlink()
    return folder


def test_a_folder_of_downloads(away):
    assert found(away) == [("codec", away / CODEC, "SHA-256"), ("lm", away / LM, "SHA-256")]
    folder, told = fetch(away)
    assert (folder / "lm" / "config.json").is_file() and not any("not checked" in line for line in told)
    assert json.loads((folder / "provenance.json").read_text())["source"] == str(away / CODEC)


def test_a_file_under_any_name(away):
    (away / CODEC).rename(away / "weights.bin")
    assert found(away / "weights.bin") == [("codec", away / "weights.bin", "SHA-256")]
    folder, _ = fetch(away / "weights.bin")
    assert not (folder / "lm").exists()
    assert found(away / LM) == [("lm", away / LM, "SHA-256")]
    fetch(away / LM)
    assert (folder / "lm" / "config.json").is_file()


def test_only_the_language_model(away):
    refused(away / LM, f"{away / LM}: expected {CODEC} too, got the language model only")
    with pytest.raises(ValueError, match=f"expected the official {CODEC}"):
        tinyencodec.fetch_model(NAME, away / LM, lm=False)


def test_what_is_not_wanted_is_not_looked_at(away):
    (away / LM).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"expected the official {LM}"):
        tinyencodec.fetch_model(NAME, away)
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
    checked = "provenance.json beside it"
    for source in (other / "models", other / "models" / NAME):
        assert found(source) == [("codec", other / "models" / NAME, checked),
                                 ("lm", other / "models" / NAME / "lm", checked)]
    folder, told = fetch(other / "models")
    assert not any("not checked" in line for line in told)
    for name in ("config.json", "model.safetensors", "lm/model.safetensors", "tables.safetensors"):
        assert (folder / name).read_bytes() == (other / "models" / NAME / name).read_bytes(), name
    told = json.loads((folder / "provenance.json").read_text())
    assert told["sha256"] == OFFICIAL[NAME].codec.sha256 and told["stored"] == ("float16" if half else "float32")


def test_a_model_folder_that_was_changed(away, tmp_path):
    shutil.move(fetch(away)[0], tmp_path / "was")
    weights = tmp_path / "was" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused(tmp_path / "was", "was/model.safetensors: expected SHA-256", "as provenance.json says",
            "tinyencodec convert")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}', '{"files": {"../x": "0"}}', "[" * 100_000])
def test_a_record_that_is_none(away, tmp_path, text):
    shutil.move(fetch(away)[0], tmp_path / "was")
    (tmp_path / "was" / "provenance.json").write_text(text)
    refused(tmp_path / "was", "provenance.json: expected a")


def test_a_record_of_other_weights(away, tmp_path):
    shutil.move(fetch(away)[0], tmp_path / "was")
    record = tmp_path / "was" / "provenance.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "sha256": "0" * 64}))
    refused(tmp_path / "was", "expected a folder made of a file whose SHA-256 is", "tinyencodec convert")


def test_a_folder_without_record_is_told(away, tmp_path):
    folder = hub_folder(away, tmp_path / "hub")
    assert found(folder) == [("codec", folder, "")]
    fetched, told = fetch(folder)
    digest = sha256_of(folder / "model.safetensors")
    assert told[-1] == f"{NAME}: not checked, since no hash is known for {folder}: its SHA-256 is {digest}"
    record = json.loads((fetched / "provenance.json").read_text())
    assert (record["checked"], record["sha256"]) == ("nothing", digest)
    for source in (folder / "model.safetensors", tmp_path / "hub"):
        assert fetch(source, force=True)[1][-1].startswith(f"{NAME}: not checked")


def test_the_official_file_is_in_a_hub_folder(away, tmp_path, monkeypatch):
    folder = hub_folder(away, tmp_path / "hub")
    weights = folder / "model.safetensors"
    official_file = official.OfficialFile("small.safetensors", "http://127.0.0.1:9/x", sha256_of(weights), small.CONFIG,
                                          weights.stat().st_size)
    monkeypatch.setitem(OFFICIAL, NAME, OFFICIAL[NAME]._replace(codec=official_file))
    for source in (folder, weights):
        assert found(source) == [("codec", weights, "SHA-256")]
        fetch(source, force=True)
    shutil.rmtree(tmp_path / "home")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    for source in (folder, weights):  # damaged
        refused(source, f"{weights}: expected the official small.safetensors, SHA-256", "takes any weights")


def test_another_model(away, tmp_path):
    folder = hub_folder(away, tmp_path / "hub", pad_mode="constant", sampling_rate=12_000, target_bandwidths=[4, 8])
    refused(folder, "expected the configuration of small, got another: sampling_rate 12000 in place of 24000",
            "pad_mode 'constant' in place of 'reflect'")


def test_a_damaged_file(away):
    data = (away / CODEC).read_bytes()
    (away / CODEC).write_bytes(data[:-1])
    refused(away, f"{away / CODEC}: expected the official {CODEC}, SHA-256 {OFFICIAL[NAME].codec.sha256}, got",
            f"`tinyencodec convert {away / CODEC} {NAME}` takes any weights")
    refused(away / CODEC, f"expected the official {CODEC}")
    (away / "other.th").write_bytes(b"what")
    refused(away / "other.th", f"expected the official {CODEC}")


def test_nothing_there(away, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", f"expected a folder with {CODEC}, {LM}, or with config.json and model.safetensors")
    refused(tmp_path / "nowhere", "nowhere", kind=FileNotFoundError)
    (tmp_path / "empty" / "config.json").write_text("{}")
    refused(tmp_path / "empty", "model.safetensors", kind=FileNotFoundError)
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"")
    refused(tmp_path / "empty", "model.safetensors")
