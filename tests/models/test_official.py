"""The registry of official checkpoints. Nothing here goes to the network."""

import math
import re
from urllib.parse import urlsplit

import pytest

from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models.official import OFFICIAL
from tinyencodec.models.tensors import expected_tensors

FILES = [file for official in OFFICIAL.values() for file in official.files.values()]


def test_every_preset_can_be_fetched():
    assert {name: official.files["codec"].config for name, official in OFFICIAL.items()} == PRESETS
    assert [official.files["lm"].config for official in OFFICIAL.values() if "lm" in official.files] == \
        list(LM_PRESETS.values())
    assert len({file.name for file in FILES}) == len({file.url for file in FILES}) == len(FILES)


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
    numbers = sum(math.prod(shape) for shape in expected_tensors(file.config).values())
    assert 4 * numbers < file.size < 5 * numbers  # a download may have twice as many bytes


@pytest.mark.parametrize("name", OFFICIAL)
def test_licences_are_told(name):
    official = OFFICIAL[name]
    assert "\n" not in official.statement and 200 < len(official.statement) < 600
    assert "MIT" in official.statement and "gives no right to pass them on" in official.statement
    assert len(official.licence) < 40
    assert ("CC-BY-NC" in official.statement) == (name == "encodec_32khz")
