"""What was made fast gives what plain PyTorch gives, and its gradients."""

import shutil

import pytest
import torch
from torch.nn import functional as F

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train import fused
from tinyencodec.train.layers import Conv, ConvTranspose, TimeGroupNorm, in_blocks, out_of_blocks, pad
from tinyencodec.train.mel import power, stft

CAUSAL = CodecConfig()
SPREAD = CodecConfig(use_causal_conv=False)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def same_gradients(one, other, *inputs, tolerance=1e-5):
    """Two functions of the inputs agree, and so do the gradients of the same random sum of what they return."""
    found = []
    for function in (one, other):
        leaves = [value.detach().clone().requires_grad_() for value in inputs]
        y = function(*leaves)
        found.append([y.detach(), *torch.autograd.grad((y * noise(*y.shape, seed=9)).sum(), leaves)])
    for a, b in zip(*found):
        assert a.shape == b.shape and (a - b).abs().max() <= tolerance * b.abs().max()


@pytest.mark.parametrize("length, left, right", [(20, 3, 0), (20, 2, 5), (20, 0, 4), (6, 5, 5)])
def test_mirror_image(length, left, right):
    same_gradients(lambda x: pad(x, left, right, "reflect"), lambda x: F.pad(x, (left, right), mode="reflect"),
                   noise(2, 3, length))


@pytest.mark.parametrize("config", [CAUSAL, SPREAD])
@pytest.mark.parametrize("stride", [1, 2, 5])
def test_convolution(config, stride):
    layer = Conv(config, 3, 4, 2 * stride if stride > 1 else 7, stride)
    right = layer.span - stride - layer.pad_left  # of a length that is a multiple of the stride

    def plain(x):
        padded = F.pad(x, (layer.pad_left, right), mode="reflect")
        return F.conv1d(padded, layer.conv.folded(), layer.conv.bias, stride=stride)

    same_gradients(layer, plain, noise(2, 3, 20 * stride))


@pytest.mark.parametrize("config", [CAUSAL, SPREAD])
@pytest.mark.parametrize("stride", [2, 5])
def test_transposed_convolution(config, stride):
    layer = ConvTranspose(config, 3, 4, 2 * stride, stride)
    with torch.no_grad():
        layer.conv.bias.copy_(noise(4))

    def plain(x):
        y = F.conv_transpose1d(x, layer.conv.folded(), layer.conv.bias, stride=stride)
        return y[..., layer.trim_left:layer.trim_left + x.shape[2] * stride]

    same_gradients(layer, plain, noise(2, 3, 9))


def test_group_norm():
    layer = TimeGroupNorm(1, 5)
    with torch.no_grad():
        layer.weight.copy_(noise(5))
        layer.bias.copy_(noise(5, seed=1))
    same_gradients(layer, lambda x: F.group_norm(x, 1, layer.weight, layer.bias), 3 * noise(2, 5, 40) + 2,
                   tolerance=1e-4)


def test_blocks():
    x = noise(2, 3, 20)
    blocks = in_blocks(x, 4)
    assert blocks.shape == (2, 12, 5)
    assert torch.equal(blocks[1, :, 2], torch.cat([x[1, :, t] for t in range(8, 12)]))
    assert torch.equal(out_of_blocks(blocks, 4), x)


@pytest.mark.parametrize("window", [32, 1024])
def test_power_spectrum(window):
    def plain(x):
        spectrum = stft(x, torch.hann_window(window))
        return spectrum.real.square() + spectrum.imag.square()

    same_gradients(lambda x: power(x, torch.hann_window(window)), plain, noise(2, 1, 3000))


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.skipif(
    shutil.which("g++") is None, reason="needs a C++ compiler"))])
def test_elu(compiled, monkeypatch):
    monkeypatch.setattr(fused, "_enabled", compiled)
    x = 3 * noise(2, 5, 700)
    same_gradients(fused.elu, F.elu, x, tolerance=1e-6)
    half = x.bfloat16().transpose(1, 2)
    assert (fused.elu(half).float() - F.elu(half.float())).abs().max() <= 2**-8 * 12  # half a unit of 8 to 16


def test_compiled_once_enabled(monkeypatch):
    """Functions are compiled at their first call after `enable`, and not before."""
    monkeypatch.setattr(fused, "_enabled", False)
    calls = []
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: calls.append(function) or function)
    double = fused.fusible(lambda x: 2 * x)
    assert double(3) == 6 and not calls
    fused.enable()
    assert double(4) == 8 and double(5) == 10 and len(calls) == 1


def test_without_a_compiler(monkeypatch, capsys):
    """It is told once, for all functions; errors that are not the compiler's stay errors."""
    def fails(*args):
        raise RuntimeError("no compiler\nfound")

    monkeypatch.setattr(fused, "_enabled", True)
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: fails)
    double, treble = fused.fusible(lambda x: 2 * x), fused.fusible(lambda x: 3 * x)
    assert double(4) == 8 and treble(4) == 12 and double(5) == 10
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "goes on without --compile" in said and "no compiler" in said
    monkeypatch.setattr(fused, "_enabled", True)
    with pytest.raises(RuntimeError, match="no compiler"):
        fused.fusible(fails)(1)
