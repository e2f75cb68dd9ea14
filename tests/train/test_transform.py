"""The start as a transform codec: the transform itself, its way through the stages, and what the layers make of it."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F

from tests.parity.models import SMALL
from tinyencodec.train.initialise import initialise
from tinyencodec.train.layers import Conv, ConvTranspose
from tinyencodec.train.losses import si_snr
from tinyencodec.train.network import Codec
from tinyencodec.train.recipe import CODECS, Recipe
from tinyencodec.train.transform import cosines, lapped_cosines, plan
from tinyencodec.train.transform_start import transform_start
from tinyencodec.train.validation import dimensions


def humming(config, n_clips=4):
    """Noise below a twelfth of the sample rate, [B, C, 3 s or less], the channels alike but not the same."""
    generator = torch.Generator().manual_seed(1)
    length = min(config.sampling_rate, 24_000)
    spectrum = torch.fft.rfft(torch.randn(n_clips, 1 + config.audio_channels, length, generator=generator))
    spectrum[..., length // 12:] = 0
    wav = torch.fft.irfft(spectrum, n=length)
    wav = wav[:, :1] + 0.3 * wav[:, 1:]
    return 0.1 * wav / wav.std()


def started(config, start, wav):
    torch.manual_seed(0)
    codec = Codec(config)
    start(codec, wav)
    return codec.eval()


@pytest.mark.parametrize("size", [1, 2, 15, 40])
def test_cosines(size):
    """Orthogonal; a constant is in the first coefficient alone; a sine at the k-th frequency in the k-th."""
    matrix, ones = cosines(size), torch.ones(size, dtype=torch.float64)
    assert torch.allclose(matrix @ matrix.t(), torch.eye(size, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(matrix @ ones, size**0.5 * torch.eye(size, dtype=torch.float64)[0], atol=1e-12)
    crossings = (matrix[:, 1:] * matrix[:, :-1] < 0).sum(dim=1)
    assert crossings.tolist() == list(range(size))


@pytest.mark.parametrize("size", [1, 2, 15, 40])
def test_lapped_cosines_undo_themselves_where_windows_overlap(size):
    matrix = lapped_cosines(size)
    x = torch.randn(6 * size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    y = torch.zeros_like(x)
    for start in range(0, 5 * size, size):
        y[start:start + 2 * size] += matrix.t() @ (matrix @ x[start:start + 2 * size])
    assert torch.allclose(y[size:-size], x[size:-size], atol=1e-12)


@pytest.mark.parametrize("name", [*SMALL, "tiny_24khz", "tiny_48khz"])
def test_the_stages_of_a_plan_lead_there_and_back(name):
    """Without layers in between, in float64: what the coefficients do not hold is all that is lost."""
    config = (SMALL | CODECS)[name]
    wav = humming(config).double()
    steps = plan(config, wav)
    x = wav[..., :wav.shape[2] // config.hop_length * config.hop_length]
    numbers = torch.einsum("mc,bct->bmt", steps.enter, x)
    for stage, stride in zip(steps.stages, config.upsampling_ratios[::-1]):
        margin = stage.encode.shape[1] - stride
        left = margin - margin // 2
        windows = F.pad(numbers, (left, margin - left)).unfold(2, stage.encode.shape[1], stride)  # [B, n, F, taps]
        numbers = torch.einsum("mkn,bnfk->bmf", stage.encode, windows)
    assert numbers.shape[1] == len(steps.latent) <= config.hidden_size
    for stage, stride in zip(steps.stages[::-1], config.upsampling_ratios):
        margin = stage.decode.shape[1] - stride
        left = margin - margin // 2
        numbers = F.conv_transpose1d(numbers, stage.decode.permute(2, 0, 1), stride=stride)
        numbers = numbers[..., left:numbers.shape[2] - (margin - left)]
    y = torch.einsum("cm,bmt->bct", steps.leave, numbers)
    inner = slice(config.hop_length, -config.hop_length)
    assert (y - x)[..., inner].square().sum() < 0.05 * x[..., inner].square().sum()


@pytest.mark.parametrize("name", [*SMALL, "tiny_24khz", "tiny_48khz", "nano_24khz"])
def test_a_new_codec_passes_the_sound_through(name):
    """At least 8 dB, where random weights are below -3 dB; and the weights' directions have about the length 1."""
    config = (SMALL | CODECS)[name]
    wav = humming(config)
    codec = started(config, transform_start, wav)
    with torch.no_grad():
        z = codec.latent(wav)
        y = codec.sound(z, wav)
        other = started(config, initialise, wav)
        guess = other.sound(other.latent(wav), wav)
    inner = slice(config.hop_length, -config.hop_length)
    heard = float(si_snr(wav[..., inner], y[..., inner]).mean())
    print(name, round(heard, 2), round(dimensions(z.transpose(1, 2).flatten(0, 1)), 1), float(z.square().mean().sqrt()))
    assert heard > 8 and float(si_snr(wav, guess).mean()) < -3
    assert 0.5 < float(y.std() / wav.std()) < 1.5
    for kernel in (part.conv for part in codec.modules() if isinstance(part, (Conv, ConvTranspose))):
        if kernel.weight_norm:
            lengths = torch.linalg.vector_norm(kernel.weight_v, dim=(1, 2))
            assert torch.allclose(lengths, torch.ones_like(lengths), atol=0.2)  # 1 where the transform is
        else:
            assert float(torch.linalg.vector_norm(kernel.weight)) == pytest.approx(len(kernel.bias)**0.5, rel=1e-3)
    assert all(bool(value.isfinite().all()) for value in codec.parameters())


def test_every_weight_can_learn():
    """No parameter is without gradient: nothing starts switched off for good."""
    config = dataclasses.replace(CODECS["nano_24khz"], num_filters=4, hidden_size=16)
    wav = humming(config)
    codec = started(config, transform_start, wav)
    (codec.sound(codec.latent(wav), wav) - wav).square().sum().backward()
    silent = [name for name, value in codec.named_parameters() if not value.grad.abs().sum() > 0]
    assert not silent


def test_silence_is_no_start():
    wav = torch.zeros(2, 1, 4800)
    with pytest.raises(ValueError, match="expected clips with sound"):
        transform_start(Codec(CODECS["nano_24khz"]), wav)
    wav[0] = humming(CODECS["nano_24khz"])[0, :, :4800]
    codec = started(CODECS["nano_24khz"], transform_start, wav)
    assert all(bool(value.isfinite().all()) for value in codec.parameters())


def test_recipe_knows_two_starts():
    assert Recipe().start == "transform" and Recipe(start="random").start == "random"
    with pytest.raises(ValueError, match="'transform' or 'random', got 'zeros'"):
        Recipe(start="zeros")
