"""The PyTorch layers are the NumPy layers: what is trained is what runs."""

import numpy as np
import pytest
import torch

from tests.parity.models import SMALL, signal
from tinyencodec import load_model
from tinyencodec.codec.config import ENCODEC_32KHZ
from tinyencodec.models.store import DEFAULT_MODEL, find_model
from tinyencodec.models.tensors import expected_tensors, read_model_folder
from tinyencodec.train.initialise import initialise
from tinyencodec.train.network import Codec, freeze, load, save
from tinyencodec.train.recipe import CODECS

CONFIGS = SMALL | {name: CODECS[name] for name in ("tiny_24khz", "tiny_48khz")}


def random_codec(config, seed=0):
    """A codec that lets the signal through, with biases, gains that differ, and codebooks learnt from the signal."""
    torch.manual_seed(seed)
    codec = Codec(config)
    wav = torch.from_numpy(signal(config, config.segment_length or config.sampling_rate))[None]
    initialise(codec, wav)
    with torch.no_grad():
        for name, value in codec.named_parameters():
            if name.endswith(("weight_g", "norm.weight")):
                value.mul_(torch.empty_like(value).uniform_(0.8, 1.2))
            elif name.endswith("bias"):
                value.add_(torch.empty_like(value).uniform_(-0.1, 0.1))
        codec.quantizer.start(codec.latent(wav)[0].t(), torch.Generator().manual_seed(seed))
    return codec.eval()


def decode(codec, codes, wav):
    """Codes int64 [K, F] to sound [C, T], in PyTorch."""
    latent = sum(book.embed[row] for book, row in zip(codec.quantizer.codebooks, codes)).t()[None]
    return codec.sound(latent, wav)[0]


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_same_codes_and_sound(name, tmp_path):
    config = CONFIGS[name]
    codec = random_codec(config)
    assert list(expected_tensors(config).items()) == sorted(
        ((name, tuple(value.shape)) for name, value in codec.state_dict().items() if name in expected_tensors(config)),
        key=lambda item: list(expected_tensors(config)).index(item[0]))
    save(codec, tmp_path / name)
    model = load_model(tmp_path / name)
    for length in (config.segment_length or config.sampling_rate, config.hop_length * 3 + 1, 1):
        wav = signal(config, length)
        tensor = torch.from_numpy(wav)[None]
        rate = config.target_bandwidths[-1]
        (frame,) = model.encode(wav, rate)[:1]  # where segments overlap, a second one begins within the first
        codes = codec.quantizer.quantize(codec.latent(tensor), config.n_codebooks)[1][0].numpy()
        # Equal but for ties: the latents agree within rounding, and a code that flips changes those after it.
        assert codes.shape == frame.codes.shape
        assert np.mean(codes != frame.codes) <= 0.002
        if config.segment_stride is None or length <= config.segment_stride:
            expected = decode(codec, torch.from_numpy(frame.codes.astype(np.int64)), tensor).numpy()
            found = model.decode([frame], length)
            assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()


def test_half_precision(tmp_path):
    codec = random_codec(SMALL["dilated"])
    save(codec, tmp_path, precision="half")
    config, tensors = read_model_folder(tmp_path)
    assert config == codec.config
    for name, value in tensors.items():
        assert np.array_equal(value, codec.state_dict()[name].numpy().astype(np.float16).astype(np.float32))


def test_save_refuses_what_is_no_number(tmp_path):
    codec = random_codec(SMALL["dilated"])
    with torch.no_grad():
        codec.decoder.layers[0].conv.bias[0] = torch.nan
    with pytest.raises(ValueError, match=r"decoder\.layers\.0\.conv\.bias: expected numbers that are finite"):
        save(codec, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_load_what_numpy_runs():
    codec = load(find_model(DEFAULT_MODEL))
    _, tensors = read_model_folder(find_model(DEFAULT_MODEL))
    state = codec.state_dict()
    assert all(np.array_equal(state[name].numpy(), value) for name, value in tensors.items())
    assert codec.quantizer.started
    wav = signal(codec.config, 24_000)
    with torch.no_grad():
        codes = codec.quantizer.quantize(codec.latent(torch.from_numpy(wav)[None]), 16)[1][0].numpy()
    assert np.mean(codes != load_model(DEFAULT_MODEL).encode(wav, 12.0)[0].codes) <= 0.002


def test_load_without_shortcut_convolutions(tmp_path):
    config = SMALL["identity_skip"]
    assert not ENCODEC_32KHZ.use_conv_shortcut and not config.use_conv_shortcut
    save(random_codec(config), tmp_path)
    assert load(tmp_path).config == config


def test_initial_weights_let_the_signal_through():
    """Not a millionth of it, as PyTorch's own initial weights do, nor a million times as much."""
    config = CODECS["tiny_24khz"]
    torch.manual_seed(0)
    codec, wav = Codec(config), torch.from_numpy(signal(config, 24_000))[None]
    initialise(codec, wav)
    with torch.no_grad():
        z = codec.latent(wav)
        assert 0.9 < z.std() < 1.1
        other = codec.latent(wav.flip(2))
        assert (z - other).std() > 0.3
        y = codec.sound(z, wav)
        assert 0.08 < y.std() / wav.std() < 0.12
    assert all(not value.any() for name, value in codec.named_parameters() if "bias" in name)


def test_freeze():
    codec = Codec(SMALL["dilated"])
    freeze(codec.encoder)
    assert {name.split(".")[0] for name, value in codec.named_parameters() if value.requires_grad} == {"decoder"}
