"""Matrices as 8-bit rows: what is lost, what is stored, and what is refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from tinyencodec.models.int8_rows import at_precision, unpack_rows
from tinyencodec.models.tensors import expected_tensors, read_model_folder


def pack_rows(tensors):
    return at_precision(tensors, "rows")


def test_half_a_scale_is_the_most_that_is_lost():
    w = np.random.default_rng(0).standard_normal((50, 300)).astype(np.float32) * np.logspace(-15, 15, 50)[:, None]
    w = w.astype(np.float32)
    packed = pack_rows({"w": w})
    assert packed["w"].dtype == np.int8 and packed["w.scale"].dtype == np.float32
    assert np.abs(packed["w"]).max(axis=1).min() == 127  # every row uses the whole range
    found = unpack_rows(packed)["w"]
    assert found.dtype == np.float32
    assert (np.abs(found - w) <= 0.501 * packed["w.scale"][:, None]).all()
    noise = 10 * np.log10(((found - w) ** 2).sum(1, dtype=np.float64) / (w**2.0).sum(1, dtype=np.float64))
    assert -50 < noise[20:30].mean() < -42


def test_by_hand():
    packed = pack_rows({"w": np.array([[127.0, -63.4, 0.6], [0, 0, 0]]), "b": np.array([1 / 3])})
    assert packed["w"].tolist() == [[127, -63, 1], [0, 0, 0]] and packed["w.scale"].tolist() == [1, 0]
    assert packed["b"].dtype == np.float16
    assert unpack_rows(packed)["w"].tolist() == [[127, -63, 1], [0, 0, 0]]


def test_twice_is_once():
    """Packing what came out changes nothing more."""
    w = np.random.default_rng(1).standard_normal((20, 64)).astype(np.float32)
    once = unpack_rows(pack_rows({"w": w}))["w"]
    assert np.array_equal(pack_rows({"w": once})["w"], pack_rows({"w": w})["w"])


def test_other_tensors_pass():
    stored = {"a": np.ones((2, 3), np.int8), "b.scale": np.ones(2, np.float32), "c": np.ones(4, np.float16)}
    found = unpack_rows(stored)
    assert found.keys() == stored.keys() and all(found[name] is stored[name] for name in stored)


@pytest.mark.parametrize("values, scale", [
    (np.ones((2, 3), np.float32), np.ones(2, np.float32)), (np.ones(3, np.int8), np.ones(3, np.float32)),
    (np.ones((2, 3), np.int8), np.ones(3, np.float32)), (np.ones((2, 3), np.int8), np.ones(2, np.float16))])
def test_scales_that_do_not_fit(values, scale):
    with pytest.raises(ValueError, match="'w': expected int8 .* with float32 scales"):
        unpack_rows({"w": values, "w.scale": scale})


@pytest.mark.parametrize("bad", [{"w": np.full((2, 2), np.inf)}, {"w": np.full((2, 2), np.nan)},
                                 {"b": np.array([1e6])}])
def test_numbers_that_cannot_be_stored(bad):
    with pytest.raises(ValueError, match="expected numbers that are finite in float(16|32)"):
        pack_rows(bad)
    with pytest.raises(ValueError, match="precision: expected one of float32, half, rows, got 'int4'"):
        at_precision({}, "int4")


def test_a_model_is_read_from_it(models, tmp_path):
    """A folder stored so is the model that its numbers say, and damage is found as in any other."""
    config, random = models["causal"].config, np.random.default_rng(2)
    packed = pack_rows({name: random.standard_normal(shape) for name, shape in expected_tensors(config).items()})
    for name, tensors in (("packed", packed), ("plain", unpack_rows(packed))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config.to_dict()))
        save_file(tensors, tmp_path / name / "model.safetensors")
    (_, found), (_, expected) = (read_model_folder(tmp_path / name) for name in ("packed", "plain"))
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values.dtype == np.float32 and np.array_equal(values, expected[name])
    packed["quantizer.layers.0.codebook.embed.scale"][3] = np.nan
    save_file(packed, tmp_path / "packed" / "model.safetensors")
    with pytest.raises(ValueError, match="holds NaN"):
        read_model_folder(tmp_path / "packed")
