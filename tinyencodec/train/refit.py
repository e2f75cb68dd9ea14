"""`python -m tinyencodec.train.refit MODEL OUT --corpus CORPUS`: lay the quantiser's noise where it is heard least.

Codebooks that follow a learning encoder by moving averages lag behind it, and see one batch at a time. When the
encoder is done, k-means over many latents finds better ones. And the quantiser makes the same error in all directions
of the latent, but the decoder does not hear them alike. How it hears them can be measured: if f(z) is what counts of
the sound that latent z becomes, a small error e of the latent changes it by J e, J being the Jacobian, so by

    |J e|^2 = e^T M e    with M = J^T J, a mean over frames

M comes from gradients alone: that of f . v with v drawn from a normal distribution is J^T v, and the mean of
(J^T v)(J^T v)^T is M. In the latent T z with T = M^(1/2), errors of one size would be equally loud in all directions.
So the encoder's last layer is multiplied by T, the decoder's first by the inverse of T, which changes nothing but
the measure by which nearest entries are found, and the codebooks are fitted there.

M is true of small errors. Those of the first codebooks are not small, and a power of M well below 1/2 serves better:
`--power` 0.2. (With tiny_24khz at 6 kbit/s, on 24 held-out clips of speech and before the decoder learnt any more:
PESQ 2.29 before, 2.33 by new codebooks alone, 2.40 and 2.42 with powers of 0.15 and 0.25. 0.5 is worse again.)
f is what the training's losses look at, each with the same share.

The codes change, so tables and language model have to be fitted again, and the decoder can learn to use them better
(`tinyencodec.train.codec --freeze encoder`).

Chapter 14 of the tutorials uses it.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from tqdm import tqdm

from tinyencodec.models.int8_rows import PRECISIONS
from tinyencodec.models.store import find_model
from tinyencodec.system.errors import require
from tinyencodec.train import losses
from tinyencodec.train.command import run, tell
from tinyencodec.train.envelope import Envelopes, shapes
from tinyencodec.train.layers import Conv
from tinyencodec.train.loudness import Loudness, level
from tinyencodec.train.mel import MelScales
from tinyencodec.train.mixing import STRATEGIES, Mixer, with_sound
from tinyencodec.train.network import Codec, load, save
from tinyencodec.train.packed import PackedCorpus, for_training
from tinyencodec.train.validation import Validator

_SMALLEST = 1e-4  # of the largest eigenvalue: directions that are heard less count as much as this
_BATCH = 12
_EMPHASIS = 0.3


class Ear:
    """What counts of a sound [B, C, T]: the waveform, its mel spectra, the loudness and the envelopes of its bands."""

    def __init__(self, sample_rate: int):
        self.mel, self.loudness, self.envelopes = MelScales(sample_rate), Loudness(sample_rate), Envelopes(sample_rate)

    def features(self, wav: Tensor) -> list[list[Tensor]]:
        """Four groups, each of one or more tensors."""
        size = wav.detach().square().mean(dim=(1, 2), keepdim=True).sqrt() + losses.FAINT
        return [[losses.emphasise(wav, _EMPHASIS) / size], self.mel(wav),
                [self.loudness.heard(level(self.loudness(wav)))], [shapes(self.envelopes(wav))]]


def sensitivity(codec: Codec, batches: list[Tensor], rng: torch.Generator,
                features: Callable[[Tensor], list[list[Tensor]]]) -> Tensor:
    """How much errors of the latent are heard: M [D, D], float64, of trace D, a mean over the batches [B, C, T].

    features : what counts of a sound, in groups of equal share, as `Ear.features`
    At half the codebooks, so near latents as they are decoded.
    """
    size, n_codebooks = codec.config.hidden_size, max(1, codec.config.n_codebooks // 2)
    sums: dict[int, Tensor] = defaultdict(lambda: torch.zeros(size, size, dtype=torch.float64))
    for wav in batches:
        with torch.no_grad():
            z = codec.quantizer.quantize(codec.latent(wav), n_codebooks)[0]
        z.requires_grad_(True)
        for number, group in enumerate(features(codec.sound(z, wav))):
            drawn = [(f * torch.randn(f.shape, generator=rng)).sum() / f.numel()**0.5 for f in group]
            slope, = torch.autograd.grad(torch.stack(drawn).sum(), z, retain_graph=True)
            rows = slope.transpose(1, 2).flatten(0, 1).double()
            sums[number] += rows.t() @ rows
    return size * torch.stack([m / m.trace() for m in sums.values()]).mean(dim=0)


def power_of(matrix: Tensor, power: float) -> Tensor:
    """A symmetric positive matrix to a power, its eigenvalues kept from being next to nothing."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp(min=_SMALLEST * float(values.max())) ** power) @ vectors.t()


@torch.no_grad()
def turn(codec: Codec, t: Tensor) -> None:
    """Make the latent T z, T [D, D]: encoder, decoder and codebooks do the same as before, but for nearest entries.

    Raises `ValueError` if a norm stands between the encoder's last layer and the latent.
    """
    last, first = cast(Conv, codec.encoder.layers[-1]), cast(Conv, codec.decoder.layers[0])
    if last.norm is not None:
        raise ValueError(f"refit: expected a model with weight norm to turn the latent of, got "
                         f"{codec.config.norm_type}; with a power of 0 only the codebooks are fitted")
    inverse = torch.linalg.inv(t.double())
    last.conv.put(torch.einsum("de,eck->dck", t.double(), last.conv.folded().double()).float())
    last.conv.bias.copy_(t.double() @ last.conv.bias.double())
    first.conv.put(torch.einsum("cdk,de->cek", first.conv.folded().double(), inverse).float())
    for codebook in codec.quantizer.codebooks:
        codebook.embed.copy_(codebook.embed.double() @ t.double().t())


@torch.no_grad()
def latents(codec: Codec, batches: list[Tensor]) -> Tensor:
    """Of all batches, one row per frame: [M, D]."""
    return torch.cat([codec.latent(wav).transpose(1, 2).flatten(0, 1) for wav in tqdm(batches, unit="batch")])


def refit(codec: Codec, mixer: Mixer, n_clips: int, power: float = 0.2, rounds: int = 8, seed: int = 0) -> None:
    """Turn the latent by M^power, and fit all codebooks to the latents of `n_clips` clips, from where they are.

    M comes from a tenth of the clips. With a power of 0 the latent stays. Silent clips tell nothing. Raises as `turn`,
    and `ValueError` if all are silent.
    """
    rng = torch.Generator().manual_seed(seed)
    drawn = (with_sound(mixer.batch(number, _BATCH)) for number in range(-(-n_clips // _BATCH)))
    batches = [torch.from_numpy(clips) for clips in drawn if len(clips)]
    if not batches:
        raise ValueError("refit: expected clips with sound in them, got silent ones only")
    codec.requires_grad_(False)
    if power:
        ear = Ear(codec.config.sampling_rate)
        m = sensitivity(codec, batches[:-(-len(batches) // 10)], rng, ear.features)
        turn(codec, power_of(m, power).float())
    codec.quantizer.start(latents(codec, batches), rng, fresh=False, rounds=rounds)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.refit",
                                     description="Fit a trained codec's codebooks to what its decoder makes heard.")
    add = parser.add_argument
    add("model", help="a name or a folder")
    add("out", type=Path, help="folder of the new model")
    add("--corpus", type=Path, required=True, help="packed corpus (see tinyencodec.train.corpus)")
    add("--power", type=float, default=0.2, help="of the matrix that turns the latent, 0 to 0.5; default: %(default)s")
    add("--clips", type=int, default=2400, help="to learn from; default: %(default)s")
    add("--seconds", type=float, default=2.0, help="of each; default: %(default)s")
    add("--rounds", type=int, default=8, help="of k-means; default: %(default)s")
    add("--seed", type=int, default=0)
    for name, share in STRATEGIES.items():
        add(f"--{name}", type=float, default=share, help="share of a way to mix clips; default: %(default)s")
    add("--precision", choices=PRECISIONS, default="float32", help="of the numbers on disk; default: %(default)s")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: refit_model(args))


def refit_model(args: argparse.Namespace) -> None:
    """Refit the model that the command line names, and print what it is worth before and after."""
    require(0 <= args.power <= 0.5, "--power", "a number from 0 to 0.5", args.power)
    for name in ("clips", "seconds", "rounds"):
        require(0 < getattr(args, name) < math.inf, f"--{name}", "a number above 0", getattr(args, name))
    codec = load(find_model(args.model)).eval()
    corpus, length = for_training(args.corpus, codec.config, args.seconds)
    tell(corpus.remark)
    mixer = Mixer(corpus, length, args.seed, {name: getattr(args, name) for name in STRATEGIES})
    validator = Validator(PackedCorpus(args.corpus, "validation", or_none=True))
    before = validator.measure(codec)
    refit(codec, mixer, args.clips, args.power, args.rounds, args.seed)
    for (kind, kbps, snr, mel), (_, _, new_snr, new_mel) in zip(before.rates, validator.measure(codec).rates):
        print(f"{kind:8} {kbps:4g} kbit/s: SI-SNR {snr:6.2f} -> {new_snr:6.2f} dB, mel {mel:.3f} -> {new_mel:.3f}")
    if not before.rates:
        tell("no figures: no held-out clip is loud enough")
    save(codec, args.out, args.precision)


if __name__ == "__main__":
    sys.exit(main())
