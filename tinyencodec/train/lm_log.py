"""The table of a language model's evaluations, bits per code by step: `log.csv`."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyencodec.train.lm_recipe import learning_rate
from tinyencodec.train.log import read_table

if TYPE_CHECKING:
    from tinyencodec.train.lm import Trainer


class Log:
    """The table of evaluations at `path`: rows of a run that goes on are kept, but for those it will make again."""

    def __init__(self, path: Path, trainer: "Trainer"):
        rows = [list(row.values()) for row in read_table(path) if int(row["step"]) <= trainer.step]
        names = ["step", "minutes", "rate", "train"] + [f"K={k}" for k in trainer.codebooks]
        self._path = path
        with path.open("w", newline="") as fo:
            csv.writer(fo).writerows([names + [f"codebook {k}" for k in range(trainer.codebooks[-1])], *rows])

    def add(self, trainer: "Trainer", bits: float, found: dict[int, np.ndarray]) -> None:
        """Append a row, and print what it says."""
        means = [values.mean() for values in found.values()]
        rate = learning_rate(trainer.step - 1, trainer.recipe)
        values = [bits, *means, *found[trainer.codebooks[-1]]]
        row = [trainer.step, f"{trainer.seconds / 60:.2f}", f"{rate:.3g}", *(f"{value:.4f}" for value in values)]
        with self._path.open("a", newline="") as fo:
            csv.writer(fo).writerow(row)
        print(f"step {trainer.step}, {trainer.seconds / 60:.1f} min: bits per code {bits:.3f} in training, "
              + ", ".join(f"{mean:.3f} at K = {k}" for k, mean in zip(found, means)), flush=True)
