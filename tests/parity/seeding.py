"""Test signals, and seeded weights that make an oracle's codes follow the audio.

No trained weights can be had here, and PyTorch's default initialisation would hide most mistakes:
its layers shrink the signal until the biases alone decide every code. So weights are drawn such
that a layer about keeps its input's power (1.75 times the default), gains differ from channel to
channel, biases are a fifth of the default, and each codebook is drawn from the residuals that reach it.
"""

import math

import numpy as np
import torch
from torch import nn


def music(n_samples: int, channels: int = 1, seed: int = 0, rate: int = 24_000) -> np.ndarray:
    """Seeded notes with harmonics over filtered noise, float32 [C, T], peak below 1.

    Loudness, pitch and timbre change eight times a second, so that frames differ.
    """
    rng = np.random.default_rng(seed)
    wav = np.zeros((channels, n_samples))
    step = rate // 8
    for start in range(0, n_samples, step):
        n = min(3 * step, n_samples - start)
        t = np.arange(n) / rate
        pitch = 55 * 2 ** rng.uniform(0, 5)
        note = sum(rng.normal() / h * np.sin(2 * np.pi * (h * pitch * t + rng.uniform())) for h in range(1, 9))
        hiss = np.convolve(rng.normal(size=n + 15), rng.normal(size=16), "valid") * rng.uniform(0, 0.3)
        envelope = np.exp(-t * rng.uniform(2, 20)) * rng.uniform(0.02, 0.3)
        wav[:, start:start + n] += rng.uniform(0.3, 1, (channels, 1)) * (note + hiss) * envelope
    wav += rng.normal(size=wav.shape) * 1e-3
    return (wav / max(1.0, 1.05 * np.abs(wav).max(initial=0))).astype(np.float32)


@torch.no_grad()
def seed_layers(model: nn.Module, seed: int) -> None:
    """Draw every parameter of the encoder and the decoder, of either oracle."""
    generator = torch.Generator().manual_seed(seed)

    def draw(into: torch.Tensor, low: float, high: float) -> None:
        into.uniform_(low, high, generator=generator)

    for module in model.modules():
        parts = {name.replace("parametrizations.weight.original0", "weight_g")
                     .replace("parametrizations.weight.original1", "weight_v"): value
                 for name, value in module.named_parameters()}
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            v = parts.get("weight_v", parts.get("weight"))
            products = v.shape[1] * v.shape[2]  # summed into one output sample
            if isinstance(module, nn.ConvTranspose1d):
                products = v.shape[0] * v.shape[2] // module.stride[0]
            limit = 1 / math.sqrt(products)
            draw(v, -limit, limit)
            draw(parts["bias"], -limit / 5, limit / 5)
            if "weight_g" in parts:
                g = parts["weight_g"]
                draw(g, 1.75 * 0.8, 1.75 * 1.2)
                g.mul_(v.flatten(1).norm(dim=1).reshape(g.shape))
        elif isinstance(module, nn.GroupNorm):
            draw(module.weight, 0.7, 1.3)
            draw(module.bias, -0.2, 0.2)
        elif isinstance(module, nn.LSTM):
            for value in parts.values():
                draw(value, -1 / math.sqrt(module.hidden_size), 1 / math.sqrt(module.hidden_size))


def draw_codebooks(embeds: list[torch.Tensor], latents: np.ndarray, seed: int) -> None:
    """Fill each codebook [N, D] with jittered residuals of `latents` [F, D] that reach it.

    A latent may not be quantised by the entry drawn from itself, so the later codebooks see what
    they will see with other audio. Entries are half as long as what they are drawn from: longer ones
    would make the residual grow.
    """
    rng = np.random.default_rng(seed)
    residual = torch.from_numpy(latents)
    for embed in embeds:
        n, d = embed.shape
        origin = torch.from_numpy(rng.permutation(max(n, len(residual)))[:n] % len(residual))
        jitter = torch.from_numpy(rng.normal(size=(n, d)).astype(np.float32))
        embed[:] = 0.5 * residual[origin] + 0.05 * residual.std(0) * jitter
        distance = torch.cdist(residual, embed)
        distance[origin, torch.arange(n)] = math.inf
        residual = residual - embed[distance.argmin(1)]
