"""Which files hold the weights: one or several, of safetensors or of PyTorch."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

import tinyencodec
from tests.helpers.models import MONO, save_model
from tests.helpers.torch_writer import torch_file
from tinyencodec.models.convert import convert
from tinyencodec.models.int8_rows import at_precision
from tinyencodec.models.tensors import read_model_folder
from tinyencodec.models.weight_files import find_weights, read_tensors, read_weights

KINDS = {"model.safetensors": save_file, "pytorch_model.bin": lambda state, path: torch_file(path, state)}


def split(folder, kind="model.safetensors", count=3, stored=None):
    """Put the tensors of `model.safetensors` into shards, every third into each; the path of their index."""
    whole = folder / "model.safetensors"
    state = stored or read_tensors(whole)
    whole.unlink(missing_ok=True)
    stem, suffix = kind.split(".")
    table = {}
    for i in range(count):
        file = f"{stem}-{i + 1:05}-of-{count:05}.{suffix}"
        part = {name: state[name] for name in sorted(state)[i::count]}
        KINDS[kind](part, folder / file)
        table |= dict.fromkeys(part, file)
    index = folder / f"{kind}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 3}, "weight_map": table}))
    return index


@pytest.fixture
def whole(tmp_path):
    return read_model_folder(save_model(tmp_path / "whole"))[1]


def check(folder, tensors):
    config, read = read_model_folder(folder)
    assert config == MONO and read.keys() == tensors.keys()
    for name, array in read.items():
        np.testing.assert_array_equal(array, tensors[name], err_msg=name)
    assert tinyencodec.load_model(folder).config == MONO


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_shards(tmp_path, whole, kind, count):
    folder = save_model(tmp_path / "m")
    index = split(folder, kind, count)
    assert find_weights(folder) == index and len(read_weights(index)[1]) == count + 1
    check(folder, whole)
    for source, dest in ((folder, "a"), (index, "b")):
        convert(source, tmp_path / dest)
        check(tmp_path / dest, whole)


def test_pytorch_model_bin_alone(tmp_path, whole):
    folder = save_model(tmp_path / "m")
    torch_file(folder / "pytorch_model.bin", {"module." + name: array for name, array in whole.items()})
    assert find_weights(folder).name == "model.safetensors"  # preferred
    (folder / "model.safetensors").unlink()
    check(folder, whole)
    convert(folder, tmp_path / "dest")
    check(tmp_path / "dest", whole)


def test_matrices_in_rows_and_their_scales_in_different_shards(tmp_path, whole):
    folder = save_model(tmp_path / "m")
    stored = at_precision(whole, "rows")
    save_file(stored, folder / "model.safetensors")
    tensors = read_model_folder(folder)[1]
    index = split(folder, count=4, stored=stored)
    assert len({json.loads(index.read_text())["weight_map"][name] for name in
                ("quantizer.layers.0.codebook.embed", "quantizer.layers.0.codebook.embed.scale")}) == 2
    check(folder, tensors)


def test_a_sharded_model_in_the_store(tmp_path, whole, monkeypatch):
    monkeypatch.setenv("TINYENCODEC_HOME", str(tmp_path))
    split(save_model(tmp_path / "models" / "mine"))
    assert tinyencodec.load_model("mine").config == MONO


A, B = "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"
BIAS = "encoder.layers.0.conv.bias"


def set_file(name):
    return lambda folder, table: table.update({BIAS: name})


@pytest.mark.parametrize("damage, message", [
    (lambda folder, table: (folder / B).unlink(), f"expected the files that it names beside it, got no {B}"),
    (lambda folder, table: shutil.copy(folder / B, folder / "model-00009-of-00003.safetensors"),
     "expected the files that it names beside it, got 'model-00009-of-00003.safetensors' too"),
    (lambda folder, table: shutil.copy(folder / B, folder / A), "expected the tensors that model.safetensors.index"),
    (lambda folder, table: table.pop(BIAS), f"'{BIAS}' is not in the index"),
    (lambda folder, table: table.update(other=A), "'other' is missing"),
    (lambda folder, table: table.clear(), "weight_map: expected an object with a file for each tensor, got dict"),
    (set_file(A), f"'{BIAS}' is missing"),
    (set_file("../whole/model.safetensors"), "weight_map: expected names of .safetensors files beside it"),
    (set_file("/etc/passwd"), "names of .safetensors files beside it, got '/etc/passwd'"),
    (set_file("..\\\\x.safetensors"), "files beside it"), (set_file(".hidden.safetensors"), "files beside it"),
    (set_file("sub/x.safetensors"), "files beside it"), (set_file("x.safetensors\n"), "files beside it"),
    (set_file(""), "files beside it"), (set_file(None), "beside it, got None"), (set_file([A]), "files beside it"),
    (set_file("a" * 300 + ".safetensors"), "files beside it"), (set_file("x.bin"), "files beside it, got 'x.bin'"),
    (set_file("model.safetensors"), "got no model.safetensors"), (set_file("\x1b[2J.safetensors"), "beside it"),
])
def test_wrong_shards(tmp_path, whole, damage, message):
    folder = save_model(tmp_path / "m")
    index = split(folder)
    told = json.loads(index.read_text())
    damage(folder, told["weight_map"])
    index.write_text(json.dumps(told))
    for read in (lambda: convert(folder, tmp_path / "dest"), lambda: tinyencodec.load_model(folder)):
        with pytest.raises(ValueError) as caught:
            read()
        text = str(caught.value)
        assert message in text and str(folder) in text and text.isprintable() and len(text) < 1500, text


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"weight_map": 3}', '{"weight_map": ["a"]}', "[" * 100_000,
                                  '{"weight_map": {"a": {}}}', "{" + " " * (1 << 20) + "}"])
def test_wrong_indices(tmp_path, text):
    folder = save_model(tmp_path / "m")
    split(folder).write_text(text)
    with pytest.raises(ValueError, match="model.safetensors.index.json: .*expected") as caught:
        tinyencodec.load_model(folder)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_a_folder_in_place_of_a_shard(tmp_path):
    folder = save_model(tmp_path / "m")
    split(folder)
    (folder / A).unlink()
    (folder / A).mkdir()
    with pytest.raises(ValueError, match="got no " + A):
        tinyencodec.load_model(folder)
