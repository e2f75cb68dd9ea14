"""One training step, and everything that has to be kept from one to the next.

All that is drawn at random in a step comes from the recipe's seed and the step's number. So there is no state of a
random generator to keep, and a run that goes on from a checkpoint takes the same steps, bit by bit, as one that did
not stop (on the same machine and number of threads).

Chapter 14 of the tutorials uses it.
"""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor

from tinyencodec.codec.config import CodecConfig
from tinyencodec.train import distributed, losses
from tinyencodec.train.average import Average
from tinyencodec.train.balancer import Balancer
from tinyencodec.train.discriminator import WINDOWS, Discriminator
from tinyencodec.train.envelope import Envelopes, envelope_loss
from tinyencodec.train.fine import FineScales
from tinyencodec.train.initialise import initialise
from tinyencodec.train.loudness import Loudness, loudness_loss
from tinyencodec.train.mel import BandLevels, MelScales
from tinyencodec.train.mixing import Mixer, loudness_share, with_sound
from tinyencodec.train.network import Codec, freeze
from tinyencodec.train.recipe import LOSSES, Recipe
from tinyencodec.train.transform_start import transform_start

_BETAS = (0.5, 0.9)
_FRAMES_PER_ENTRY = 10  # for k-means
_TRIES = 100  # steps, all of whose clips may be silent
_DRAWS, _WEIGHTS = 1, 2  # what else a seed is for: not the clips


class Trainer:
    """A codec in training.

    Parameters
    ----------
    config : of a new codec; or `codec`, one to go on with
    mixer : draws the clips
    device : where to compute

    Attributes
    ----------
    step : steps done
    average : the running average of the codec, or None
    seconds : time spent on them, for the log
    """

    def __init__(self, recipe: Recipe, mixer: Mixer, config: CodecConfig | None = None, codec: Codec | None = None,
                 device: str | torch.device = "cpu"):
        self.recipe, self.mixer, self.device = recipe, mixer, torch.device(device)
        torch.manual_seed(int(np.random.default_rng([recipe.seed, _WEIGHTS]).integers(2**31)))
        if codec is None and config is None:
            raise ValueError("trainer: expected a config or a codec, got neither")
        self.codec = (codec or Codec(cast(CodecConfig, config))).to(self.device)
        self.config = self.codec.config
        if codec is None:
            start = transform_start if recipe.start == "transform" else initialise
            start(self.codec, self.to_device(self._clips_from(0)[0]))
        distributed.copy_from_first(list(self.codec.state_dict().values()))
        if recipe.freeze:
            freeze(getattr(self.codec, recipe.freeze))
        self.parameters = [p for p in self.codec.parameters() if p.requires_grad]
        one_kernel = self.device.type == "cuda" or (self.device.type == "cpu" and torch.__version__ >= "2.4")
        self.optimizer = torch.optim.Adam(self.parameters, lr=recipe.lr, betas=_BETAS, fused=one_kernel)
        self.balancer = Balancer(freed=set(LOSSES) - {"adversarial"})  # the features come from the same layers
        self.mel = MelScales(self.config.sampling_rate).to(self.device)
        self.fine = FineScales().to(self.device)
        self.levels = BandLevels().to(self.device)
        self.envelopes = Envelopes(self.config.sampling_rate).to(self.device)
        self.loudness = Loudness(self.config.sampling_rate).to(self.device)
        self.discriminator: Discriminator | None = None
        self.disc_optimizer: torch.optim.Adam | None = None
        self.average = Average(self.codec, recipe.average) if recipe.average else None
        self.step, self.seconds = 0, 0.0

    def take_step(self, clips: np.ndarray) -> dict[str, float]:
        """Learn from clips [B, C, T], those of this step; returns the losses and figures of the step.

        Silent clips teach nothing: others take their place. If all are silent, nothing changes, and no figure is given.
        """
        recipe, clips = self.recipe, with_sound(clips)
        if not distributed.agree(len(clips) > 0, self.device):
            self.step += 1
            return {}
        if not len(clips):  # but other processes have some
            clips, _ = self._clips_from(self.step + 1)
        rng = np.random.default_rng([recipe.seed, self.step, _DRAWS])
        wav = self.to_device(clips)
        self._begin_stage()
        for optimizer, pace in ((self.optimizer, 1.0), (self.disc_optimizer, recipe.disc_pace)):
            for group in optimizer.param_groups if optimizer is not None else ():
                group["lr"] = pace * recipe.rate(self.step)
        self.codec.train()
        with self.autocast():
            z = self.codec.latent(wav)
            quantized, commitment = self._quantize(z, rng)
            y = self.codec.sound(quantized, wav)
        found = self._losses(wav, y, rng)
        self.optimizer.zero_grad(set_to_none=True)
        if commitment is None:
            found["squared"].backward()
        else:
            gradient = self.balancer.gradient(found, recipe.weights(), y, loudness_share(clips))
            outputs, gradients = [y], [gradient]
            if commitment.requires_grad:
                outputs.append(recipe.commitment * commitment)
                gradients.append(torch.ones_like(commitment))
            torch.autograd.backward(outputs, gradients)
        distributed.average_gradients(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, recipe.clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.codec)
        figures = {**found, "gradient": norm, "latent": z.detach().square().mean().sqrt()}
        if commitment is not None:
            figures["commitment"] = commitment
        if self.discriminator is not None and rng.random() < recipe.disc_rate:
            figures["discriminator"] = self._teach_discriminator(wav, y.detach(), self._draw_scales(rng))
        self.step += 1
        values = torch.stack([value.detach() for value in figures.values()]).tolist()  # the device is waited for here
        if not all(map(math.isfinite, values)):
            raise ValueError(f"step {self.step - 1}: expected finite numbers, got {dict(zip(figures, values))}")
        return dict(zip(figures, values))

    def autocast(self) -> torch.autocast:
        """bfloat16 where the recipe wants it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16)

    def to_device(self, clips: np.ndarray) -> Tensor:
        return torch.from_numpy(clips).to(self.device, non_blocking=True)

    def add_discriminator(self) -> None:
        """Make the adversary and its optimiser."""
        recipe = self.recipe
        torch.manual_seed(int(np.random.default_rng([recipe.seed, _WEIGHTS, 1]).integers(2**31)))
        adversary = Discriminator(self.config.audio_channels, recipe.disc_filters, power=recipe.disc_power)
        self.discriminator = adversary.to(self.device)
        self.disc_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=recipe.lr, betas=_BETAS)

    def _clips_from(self, step: int) -> tuple[np.ndarray, int]:
        """Clips [B, C, T], those of `step` or the first after it that are not all silent, and the next step.

        Raises `ValueError` if there is only silence for long.
        """
        for at in range(step, step + _TRIES):
            if len(clips := with_sound(self.mixer.batch(at, self.recipe.batch, distributed.rank()))):
                return clips, at + 1
        raise ValueError(f"corpus: expected clips with sound in them, got silence in those of {_TRIES} steps")

    def _begin_stage(self) -> None:
        quantizer = self.codec.quantizer
        if self.step >= self.recipe.unquantized and not quantizer.started:
            rows: list[Tensor] = []
            step = self.step  # the clips of coming steps are as good as any
            wanted = _FRAMES_PER_ENTRY * self.config.codebook_size / distributed.size()
            while sum(len(part) for part in rows) < wanted:
                clips, step = self._clips_from(step)
                with torch.no_grad(), self.autocast():
                    z = self.codec.latent(self.to_device(clips))
                rows.append(z.transpose(1, 2).flatten(0, 1))
            generator = torch.Generator().manual_seed(self.recipe.seed)
            quantizer.start(distributed.gather_rows(torch.cat(rows)), generator)
            distributed.copy_from_first(list(quantizer.state_dict().values()))
        if self.step >= self.recipe.adversary_from and quantizer.started and self.discriminator is None:
            self.add_discriminator()

    def _quantize(self, z: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        quantizer, config = self.codec.quantizer, self.config
        if not quantizer.started:
            return z, None
        n = config.codebooks_for(config.target_bandwidths[int(rng.integers(len(config.target_bandwidths)))])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        with torch.autocast(self.device.type, enabled=False):
            still = self.recipe.freeze in ("encoder", "quantizer")
            if self.recipe.search > 1:
                quantized, _ = quantizer.search(z, n, self.recipe.search)
                commitment = (z - quantized).square().mean()  # a figure, since nothing before it learns
            else:
                quantized, commitment = quantizer(z, n, None if still else generator)
        around = torch.from_numpy(rng.random(len(z)) < self.recipe.bypass).to(z.device)
        return torch.where(around[:, None, None], z, quantized), commitment

    def _losses(self, x: Tensor, y: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
        emphasised = (losses.emphasise(wav, self.recipe.emphasis) for wav in (x, y))
        found = {"l1": losses.l1_time(x, y), "squared": losses.relative_squared_error(*emphasised)}
        if not self.codec.quantizer.started:
            return found
        found["mel"] = _spectral(self.mel, x, y, self.recipe.mel_windows, rng)
        if self.recipe.level:
            found["level"] = losses.level_loss(self.levels(x), self.levels(y))
        if self.recipe.fine:
            found["fine"] = _spectral(self.fine, x, y, self.recipe.fine_windows, rng)
        if self.recipe.envelope:
            found["envelope"] = envelope_loss(self.envelopes(x), self.envelopes(y))
        if self.recipe.loudness:
            found["loudness"] = loudness_loss(self.loudness, x, y)
        if self.discriminator is not None:
            scales = self._draw_scales(rng)
            self.discriminator.requires_grad_(False)  # its gradients are not wanted here
            with self.autocast():
                with torch.no_grad():
                    _, real = self.discriminator(x, scales)
                scores, fake = self.discriminator(y, scales)
            self.discriminator.requires_grad_(True)
            found["adversarial"] = losses.hinge_generator(scores)
            found["features"] = losses.feature_matching(real, fake)
        return found

    def _draw_scales(self, rng: np.random.Generator) -> list[int] | None:
        total, n = len(WINDOWS), self.recipe.disc_scales
        return sorted(rng.choice(total, n, replace=False).tolist()) if n < total else None

    def _teach_discriminator(self, x: Tensor, y: Tensor, scales: list[int] | None) -> Tensor:
        assert self.discriminator is not None and self.disc_optimizer is not None
        with self.autocast():
            scores, _ = self.discriminator(torch.cat([x, y]), scales)
        real, fake = zip(*(score.chunk(2) for score in scores))
        loss = losses.hinge_real_fake(real, fake)
        self.disc_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = list(self.discriminator.parameters())
        distributed.average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        self.disc_optimizer.step()
        return loss


def _spectral(scales: MelScales | FineScales, x: Tensor, y: Tensor, n_windows: int, rng: np.random.Generator) -> Tensor:
    """The loss at `n_windows` of the resolutions, drawn without replacement if these are not all."""
    total = len(scales.scales)
    picks = sorted(rng.choice(total, n_windows, replace=False).tolist()) if n_windows < total else None
    with torch.no_grad():
        wanted = scales(x, picks)
    return losses.mel_loss(wanted, scales(y, picks))
