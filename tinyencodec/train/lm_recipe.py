"""How a language model is trained: the numbers that a user may change, what each means, and the learning rate."""

import math
from dataclasses import dataclass

from tinyencodec.models.int8_rows import PRECISIONS
from tinyencodec.system.errors import require


@dataclass(frozen=True)
class LMRecipe:
    """How to train; `HELP` says what each field means. Raises `ValueError` for what cannot be meant."""

    steps: int = 20_000
    rate: float = 2e-3
    warmup: int = 300
    weight_decay: float = 0.1
    clip: float = 1.0
    dropout: float = 0.1
    noise: float = 0.02
    average: float = 0.999
    frames: int = 3072
    seconds: float = 8.0
    evaluate: int = 250
    judged: int = 30_000
    seed: int = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for names, ok, expected in (
                (("steps", "frames", "evaluate", "judged"), lambda n: n >= 1, "at least 1"),
                (("rate", "clip", "seconds"), lambda x: 0 < x < math.inf, "a number above 0"),
                (("warmup", "weight_decay"), lambda x: 0 <= x < math.inf, "a number of at least 0"),
                (("dropout", "noise", "average"), lambda x: 0 <= x < 1, "a share from 0 to below 1"),
                (("precision",), lambda name: name in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
                (("seed",), lambda n: 0 <= n < 1 << 31, "0 ... 2^31 - 1")):
            for name in names:
                require(ok(getattr(self, name)), name, expected, getattr(self, name))


HELP = {"steps": "steps of training in all; the only number that may change when training goes on",
        "rate": "learning rate at its highest",
        "warmup": "steps until there",
        "weight_decay": "of embeddings and matrices, per step and unit of learning rate",
        "clip": "largest norm of the gradient",
        "dropout": "share of the activations left out",
        "noise": "share of the codes seen that are replaced by random ones",
        "average": "decay per step of the moving average of the weights",
        "frames": "frames in a batch",
        "seconds": "longest block that the model will be used for",
        "evaluate": "steps between evaluations",
        "judged": "frames of the validation split to evaluate, about",
        "seed": "of everything drawn",
        "precision": "of the exported numbers: float32, half (float16) or rows (8-bit matrices)"}


def learning_rate(step: int, recipe: LMRecipe) -> float:
    """Of a step, the first being 0: up in a straight line, then down along a cosine to a twentieth."""
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    share = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.rate * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)
