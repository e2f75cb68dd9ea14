"""Conversion of foreign files into model folders."""

import dataclasses
import hashlib
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.helpers import torch_writer as make
from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.models.convert import convert
from tinyencodec.models.store import find_model
from tinyencodec.models.tensors import expected_tensors, read_model_folder
from tinyencodec.system.errors import listing

SMALL = CodecConfig(num_filters=2, hidden_size=4, codebook_size=4, upsampling_ratios=(3, 2), num_lstm_layers=1,
                    target_bandwidths=(8.0, 16.0))
GROUP_NORM = dataclasses.replace(SMALL, norm_type="time_group_norm", use_causal_conv=False)
STATISTICS = {"inited": (1,), "cluster_size": (4,), "embed_avg": (4, 4)}


def draw(config, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype("f4") for name, shape in expected_tensors(config).items()}


def official(tensors):
    """Under the official package's names, with the statistics of its codebooks."""
    state = {}
    for name, array in tensors.items():
        transposed = re.match(r"decoder\.layers\.[0-9]+\.", name) and re.search(r"\.[36]\.(conv|norm)\.", name) \
            and ".block." not in name
        kind = "convtr" if transposed else "conv"
        name = re.sub(r"^(encoder|decoder)\.layers", r"\1.model", name)
        name = name.replace(".conv.", f".{kind}.{kind}.").replace(".norm.", f".{kind}.norm.")
        name = name.replace("quantizer.layers", "quantizer.vq.layers").replace(".codebook.", "._codebook.")
        state[name] = array
        if name.endswith("._codebook.embed"):
            for kind, shape in STATISTICS.items():
                state[name.removesuffix("embed") + kind] = np.ones(shape, "f4")
    return state


def write(folder, value, config=None):
    folder.mkdir(exist_ok=True)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return make.torch_file(folder / "state.th", value)


def check_equal(folder, config, tensors):
    read, loaded = read_model_folder(folder)
    assert read == config and loaded.keys() == tensors.keys()
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, tensors[name], err_msg=name)


def refused(src, dest, *matches, half=False):
    with pytest.raises(ValueError) as caught:
        convert(src, dest, half)
    for match in matches:
        assert match in str(caught.value), str(caught.value)
    assert not list(dest.parent.glob(f".{dest.name}*"))
    return str(caught.value)


@pytest.mark.parametrize("config", [SMALL, GROUP_NORM])
@pytest.mark.parametrize("wrap", [
    lambda state: state, lambda state: {"best_state": state, "epoch": 3},
    lambda state: {"best_state": {"model": state}, "history": [1.5]},
    lambda state: {"model": {"state_dict": state}, "optimizer": {"state": {0: {"step": 1}}}},
    lambda state: {"epoch": 3, "model_state_dict": state, "scheduler_state_dict": {}},
    lambda state: {"generator": {f"module._orig_mod.{name}": value for name, value in state.items()},
                   "discriminator": {"module.encoder.x": np.zeros(3, "f4")}},
    lambda state: {"codec_model": {f"model.{name}": value for name, value in state.items()}},
    lambda state: {"state_dict": {f"generator.{name}": value for name, value in state.items()} | {
        "discriminator.0.bias": np.zeros(3, "f4"), "loss.mel": np.zeros(3, "f8")}}])
def test_converts_torch_files(tmp_path, config, wrap):
    tensors = draw(config)
    src = write(tmp_path / "src", wrap(official(tensors)), config)
    assert convert(src, tmp_path / "a" / "b") == config
    check_equal(tmp_path / "a" / "b", config, tensors)


def test_several_that_fit(tmp_path):
    """The best one is taken, and that is told; one that does not fit is none of them."""
    best, average, last = (official(draw(SMALL, seed)) for seed in range(3))
    other = official(draw(GROUP_NORM))
    told, config = [], SMALL
    src = write(tmp_path / "src", {"model": last, "best_model": other, "ema": average, "best": {"model": best}}, config)
    convert(src, tmp_path / "a", tell=told.append)
    check_equal(tmp_path / "a", SMALL, draw(SMALL, 0))
    line = "`best.model`, preferred to those in `ema`; `model`"
    assert told == [f"{src}: took the weights in {line}"]
    card = (tmp_path / "a" / "README.md").read_text()
    assert f"- Weights: those in {line}\n" in card and "`best_model`; `cluster_size`; `ema`" in card
    src = write(tmp_path / "src", {"model": last, "ema": average}, config)
    convert(src, tmp_path / "b", tell=told.append)
    check_equal(tmp_path / "b", SMALL, draw(SMALL, 1))
    src = write(tmp_path / "src", {"model": last, "best": other}, config)
    convert(src, tmp_path / "c", tell=told.append)
    check_equal(tmp_path / "c", SMALL, draw(SMALL, 2))
    assert len(told) == 2 and "- Weights: those in `model`\n" in (tmp_path / "c" / "README.md").read_text()


def test_objects_beside_and_in_place_of_the_weights(tmp_path):
    """Beside them they are left out; where a tensor is needed they are refused, and never called."""
    state, members = official(draw(SMALL)), {}
    scalar = pickle.dumps(np.float32(2), 2)[2:-1]
    name = "encoder.model.0.conv.conv.bias"
    beside = make.value(state, members) + make.text("loss") + scalar
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    src = make.torch_zip(tmp_path / "x.th", b"}(" + make.text("model") + beside + b"u", members)
    convert(src, tmp_path / "a")
    check_equal(tmp_path / "a", SMALL, draw(SMALL))
    assert "`inited`; `loss`" in (tmp_path / "a" / "README.md").read_text()
    instead = make.value(state, members) + make.text(name) + scalar + b"s"
    src = make.torch_zip(tmp_path / "x.th", instead, members)
    refused(src, tmp_path / "b", "encoder.layers.0.conv.bias: expected a tensor of floats, got numpy", "array scalar")


@pytest.mark.parametrize("half", [False, True])
def test_a_model_by_name(tmp_path, monkeypatch, half):
    """With what `transformers` looks for, which no source has to have."""
    monkeypatch.chdir(tmp_path)
    config, tensors = read_model_folder(find_model("tiny_24khz"))
    assert convert("tiny_24khz", "dest", half) == config
    if half:
        tensors = {name: array.astype("f2").astype("f4") for name, array in tensors.items()}
    check_equal(tmp_path / "dest", config, tensors)
    stored = load_file("dest/model.safetensors")
    assert {array.dtype for array in stored.values()} == {np.dtype("f2" if half else "f4")}
    for k in range(config.n_codebooks):
        place = f"quantizer.layers.{k}.codebook"
        assert stored[f"{place}.inited"] == [1] and np.array_equal(stored[f"{place}.cluster_size"], np.ones(1024))
        np.testing.assert_array_equal(stored[f"{place}.embed_avg"], stored[f"{place}.embed"])
    assert len(stored) == len(tensors) + 3 * config.n_codebooks
    write(tmp_path / "tiny_48khz", {})
    refused("tiny_48khz", tmp_path / "other", "expected a model file")  # a folder that is here comes first


def test_output(tmp_path):
    src = write(tmp_path / "src", {"best_state": official(draw(SMALL)), "epoch": 3}, SMALL)
    dest = tmp_path / "my_model"
    dest.mkdir()  # empty: allowed
    convert(str(src), str(dest))
    assert sorted(path.name for path in dest.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my_model", "src"]
    assert len({path.stat().st_mode for path in dest.iterdir()}) == 1
    assert (dest / "config.json").read_bytes() == json.dumps(SMALL.to_dict(), indent=2).encode() + b"\n"
    card = (dest / "README.md").read_text()
    assert card.startswith("# my_model\n") and str(tmp_path) not in card
    for fact in ("`state.th`", f"{src.stat().st_size} bytes", hashlib.sha256(src.read_bytes()).hexdigest(),
                 "`cluster_size`; `embed_avg`; `epoch`; `inited`", "`config.json` beside it", "float32", "Licence"):
        assert fact in card, fact
    # Once more, from a folder: the same bytes, whatever the order in the source.
    shuffled = write(tmp_path / "src", {"best_state": dict(reversed(official(draw(SMALL)).items())), "epoch": 3}, SMALL)
    convert(shuffled, tmp_path / "again")
    convert(dest, tmp_path / "third")
    for other in ("again", "third"):
        for name in ("config.json", "model.safetensors"):
            assert (tmp_path / other / name).read_bytes() == (dest / name).read_bytes()


def test_converts_a_hub_folder_and_a_safetensors_file(tmp_path):
    tensors = draw(SMALL)
    (tmp_path / "config.json").write_text(json.dumps(
        {**SMALL.to_dict(), "architectures": ["EncodecModel"], "torch_dtype": "float32"}))
    save_file({name.replace("weight_g", "parametrizations.weight.original0")
               .replace("weight_v", "parametrizations.weight.original1"): array for name, array in tensors.items()},
              tmp_path / "model.safetensors")
    for src, dest in ((tmp_path, "a"), (tmp_path / "model.safetensors", "b")):
        convert(src, tmp_path / dest)
        check_equal(tmp_path / dest, SMALL, tensors)


def test_half(tmp_path):
    tensors = draw(SMALL)
    src = write(tmp_path / "src", official(tensors), SMALL)
    convert(src, tmp_path / "half", half=True)
    check_equal(tmp_path / "half", SMALL, {name: array.astype("f2").astype("f4") for name, array in tensors.items()})
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < src.stat().st_size / 2
    tensors["encoder.layers.0.conv.bias"][1] = -65_520
    src = write(tmp_path / "src", official(tensors), SMALL)
    refused(src, tmp_path / "x", f"{src}: encoder.layers.0.conv.bias: expected numbers that are finite in float16",
            half=True)


@pytest.mark.parametrize("preset", [ENCODEC_24KHZ, ENCODEC_48KHZ])
def test_infers_the_configuration(tmp_path, preset):
    """A bare state dict of a published model. Float16 here, to be quick."""
    state = {name: np.zeros(shape, "f2") for name, shape in expected_tensors(preset).items()}
    assert convert(write(tmp_path, state), tmp_path / "x") == preset
    assert f"are those of encodec_{preset.sampling_rate // 1000}khz" in (tmp_path / "x" / "README.md").read_text()
    del state["encoder.layers.15.conv.bias"]
    refused(write(tmp_path, state), tmp_path / "y", "config.json",
            f"against encodec_{preset.sampling_rate // 1000}khz: encoder.layers.15.conv.bias [128] is missing")


def test_refuses_what_does_not_fit(tmp_path):
    dest = tmp_path / "dest"
    message = refused(write(tmp_path / "a", official(draw(SMALL))), dest, "config.json", "; and ")
    assert len(message) < 2000
    other = dataclasses.replace(SMALL, num_filters=3)
    refused(write(tmp_path / "b", official(draw(SMALL)), other), dest, "state.th",
            "encoder.layers.0.conv.weight_v: expected [3, 1, 7], got [2, 1, 7]")
    for value, found in ((3, "int"), ({}, "[]"), ({"a": {"b": 1}}, "['a']"), ({"best_state": [1]}, "['best_state']"),
                         ({"encoder": {"dim": 3}}, "['encoder']"), ([np.zeros(3)], "list")):
        refused(write(tmp_path / "c", value, SMALL), dest, "state dict", found)
    for value, found in ((3, "int"), (np.zeros(2, "i8"), "int64"), ([1.0, 2.0], "missing")):
        state = {**official(draw(SMALL)), "encoder.model.0.conv.conv.bias": value}
        refused(write(tmp_path / "d", state, SMALL), dest, "encoder.layers.0.conv.bias", found)
    extra = {**official(draw(SMALL)), "encoder.model.0.conv.conv.other": np.zeros(1, "f4")}
    refused(write(tmp_path / "d", extra, SMALL), dest, "'encoder.layers.0.conv.other' is not of this model")
    refused(write(tmp_path / "d", {**official(draw(SMALL)), **draw(SMALL)}, SMALL), dest, "expected one tensor")
    refused(tmp_path / "none.th", dest, "none.th")
    refused(tmp_path, dest, "model.safetensors")
    (tmp_path / "c" / "config.json").write_text('{"model_type": "bert"}')
    refused(write(tmp_path / "c", official(draw(SMALL))), dest, "config.json", "model_type")
    assert not dest.exists()


def test_refuses_tensors_that_share_their_numbers(tmp_path):
    """A small file must not become a large model."""
    config = dataclasses.replace(SMALL, hidden_size=256, codebook_size=256, target_bandwidths=(320.0,))
    shapes = expected_tensors(config)
    big, program = make.storage("0", 1 << 16), b"}("
    for name, shape in shapes.items():
        strides = tuple(int(np.prod(shape[i + 1:])) for i in range(len(shape)))
        program += make.text(name) + make.tensor(big, 0, shape, strides)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    src = make.torch_zip(tmp_path / "x.th", program + b"u", {"data/0": bytes(4 << 16)})
    assert len(shapes) > 40
    refused(src, tmp_path / "dest", "that share them", f"got {sum(int(np.prod(shape)) for shape in shapes.values())}")


def test_refuses_a_destination_in_use(tmp_path):
    src = write(tmp_path / "src", official(draw(SMALL)), SMALL)
    dest = tmp_path / "dest"
    dest.mkdir()
    (dest / "precious").write_text("x")
    refused(src, dest, str(dest), "in use")
    assert [path.name for path in dest.iterdir()] == ["precious"]
    refused(src, dest / "precious", "in use")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(src, tmp_path / "link", "in use")


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    src = write(tmp_path / "src", official(draw(SMALL)), SMALL)

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyencodec.models.convert.write_model_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert(src, tmp_path / "dest")
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_interrupted_while_the_folder_is_made(tmp_path, monkeypatch):
    save_file(draw(SMALL), tmp_path / "in.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SMALL.to_dict()))
    before, mkdir = sorted(tmp_path.iterdir()), Path.mkdir

    def interrupted(path, *args, **options):  # a signal that comes in the system's call rises at its end
        mkdir(path, *args, **options)
        if path.suffix == ".part":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "in.safetensors", tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_listing():
    assert listing(["a", "b"]) == "a; b"
    assert listing(list("abcdefghijklm")) == "a; b; c; d; e; f; g; h; i; j; k; l; and 1 more"
