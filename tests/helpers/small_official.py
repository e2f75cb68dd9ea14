"""An official model of a few numbers: its files, a registry that has it, and a server that gives them out."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from tests.helpers import file_server
from tests.helpers.torch_writer import torch_file
from tinyencodec.codec.config import PRESETS, CodecConfig
from tinyencodec.lm.config import LM_PRESETS, LMConfig
from tinyencodec.models import download
from tinyencodec.models.official import OFFICIAL, Official, OfficialFile
from tinyencodec.models.tensors import expected_tensors
from tinyencodec.system.files import sha256_of

NAME, CODEC, LM = "small", "small.th", "small_lm.th"
CONFIG = CodecConfig(num_filters=2, hidden_size=4, codebook_size=4, upsampling_ratios=(3, 2), num_lstm_layers=1,
                     target_bandwidths=(8.0, 16.0))
LM_CONFIG = LMConfig(n_codebooks=2, codebook_size=4, dim=4, n_layers=1, n_heads=2, ff_dim=8, past_context=4)
STATEMENT = "These weights are random. Nobody wants them."


def draw(config):
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype("f4") for name, shape in expected_tensors(config).items()}


def register(monkeypatch, url, hashes, sizes):
    """Enter the model in the registries."""
    codec, lm = (OfficialFile(name, f"{url}/official/{name}", sha256, config, size)
                 for name, sha256, config, size in zip((CODEC, LM), hashes, (CONFIG, LM_CONFIG), sizes))
    files = {"codec": codec, "lm": lm}
    monkeypatch.setitem(OFFICIAL, NAME, Official(files, "for tests", STATEMENT))
    monkeypatch.setitem(PRESETS, NAME, CONFIG)
    monkeypatch.setitem(LM_PRESETS, "small_lm", LM_CONFIG)


@contextmanager
def served(tmp_path, monkeypatch):
    """A home without models, a server with the official files, and a folder `away` that has them too."""
    monkeypatch.setattr(download, "_PAUSES", (0, 0))
    for name in ("TINYENCODEC_OFFLINE", "TINYENCODEC_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path / "home"))
    away = tmp_path / "away"
    away.mkdir()
    files = torch_file(away / CODEC, draw(CONFIG)), torch_file(away / LM, draw(LM_CONFIG))
    hashes, sizes = [sha256_of(file) for file in files], [file.stat().st_size for file in files]
    with file_server.serving({f"/official/{file.name}": file.read_bytes() for file in files}) as server:
        register(monkeypatch, server.url, hashes, sizes)
        yield SimpleNamespace(server=server, hashes=hashes, sizes=sizes, home=tmp_path / "home", away=away,
                              folder=tmp_path / "home" / "models" / NAME)
