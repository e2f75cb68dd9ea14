"""Files written by PyTorch, the official package and transformers convert to exactly equal tensors."""

import argparse
import dataclasses
import datetime
import functools
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EncodecModel

import tinyencodec
from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_32KHZ, ENCODEC_48KHZ
from tinyencodec.models.convert import convert
from tinyencodec.models.tensors import expected_tensors, read_model_folder
from tinyencodec.models.torchfile import read_torch_file

from .oracles import Oracle
from .seeding import music

OFFICIAL = [ENCODEC_24KHZ, ENCODEC_48KHZ]
HUB = [ENCODEC_24KHZ, ENCODEC_48KHZ, ENCODEC_32KHZ]


def rate(config):
    return str(config.sampling_rate)


@functools.cache
def draw(kind, config):
    oracle = Oracle(kind, config, "model")
    generator = torch.Generator().manual_seed(1)
    for value in oracle.model.state_dict().values():  # no two alike, no zeros; codebooks start as zeros
        if value.is_floating_point():
            value.normal_(generator=generator)
    return oracle


def check_equal(folder, oracle):
    config, tensors = read_model_folder(folder)
    expected = oracle.tensors()
    assert tensors.keys() == expected.keys() == expected_tensors(config).keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    return config


def check_transformers_loads(folder, oracle):
    state = EncodecModel.from_pretrained(folder).state_dict()
    for name, value in oracle.tensors().items():
        name = name.replace("weight_g", "parametrizations.weight.original0")
        name = name.replace("weight_v", "parametrizations.weight.original1")
        np.testing.assert_array_equal(state[name].numpy(), value, err_msg=name)


@pytest.mark.parametrize("config", OFFICIAL, ids=rate)
def test_official_file(config, tmp_path):
    oracle = draw("encodec", config)
    assert convert(oracle.export(tmp_path), tmp_path / "dest") == config
    assert check_equal(tmp_path / "dest", oracle) == config
    check_transformers_loads(tmp_path / "dest", oracle)


@pytest.mark.parametrize("config", OFFICIAL, ids=rate)
def test_training_checkpoint_without_config(config, tmp_path):
    oracle = draw("encodec", config)
    torch.save({"best_state": {"model": oracle.model.state_dict()}, "epoch": 1}, tmp_path / "bare.th")
    assert convert(tmp_path / "bare.th", tmp_path / "dest") == config
    check_equal(tmp_path / "dest", oracle)


@pytest.mark.parametrize("config", HUB, ids=rate)
def test_hub_folder(config, tmp_path):
    """In both spellings of weight norm, converted and loaded as it is."""
    oracle = draw("transformers", config)
    src = oracle.export(tmp_path)
    read = convert(src, tmp_path / "dest")
    assert dataclasses.replace(read, codebook_dim=None) == config  # transformers writes the default out
    assert check_equal(tmp_path / "dest", oracle) == check_equal(src, oracle) == read
    check_transformers_loads(tmp_path / "dest", oracle)

    state = load_file(src / "model.safetensors")
    old = {name.replace("parametrizations.weight.original0", "weight_g")
           .replace("parametrizations.weight.original1", "weight_v"): value for name, value in state.items()}
    assert (old.keys() != state.keys()) == (config.norm_type == "weight_norm")
    save_file(old, src / "model.safetensors", metadata={"format": "pt"})
    check_equal(src, oracle)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["tiny_24khz", "tiny_48khz"])
def test_a_bundled_model_for_transformers(tmp_path, name, half):
    """Loads without a word, and gives the same codes."""
    config = convert(name, tmp_path / "dest", half)
    program = ("import sys, torch; from transformers import EncodecModel; "
               "EncodecModel.from_pretrained(sys.argv[1], dtype=torch.float32)")
    said = subprocess.run([sys.executable, "-c", program, tmp_path / "dest"], capture_output=True, text=True,
                          env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}, check=True)
    assert said.stdout == "" and not re.search("(?i)warn|missing|newly|unexpected|not used", said.stderr), said.stderr
    theirs, told = EncodecModel.from_pretrained(tmp_path / "dest", dtype=torch.float32, output_loading_info=True)
    assert not any(told.values())
    wav = music(2 * config.sampling_rate, config.audio_channels, 1, config.sampling_rate)
    for bandwidth in config.target_bandwidths:
        with torch.no_grad():
            codes = theirs.encode(torch.from_numpy(wav)[None], bandwidth=bandwidth).audio_codes
        ours = tinyencodec.load_model(tmp_path / "dest" if half else name).encode(wav, bandwidth)
        assert len(ours) == len(codes)
        for frame, other in zip(ours, codes):
            np.testing.assert_array_equal(frame.codes, other[0, :, :frame.codes.shape[1]].numpy())


@pytest.mark.parametrize("safe", [True, False])
def test_shards_of_transformers(tmp_path, safe):
    oracle = draw("transformers", ENCODEC_24KHZ)
    oracle.model.save_pretrained(tmp_path / "a", max_shard_size="20MB")
    if not safe:  # as older versions wrote them
        for file in (tmp_path / "a").glob("*.safetensors"):
            torch.save(load_file(file), tmp_path / "a" / file.name.replace("model", "pytorch_model").replace(
                ".safetensors", ".bin"))
            file.unlink()
        index = tmp_path / "a" / "model.safetensors.index.json"
        text = index.read_text().replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        index.with_name("pytorch_model.bin.index.json").write_text(text)
        index.unlink()
    assert len(list((tmp_path / "a").iterdir())) > 4
    check_equal(tmp_path / "a", oracle)
    convert(tmp_path / "a", tmp_path / "dest")
    check_equal(tmp_path / "dest", oracle)


class Weight(torch.Tensor):
    """A tensor of a class of its own, with an attribute."""


@pytest.mark.parametrize("protocol", [2, 5])
def test_checkpoint_of_a_trainer(tmp_path, protocol):
    """Wrapped modules, a discriminator, and whatever a trainer likes to note."""
    oracle = draw("encodec", ENCODEC_24KHZ)
    state = {f"module._orig_mod.{name}": value for name, value in oracle.model.state_dict().items()}
    name = "module._orig_mod.encoder.model.0.conv.conv.bias"
    state[name] = state[name].as_subclass(Weight)
    state[name].note = argparse.Namespace(frozen=True)
    torch.save({"generator": state, "discriminator": {"module.encoder.x": torch.zeros(3)}, "loss": np.float64(0.5),
                "args": argparse.Namespace(out=pathlib.Path("a"), shape=torch.Size([1, 2]), to=torch.device("cpu")),
                "when": datetime.datetime(2026, 1, 2), "dtype": torch.float32, "seen": {1, 2},
                "rng": torch.get_rng_state(), "window": torch.ones(4, dtype=torch.complex64),
                "sparse": torch.eye(3).to_sparse()},
               tmp_path / "x.pt", pickle_protocol=protocol)
    assert convert(tmp_path / "x.pt", tmp_path / "dest") == ENCODEC_24KHZ
    check_equal(tmp_path / "dest", oracle)


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_torch_saves(tmp_path, protocol):
    values = torch.arange(-30, 30).reshape(3, 4, 5)
    wrote = {f"{dtype}": values.to(dtype) for dtype in DTYPES}
    wrote |= {"transposed": values.float().transpose(0, 2), "slice": values.float()[1:, ::2, 3],
              "empty": torch.zeros(0, 3), "scalar": torch.tensor(3.5), "parameter": torch.nn.Parameter(torch.ones(2))}
    torch.save({"state": wrote, "list": [1, 2.5, None, True, "text", (1, 2)], 3: -2**40}, tmp_path / "x.pt",
               pickle_protocol=protocol)
    read = read_torch_file(tmp_path / "x.pt")
    assert read["list"] == [1, 2.5, None, True, "text", (1, 2)] and read[3] == -2**40
    assert read["state"].keys() == wrote.keys()
    for name, value in wrote.items():
        value = value.detach()
        expected = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
        assert read["state"][name].dtype == expected.dtype
        np.testing.assert_array_equal(read["state"][name], expected, err_msg=name)


def test_optimiser_state_and_old_format(tmp_path):
    layer = torch.nn.Conv1d(2, 3, 4)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2, 9)).sum().backward()
    optimiser.step()
    torch.save({"model": layer.state_dict(), "optimizer": optimiser.state_dict()}, tmp_path / "x.pt")
    read = read_torch_file(tmp_path / "x.pt")
    np.testing.assert_array_equal(read["model"]["weight"], layer.weight.detach().numpy())
    assert read["optimizer"]["state"][0]["step"] == 1
    torch.save(layer.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="before PyTorch 1.6"):
        read_torch_file(tmp_path / "old.pt")
    torch.save(layer, tmp_path / "module.pt")
    with pytest.raises(ValueError, match="'torch.nn.modules.conv Conv1d': refused"):
        read_torch_file(tmp_path / "module.pt")
