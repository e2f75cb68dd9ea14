"""The registry of official checkpoints. Nothing here goes to the network."""

import re
from urllib.parse import urlsplit

import pytest

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models.official import OFFICIAL, checked_by, converted_size, likely_size, sha256_of

FILES = [file for official in OFFICIAL.values() for file in official.parts().values()]


def test_every_preset_can_be_fetched():
    assert {name: official.codec.config for name, official in OFFICIAL.items()} == PRESETS
    assert [official.lm.config for official in OFFICIAL.values() if official.lm] == list(LM_PRESETS.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files(file):
    url = urlsplit(file.url)
    assert url.scheme == "https" and url.hostname in ("dl.fbaipublicfiles.com", "huggingface.co")
    assert not url.query and not url.fragment
    assert re.fullmatch(r"[a-z0-9_]+-([0-9a-f]{8})\.(th|safetensors)", file.name)
    assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", file.sha256)
    assert file.sha256[:8] in file.name  # a file's own name says how its hash begins
    if url.hostname == "huggingface.co":  # a commit, not a branch, and a file whose hash is known in full
        assert re.fullmatch(r"/facebook/\w+/resolve/[0-9a-f]{40}/model\.safetensors", url.path)
        assert len(file.sha256) == 64
    else:
        assert url.path == f"/encodec/v0/{file.name}"
    assert isinstance(file.config, LMConfig if "_lm_" in file.name else CodecConfig)
    assert checked_by(file) in ("SHA-256", "first 8 hex digits of the SHA-256")


def test_names_are_unique():
    assert len({file.name for file in FILES}) == len({file.url for file in FILES}) == len(FILES)


def test_sizes():
    known = [file for file in FILES if file.size]
    assert len(known) == 2
    for file in FILES:
        guess = likely_size(file._replace(size=None))
        assert abs(guess / likely_size(file) - 1) < 0.01
        assert 30e6 < converted_size(file) <= guess < 300e6
        assert converted_size(file, half=True) == converted_size(file) // 2


@pytest.mark.parametrize("name", OFFICIAL)
def test_licences_are_told(name):
    official = OFFICIAL[name]
    assert "\n" not in official.statement and 200 < len(official.statement) < 600
    assert "MIT" in official.statement and "gives no right to pass them on" in official.statement
    assert len(official.licence) < 40
    assert ("CC-BY-NC" in official.statement) == (name == "encodec_32khz")


def test_sha256_of(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
