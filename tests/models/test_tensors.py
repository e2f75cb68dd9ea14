"""Names and shapes of a model's tensors, and loading them from a folder."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_32KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.models.state_dict import canonical_name
from tinyencodec.models.tensors import expected_tensors, read_model_folder

SMALL = CodecConfig(num_filters=2, hidden_size=4, codebook_size=4, upsampling_ratios=(3, 2), kernel_size=3,
                    last_kernel_size=5, num_lstm_layers=1, target_bandwidths=(8.0, 16.0))
GROUP_NORM = dataclasses.replace(SMALL, norm_type="time_group_norm", use_causal_conv=False, num_residual_layers=2)


def draw(config, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype("f4") for name, shape in expected_tensors(config).items()}


def write(folder, config, tensors):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(tensors, folder / "model.safetensors")
    return folder


def check_equal(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, array in tensors.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous and array.flags.writeable
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def size(config, part):
    return sum(int(np.prod(shape)) for name, shape in expected_tensors(config).items() if name.startswith(part))


# ---- shapes

def test_all_shapes_of_a_small_model():
    assert expected_tensors(SMALL) == {
        "encoder.layers.0.conv.weight_g": (2, 1, 1), "encoder.layers.0.conv.weight_v": (2, 1, 3),
        "encoder.layers.0.conv.bias": (2,),
        "encoder.layers.1.block.1.conv.weight_g": (1, 1, 1), "encoder.layers.1.block.1.conv.weight_v": (1, 2, 3),
        "encoder.layers.1.block.1.conv.bias": (1,),
        "encoder.layers.1.block.3.conv.weight_g": (2, 1, 1), "encoder.layers.1.block.3.conv.weight_v": (2, 1, 1),
        "encoder.layers.1.block.3.conv.bias": (2,),
        "encoder.layers.1.shortcut.conv.weight_g": (2, 1, 1), "encoder.layers.1.shortcut.conv.weight_v": (2, 2, 1),
        "encoder.layers.1.shortcut.conv.bias": (2,),
        "encoder.layers.3.conv.weight_g": (4, 1, 1), "encoder.layers.3.conv.weight_v": (4, 2, 4),
        "encoder.layers.3.conv.bias": (4,),
        "encoder.layers.4.block.1.conv.weight_g": (2, 1, 1), "encoder.layers.4.block.1.conv.weight_v": (2, 4, 3),
        "encoder.layers.4.block.1.conv.bias": (2,),
        "encoder.layers.4.block.3.conv.weight_g": (4, 1, 1), "encoder.layers.4.block.3.conv.weight_v": (4, 2, 1),
        "encoder.layers.4.block.3.conv.bias": (4,),
        "encoder.layers.4.shortcut.conv.weight_g": (4, 1, 1), "encoder.layers.4.shortcut.conv.weight_v": (4, 4, 1),
        "encoder.layers.4.shortcut.conv.bias": (4,),
        "encoder.layers.6.conv.weight_g": (8, 1, 1), "encoder.layers.6.conv.weight_v": (8, 4, 6),
        "encoder.layers.6.conv.bias": (8,),
        "encoder.layers.7.lstm.weight_ih_l0": (32, 8), "encoder.layers.7.lstm.weight_hh_l0": (32, 8),
        "encoder.layers.7.lstm.bias_ih_l0": (32,), "encoder.layers.7.lstm.bias_hh_l0": (32,),
        "encoder.layers.9.conv.weight_g": (4, 1, 1), "encoder.layers.9.conv.weight_v": (4, 8, 5),
        "encoder.layers.9.conv.bias": (4,),
        "quantizer.layers.0.codebook.embed": (4, 4), "quantizer.layers.1.codebook.embed": (4, 4),
        "decoder.layers.0.conv.weight_g": (8, 1, 1), "decoder.layers.0.conv.weight_v": (8, 4, 3),
        "decoder.layers.0.conv.bias": (8,),
        "decoder.layers.1.lstm.weight_ih_l0": (32, 8), "decoder.layers.1.lstm.weight_hh_l0": (32, 8),
        "decoder.layers.1.lstm.bias_ih_l0": (32,), "decoder.layers.1.lstm.bias_hh_l0": (32,),
        # transposed: [in, out, kernel], and one gain per input channel
        "decoder.layers.3.conv.weight_g": (8, 1, 1), "decoder.layers.3.conv.weight_v": (8, 4, 6),
        "decoder.layers.3.conv.bias": (4,),
        "decoder.layers.4.block.1.conv.weight_g": (2, 1, 1), "decoder.layers.4.block.1.conv.weight_v": (2, 4, 3),
        "decoder.layers.4.block.1.conv.bias": (2,),
        "decoder.layers.4.block.3.conv.weight_g": (4, 1, 1), "decoder.layers.4.block.3.conv.weight_v": (4, 2, 1),
        "decoder.layers.4.block.3.conv.bias": (4,),
        "decoder.layers.4.shortcut.conv.weight_g": (4, 1, 1), "decoder.layers.4.shortcut.conv.weight_v": (4, 4, 1),
        "decoder.layers.4.shortcut.conv.bias": (4,),
        "decoder.layers.6.conv.weight_g": (4, 1, 1), "decoder.layers.6.conv.weight_v": (4, 2, 4),
        "decoder.layers.6.conv.bias": (2,),
        "decoder.layers.7.block.1.conv.weight_g": (1, 1, 1), "decoder.layers.7.block.1.conv.weight_v": (1, 2, 3),
        "decoder.layers.7.block.1.conv.bias": (1,),
        "decoder.layers.7.block.3.conv.weight_g": (2, 1, 1), "decoder.layers.7.block.3.conv.weight_v": (2, 1, 1),
        "decoder.layers.7.block.3.conv.bias": (2,),
        "decoder.layers.7.shortcut.conv.weight_g": (2, 1, 1), "decoder.layers.7.shortcut.conv.weight_v": (2, 2, 1),
        "decoder.layers.7.shortcut.conv.bias": (2,),
        "decoder.layers.9.conv.weight_g": (1, 1, 1), "decoder.layers.9.conv.weight_v": (1, 2, 5),
        "decoder.layers.9.conv.bias": (1,),
    }


def test_sizes_of_the_published_models():
    def network(config):
        return round((size(config, "encoder") + size(config, "decoder")) / 1e6, 2)

    assert network(ENCODEC_24KHZ) == 14.85 and network(ENCODEC_48KHZ) == 14.86
    assert size(ENCODEC_24KHZ, "quantizer") == 32 * 1024 * 128
    assert size(ENCODEC_48KHZ, "quantizer") == 16 * 1024 * 128
    statistics = 4 * (2048 * 128 + 2048 + 1)  # which the published figure of 59 million counts
    assert round((size(ENCODEC_32KHZ, "") + statistics) / 1e6) == 59


def test_group_norm_and_absent_parts():
    shapes = expected_tensors(GROUP_NORM)
    assert not any("weight_g" in name or "weight_v" in name for name in shapes)
    assert shapes["encoder.layers.2.block.1.conv.weight"] == (1, 2, 3)
    assert shapes["encoder.layers.2.block.1.norm.weight"] == shapes["encoder.layers.2.block.1.norm.bias"] == (1,)
    assert shapes["decoder.layers.3.conv.weight"] == (8, 4, 6) and shapes["decoder.layers.3.norm.bias"] == (4,)
    without = expected_tensors(dataclasses.replace(SMALL, use_conv_shortcut=False, num_lstm_layers=0))
    assert not any("shortcut" in name or "lstm" in name for name in without)
    assert "encoder.layers.8.conv.bias" in without and "decoder.layers.2.conv.bias" in without  # LSTM has no number


def test_absurd_config_is_refused():
    for fields in ({"num_residual_layers": 1 << 20}, {"target_bandwidths": (999_999.0,)}):
        with pytest.raises(ValueError, match="at most 4096|an integer from 1 to 64"):
            expected_tensors(dataclasses.replace(SMALL, **fields))


# ---- names

@pytest.mark.parametrize("config", [SMALL, GROUP_NORM, ENCODEC_24KHZ, ENCODEC_48KHZ, ENCODEC_32KHZ])
def test_canonical_names_stay(config):
    assert all(canonical_name(name) == name for name in expected_tensors(config))


# ---- loading

@pytest.mark.parametrize("config", [SMALL, GROUP_NORM])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_reads_a_folder(tmp_path, config, dtype):
    tensors = {name: array.astype(dtype) for name, array in draw(config).items()}
    read, loaded = read_model_folder(write(tmp_path, config, tensors))
    assert read == config
    check_equal(loaded, {name: array.astype("f4") for name, array in tensors.items()})


def test_reads_bfloat16(tmp_path):
    tensors = draw(SMALL)
    entries, data = {}, b""
    for name, array in tensors.items():
        tensors[name] = (array.view("u4") & 0xFFFF0000).view("f4")
        numbers = (array.view("<u4") >> 16).astype("<u2").tobytes()
        entries[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": [len(data), len(data) + len(numbers)]}
        data += numbers
    header = json.dumps(entries).encode()
    write(tmp_path, SMALL, draw(SMALL))
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    check_equal(read_model_folder(tmp_path)[1], tensors)


def test_reads_a_hub_folder_of_either_spelling(tmp_path):
    tensors = draw(SMALL)
    hub = {name.replace("weight_g", "parametrizations.weight.original0")
           .replace("weight_v", "parametrizations.weight.original1"): array for name, array in tensors.items()}
    assert hub.keys() != tensors.keys()
    for k in range(2):
        hub[f"quantizer.layers.{k}.codebook.inited"] = np.ones(1, bool)
        hub[f"quantizer.layers.{k}.codebook.cluster_size"] = np.zeros(4, "f4")
        hub[f"quantizer.layers.{k}.codebook.embed_avg"] = np.zeros((4, 4), "f4")
    check_equal(read_model_folder(write(tmp_path, SMALL, hub))[1], tensors)


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize("actual", [True, False])
def test_shortcut_is_as_the_tensors_are(tmp_path, claimed, actual):
    config = dataclasses.replace(SMALL, use_conv_shortcut=actual)
    write(tmp_path, dataclasses.replace(SMALL, use_conv_shortcut=claimed), draw(config))
    assert read_model_folder(tmp_path)[0] == config


# ---- errors

def refused(folder, *matches):
    with pytest.raises(ValueError) as caught:
        read_model_folder(folder)
    message = str(caught.value)
    assert str(folder) in message and len(message) < 3000
    for match in matches:
        assert match in message, message


def test_names_each_wrong_tensor(tmp_path):
    tensors = draw(SMALL)
    del tensors["encoder.layers.0.conv.bias"]
    tensors["decoder.layers.3.conv.weight_g"] = np.zeros((4, 1, 1), "f4")
    tensors["quantizer.layers.2.codebook.embed"] = np.zeros((4, 4), "f4")
    tensors["encoder.layers.9.conv.bias"][1] = np.nan
    tensors["encoder.layers.6.conv.bias"][0] = -np.inf
    refused(write(tmp_path, SMALL, tensors), "model.safetensors", "encoder.layers.0.conv.bias [2] is missing",
            "decoder.layers.3.conv.weight_g: expected [8, 1, 1], got [4, 1, 1]",
            "'quantizer.layers.2.codebook.embed' is not of this model",
            "encoder.layers.9.conv.bias holds NaN or infinity", "encoder.layers.6.conv.bias holds NaN or infinity")


def test_long_lists_are_cut(tmp_path):
    tensors = {f"encoder.{'x' * 200}{i}": np.zeros(1, "f4") for i in range(100)}
    with pytest.raises(ValueError, match=r"; and \d+ more$") as caught:
        read_model_folder(write(tmp_path, SMALL, tensors))
    assert len(str(caught.value)) < 1500 and str(caught.value).startswith(f"{tmp_path / 'model.safetensors'}: ")


def test_other_contents(tmp_path):
    tensors = draw(SMALL)
    name = "encoder.layers.0.conv.weight_g"
    refused(write(tmp_path, SMALL, {**tensors, name: np.zeros((2, 1, 1), "i8")}), name, "floats, got int64")
    refused(write(tmp_path, SMALL, {**tensors, name: np.full((2, 1, 1), 1e39)}), f"{name} holds NaN or infinity")
    twice = {**tensors, "encoder.layers.0.conv.parametrizations.weight.original0": tensors[name]}
    refused(write(tmp_path, SMALL, twice), f"'{name}': expected one tensor of this name")
    refused(write(tmp_path, SMALL, {name: tensors[name]}), "is missing", "more")
    refused(write(tmp_path, SMALL, {}), "expected a state dict of a codec, got entries such as []")
    (tmp_path / "model.safetensors").write_bytes(b"no such thing")
    refused(tmp_path, "whole safetensors file")
    (tmp_path / "config.json").write_text("[")
    refused(tmp_path, "config.json")
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError):
        read_model_folder(tmp_path)


@given(data=st.data())
def test_mutated_files_raise_nothing_else(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "mutated"
    path = write(folder, SMALL, draw(SMALL)) / "model.safetensors"
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at:at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    path.write_bytes(whole)
    try:
        read_model_folder(folder)
    except ValueError as error:
        assert str(path) in str(error)


def test_odd_headers(tmp_path):
    """Whatever the library accepts or refuses becomes a `ValueError`."""
    write(tmp_path, SMALL, {})
    for dtype, shape, length in [("F32", [0, 2**62], 0), ("F32", [1] * 70, 4), ("F8_E4M3", [4], 4), ("C64", [1], 8)]:
        header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, length]}}).encode()
        data = len(header).to_bytes(8, "little") + header + bytes(length)
        (tmp_path / "model.safetensors").write_bytes(data)
        refused(tmp_path, "model.safetensors")
