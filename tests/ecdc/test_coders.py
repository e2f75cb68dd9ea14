"""Finding a model's coder, and refusing the wrong one."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinyencodec.codec.config import CodecConfig
from tinyencodec.ecdc import coders as entropy
from tinyencodec.ecdc.coders import FixedCoder, check_coder, load_coder
from tinyencodec.ecdc.header import EcdcHeader
from tinyencodec.lm import exact
from tinyencodec.lm.config import LMConfig
from tinyencodec.train.tables import fit_tables, save_tables

CONFIG = CodecConfig(sampling_rate=800, upsampling_ratios=(4, 2), codebook_size=16, target_bandwidths=(0.4, 1.6))
LM = LMConfig(n_codebooks=4, codebook_size=16, dim=8, n_layers=1, n_heads=2, ff_dim=8, past_context=5)


@pytest.fixture
def model(tmp_path):
    """What `load_coder` needs of a model, with tables and a random language model."""
    rng = np.random.default_rng(0)
    save_tables(tmp_path, fit_tables(rng.integers(0, 99, (4, 16))))
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "config.json").write_text(json.dumps(LM.to_dict()))
    save_file({name: rng.standard_normal(shape).astype(np.float32) for name, shape in LM.tensors().items()},
              tmp_path / "lm" / "model.safetensors")
    return SimpleNamespace(name="small", folder=tmp_path, config=CONFIG, threads=1)


@pytest.mark.parametrize("kind", ["none", "table", "lm"])
def test_coders_keep_to_the_interface(model, kind):
    coder, rng = load_coder(kind, model), np.random.default_rng(1)
    assert coder.kind == kind and (coder.id is None if kind == "none" else len(coder.id) == 16)
    blocks = [rng.integers(0, 16, (3, n)) for n in (7, 7, 1)]
    payloads = coder.encode(blocks)
    assert payloads == [payload for block in blocks for payload in coder.encode([block])]
    assert all(isinstance(payload, bytes) for payload in payloads)
    for got, block in zip(coder.decode([*zip(payloads, (7, 7, 1))], 3), blocks, strict=True):
        assert got.dtype == np.int64 and np.array_equal(got, block)
    costs = coder.costs(blocks[0])
    assert costs.shape == (3,) and abs(costs.sum() - 8 * len(payloads[0])) < 40


def test_fixed_width():
    coder = FixedCoder(10)
    assert coder.encode([np.array([[1], [3]])]) == [b"\x01\x0c\x00"]
    for data in (b"\x01\x0c", b"\x01\x0c\x00\x00"):
        with pytest.raises(ValueError, match=f"packed codes: expected 3 bytes, got {len(data)}"):
            coder.decode([(data, 1)], 2)


def test_what_is_missing(model, tmp_path):
    with pytest.raises(ValueError, match="entropy coding: expected none, table, lm, got 'zip'"):
        load_coder("zip", model)
    model.folder = tmp_path / "empty"
    with pytest.raises(ValueError, match="model small has no tables: expected .*empty.tables.safetensors$"):
        load_coder("table", model)
    with pytest.raises(ValueError, match="model small has no language model: expected .*empty.lm.config.json$"):
        load_coder("lm", model)
    model.folder = None
    for kind in ("table", "lm"):
        with pytest.raises(ValueError, match="model small has no"):
            load_coder(kind, model)


def test_what_belongs_to_another_model(model):
    model.config = CodecConfig()
    with pytest.raises(ValueError, match="tables of model small: expected 1024 entries per codebook, got 16"):
        load_coder("table", model)
    with pytest.raises(ValueError, match="language model of model small: expected 1024 entries per codebook, got 16"):
        load_coder("lm", model)


def test_content_is_compared(model):
    coder = load_coder("table", model)
    check_coder(coder, EcdcHeader("small", 9, 2, entropy="table", block=10, coder=coder.id))
    with pytest.raises(ValueError, match=f"coded with the tables {'0' * 16}, installed is {coder.id}: "):
        check_coder(coder, EcdcHeader("small", 9, 2, entropy="table", block=10, coder="0" * 16))
    assert entropy.ARITHMETIC == exact.VERSION
