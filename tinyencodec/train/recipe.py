"""What is trained, and how: the presets and the numbers of a recipe.

A new codec is a transform codec (`transform`). Training goes in three stages. At first there is no quantiser, and the
relative squared error alone lets the layers settle (random weights need some 1000 steps of it, `unquantized`); then
the codebooks start by k-means, and the mel spectrum counts as well; at last the adversary joins. From the second stage
on the balancer shares out the gradient.

What the quantiser loses, the decoder does not learn to use, and what the decoder does not use, the encoder has no
reason to send: a latent can shrink to a few dimensions. `bypass` keeps the way open, as in the codec of Moshi
(Défossez et al. 2024): some clips reach the decoder as they are. `emphasis` makes high frequencies, which have little
energy, count in the waveform's error; `level` keeps a band from getting softer where it cannot be predicted; `fine`
takes away the lines that a pattern repeated in every frame makes; `envelope` asks for what makes speech understandable,
`loudness` for what predicts listening tests, at the end of training. Watch the dimensions of the latent in the
validation's report.

The learning rate rises over the first steps and stays; it falls to zero over the last `cooldown` of `steps` steps.
So a run needs no end to be known, and a finished model can be had from any checkpoint by a run of a few more steps.

Chapter 14 of the tutorials uses it.
"""

import dataclasses
import math
from dataclasses import dataclass

from tinyencodec.codec.config import ENCODEC_48KHZ, PRESETS, CodecConfig
from tinyencodec.system.errors import require
from tinyencodec.train import fine, mel
from tinyencodec.train.discriminator import WINDOWS as DISC_WINDOWS
from tinyencodec.train.mixing import STRATEGIES

CODECS = {
    "tiny_24khz": CodecConfig(num_filters=16, target_bandwidths=(1.5, 3.0, 6.0, 12.0)),
    "tiny_48khz": dataclasses.replace(ENCODEC_48KHZ, num_filters=16, target_bandwidths=(3.0, 6.0, 12.0)),
    "nano_24khz": CodecConfig(num_filters=8, hidden_size=64, target_bandwidths=(1.5, 3.0, 6.0, 12.0)),
    **PRESETS,
}
_LONGEST = 3600  # s of sound in a batch
LOSSES = ("l1", "squared", "mel", "level", "fine", "envelope", "loudness", "adversarial", "features")


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run. Raises `ValueError` at construction if one is out of range."""

    seed: int = 0  # of the initial weights and of all that is drawn
    start: str = "transform"  # weights to begin with: a "transform" codec's, or "random" ones
    batch: int = 8  # clips per step and process
    seconds: float = 1.0  # per clip
    s1: float = STRATEGIES["s1"]  # shares of the ways to mix clips (`mixing`), relative to each other: music,
    s2: float = STRATEGIES["s2"]  # one other source,
    s3: float = STRATEGIES["s3"]  # two sources,
    s4: float = STRATEGIES["s4"]  # three
    lr: float = 3e-4  # Adam's, with betas 0.5 and 0.9
    rise: int = 200  # steps until the learning rate is reached
    steps: int = 1_000_000  # where the run ends, unless it is stopped
    cooldown: int = 0  # steps before the end over which the learning rate falls
    clip: float = 1.0  # longest gradient of all parameters
    unquantized: int = 50  # steps of the first stage
    adversary_from: int = 30_000  # step at which the third stage begins
    disc_filters: int = 32  # of the discriminator
    disc_rate: float = 2 / 3  # probability that it learns in a step
    disc_scales: int = 5  # of its five windows, how many look at a step, drawn anew each time
    disc_pace: float = 1.0  # its learning rate, relative to the codec's
    disc_power: float = 1.0  # to which the magnitudes that it sees are raised
    commitment: float = 1.0  # weight, outside the balancer
    bypass: float = 0.2  # probability that a clip goes round the quantiser
    emphasis: float = 0.0  # of high frequencies in the squared error: the share of the last sample taken off each
    l1: float = 0.1  # shares of the gradient, relative to each other
    squared: float = 1.0
    mel: float = 8.0
    level: float = 0.0
    fine: float = 0.0
    envelope: float = 0.0
    loudness: float = 0.0
    adversarial: float = 1.0
    features: float = 2.0
    mel_windows: int = 7  # of the seven windows of the mel loss, how many count in a step, drawn anew each time
    fine_windows: int = 1  # of the three of the fine loss
    alter: float = 0.0  # probability that a source is changed in speed, tilt and band (`augment`)
    average: float = 0.0  # decay of a running average of the weights, for validation and export; 0: none is kept
    search: int = 1  # choices that the quantiser keeps (`ResidualQuantizer.search`), if the encoder is frozen
    bf16: bool = False  # convolutions in bfloat16
    freeze: str = ""  # what is not trained: "encoder" (and codebooks), "quantizer" (codebooks) or "decoder"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is float:
                self._require(math.isfinite(getattr(self, field.name)), field.name, "a finite number")
        for name in ("batch", "rise", "steps", "disc_filters", "seconds", "lr", "clip", "disc_pace", "disc_power"):
            self._require(getattr(self, name) > 0, name, "a number above 0")
        for name in ("seed", "cooldown", "unquantized", "adversary_from", "commitment", *LOSSES, *STRATEGIES):
            self._require(getattr(self, name) >= 0, name, "a number of at least 0")
        for name in ("disc_rate", "bypass", "emphasis", "alter"):
            self._require(0 <= getattr(self, name) <= 1, name, "a number from 0 to 1")
        self._require(self.disc_filters <= 1024, "disc_filters", "at most 1024")
        self._require(self.batch * self.seconds <= _LONGEST, "seconds", f"a batch of at most {_LONGEST} s in all")
        self._require(0 <= self.average < 1, "average", "a number from 0 to below 1")
        self._require(1 <= self.mel_windows <= len(mel.WINDOWS), "mel_windows", "a number from 1 to 7")
        self._require(1 <= self.fine_windows <= len(fine.WINDOWS), "fine_windows", "a number from 1 to 3")
        self._require(1 <= self.disc_scales <= len(DISC_WINDOWS), "disc_scales", "a number from 1 to 5")
        self._require(1 <= self.search <= 64, "search", "a number from 1 to 64")
        self._require(self.search == 1 or self.freeze == "encoder", "search", "1, or 'encoder' for freeze")
        self._require(self.squared + self.mel + self.l1 > 0, "squared", "a share above 0, or one for l1 or mel")
        self._require(sum(self.shares().values()) > 0, "s1", "a share above 0, or one for s2, s3 or s4")
        self._require(self.start in ("transform", "random"), "start", "'transform' or 'random'")
        self._require(self.freeze in ("", "encoder", "quantizer", "decoder"), "freeze",
                      "'encoder', 'quantizer' or 'decoder'")

    def _require(self, ok: bool, name: str, expected: str) -> None:
        require(ok, f"recipe: {name}", expected, getattr(self, name))

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        left = (self.steps - step) / self.cooldown if self.cooldown else 1.0
        return self.lr * min(1.0, (step + 1) / self.rise, max(left, 0.0))

    def shares(self) -> dict[str, float]:
        """Share of each way to mix clips."""
        return {name: getattr(self, name) for name in STRATEGIES}

    def weights(self) -> dict[str, float]:
        """Share of each loss in the balanced gradient."""
        return {name: getattr(self, name) for name in LOSSES}
