"""Figures on held-out clips, for each bitrate: does the model get better, and does every codebook help?

Training losses hide what goes wrong in a codec. So in addition to signal-to-noise ratio and mel distance per bitrate
and kind of sound, this tells of the latent: its size, what is left of its energy after each codebook (it should fall
steadily), and how many bits of the possible ones each codebook's choices carry (all, if its entries are used evenly).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tinyencodec.train import losses
from tinyencodec.train.mel import MelScales
from tinyencodec.train.network import Codec
from tinyencodec.train.packed import PackedCorpus

UNQUANTIZED = float("inf")  # the bitrate of a latent that is not quantised


@dataclass
class Report:
    """rates : rows (kind, kbit/s, SI-SNR in dB, mel distance); codebooks : rows (number from 1, energy left after it
    as a share of the latent's, entropy of its codes in bits); latent : root mean square of the latent; dimensions : how
    many it spreads over, `dimensions`."""

    rates: list[tuple[str, float, float, float]]
    codebooks: list[tuple[int, float, float]]
    latent: float
    dimensions: float


class Validator:
    """Holds the clips: for each kind `clips` of `seconds`, always the same for a corpus; those of no kind are faint.

    search : choices that the quantiser keeps
    """

    def __init__(self, corpus: PackedCorpus, clips: int = 8, seconds: float = 3.0, search: int = 1):
        self.search = search
        length, self.clips = int(seconds * corpus.sample_rate), {}
        self.mel = MelScales(corpus.sample_rate)
        for number, kind in enumerate(corpus.entries):
            rng, found = np.random.default_rng(number), []
            for _ in range(50 * clips):  # a corpus may be silent
                wav = 0.5 * corpus.random_clip(kind, length, rng)
                if np.sqrt(np.mean(np.square(wav))) > 0.01:
                    found.append(wav)
                if len(found) == clips:
                    break
            if found:
                self.clips[kind] = torch.from_numpy(np.stack(found))

    @torch.no_grad()
    def measure(self, codec: Codec) -> Report:
        """Code all clips at all bitrates, and without quantiser. `codec` stays in the mode it is in.

        Without clips, a report without figures.
        """
        if not self.clips:
            return Report([], [], math.nan, math.nan)
        device = next(codec.parameters()).device
        self.mel.to(device)
        config, rates, latents = codec.config, [], []
        for kind, clips in self.clips.items():
            wav = clips.to(device)
            z = codec.latent(wav)
            latents.append(z.transpose(1, 2).flatten(0, 1))
            versions = {UNQUANTIZED: z}
            if codec.quantizer.started:
                for bandwidth in config.target_bandwidths:
                    versions[bandwidth] = codec.quantizer.search(z, config.codebooks_for(bandwidth), self.search)[0]
            for bandwidth, latent in versions.items():
                y = codec.sound(latent, wav)
                snr = float(losses.si_snr(wav.flatten(1), y.flatten(1)).mean())
                rates.append((kind, bandwidth, snr, float(losses.mel_distance(self.mel(wav), self.mel(y)))))
        z = torch.cat(latents)
        return Report(rates, _codebook_rows(codec, z), float(z.square().mean().sqrt()), dimensions(z))


def dimensions(z: Tensor) -> float:
    """Over how many dimensions vectors [M, D] spread: D if evenly over all, 1 if they lie on a line.

    The exponential of the entropy of the covariance's eigenvalues as shares of their sum (Roy & Vetterli 2007).
    """
    spread = torch.linalg.eigvalsh(torch.cov(z.double().t())).clamp(min=0)
    share = spread / spread.sum()
    return float(torch.exp(-torch.xlogy(share, share).sum()))


def _codebook_rows(codec: Codec, z: Tensor) -> list[tuple[int, float, float]]:
    if not codec.quantizer.started:
        return []
    rows, residual, energy = [], z, z.square().sum()
    for number, codebook in enumerate(codec.quantizer.codebooks, 1):
        chosen = codebook.nearest(residual)
        residual = residual - codebook.embed[chosen]
        share = torch.bincount(chosen, minlength=len(codebook.embed)).double() / len(chosen)
        entropy = -(share[share > 0] * share[share > 0].log2()).sum()
        rows.append((number, float(residual.square().sum() / energy), float(entropy)))
    return rows
