"""What a run writes in addition to its checkpoint: tables of figures, curves, and spectrograms.

    train.csv        losses, means over some steps           curves.png         the tables, drawn
    validation.csv   held-out figures per kind and bitrate   spectrograms.png   held-out clips, before and after
    codebooks.csv    of each codebook, on held-out clips
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinyencodec.train.network import Codec
from tinyencodec.train.recipe import LOSSES
from tinyencodec.train.validation import UNQUANTIZED, Report, Validator

TRAIN = ("step", "minutes", "lr", *LOSSES, "commitment", "discriminator", "gradient", "latent")
VALIDATION = ("step", "minutes", "kind", "kbps", "si_snr", "mel")
CODEBOOKS = ("step", "codebook", "energy_left", "entropy", "latent", "dimensions")


class Table:
    """A CSV file that grows. Rows of steps after `step` are dropped first: a run that goes on writes them again."""

    def __init__(self, path: Path, columns: tuple[str, ...], step: int):
        rows = [row for row in read_table(path) if int(row["step"]) <= step]
        self.path, self.columns = path, columns
        with path.open("w", newline="", encoding="utf-8") as fo:
            writer = csv.DictWriter(fo, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def append(self, **figures: object) -> None:
        """Add one row; columns without a figure stay empty."""
        with self.path.open("a", newline="", encoding="utf-8") as fo:
            csv.DictWriter(fo, self.columns).writerow(
                {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in figures.items()})


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table, or none if there is no file; without those that a power cut left unfinished."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as fo:
        rows = csv.DictReader(line.replace("\0", "") for line in fo)
        return [row for row in rows if (row.get("step") or "").isdecimal() and None not in row.values()]


class RunLog:
    """Writes all of a run's files into `folder`. `step`: where the run goes on from."""

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        self.train = Table(folder / "train.csv", TRAIN, step)
        self.validation = Table(folder / "validation.csv", VALIDATION, step)
        self.codebooks = Table(folder / "codebooks.csv", CODEBOOKS, step)

    def report(self, step: int, minutes: float, report: Report) -> None:
        """Add the rows of a validation, or one with empty columns if it has no figures."""
        if not report.rates:
            self.validation.append(step=step, minutes=minutes)
        for kind, kbps, snr, mel in report.rates:
            self.validation.append(step=step, minutes=minutes, kind=kind, kbps=kbps, si_snr=snr, mel=mel)
        for number, energy, entropy in report.codebooks:
            self.codebooks.append(step=step, codebook=number, energy_left=energy, entropy=entropy,
                                  latent=report.latent, dimensions=report.dimensions)

    def draw_curves(self) -> None:
        """Draw `curves.png`: per kind, SI-SNR and mel distance by bitrate; losses and figures of training."""
        plt = _pyplot()
        train = read_table(self.train.path)
        validation = [row for row in read_table(self.validation.path) if row["kind"]]
        kinds = sorted({row["kind"] for row in validation})
        columns = max(2, len(kinds))
        figure, axes = plt.subplots(3, columns, figsize=(5 * columns, 10), squeeze=False)
        for axis in axes.flat:
            axis.set_visible(False)
        for axis, kind in zip(axes.T, kinds):
            for kbps in sorted({row["kbps"] for row in validation}, key=float):
                rows = [row for row in validation if (row["kind"], row["kbps"]) == (kind, kbps)]
                label = "not quantised" if float(kbps) == UNQUANTIZED else f"{kbps} kbit/s"
                for part, name in zip(axis, ("si_snr", "mel")):
                    _draw(part, rows, name, label)
            axis[0].set(title=kind, xlabel="step", ylabel="SI-SNR, dB")
            axis[1].set(title=kind, xlabel="step", ylabel="mel distance")
        for axis, names in zip(axes[2], (LOSSES, [name for name in TRAIN[3:] if name not in LOSSES])):
            for name in names:
                _draw(axis, train, name, name)
            axis.set(title="training", xlabel="step", yscale="log")
        for axis in axes.flat:
            if axis.lines:
                axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=5, fontsize="small", frameon=False,
                            columnspacing=0.8, handlelength=1)
        _write(plt, figure, self.folder / "curves.png")

    @torch.no_grad()
    def draw_spectrograms(self, codec: Codec, validator: Validator) -> None:
        """Draw `spectrograms.png`: the first clip of each kind, as it is and at each bitrate."""
        if not validator.clips:
            return
        plt, config = _pyplot(), codec.config
        rates = config.target_bandwidths if codec.quantizer.started else ()
        figure, axes = plt.subplots(len(validator.clips), 1 + len(rates), squeeze=False,
                                    figsize=(3.5 * (1 + len(rates)), 3 * len(validator.clips)))
        for line, (kind, clips) in zip(axes, validator.clips.items()):
            wav = clips[:1].to(next(codec.parameters()).device)
            for axis, rate in zip(line, (None, *rates)):
                y = wav if rate is None else codec.reconstruct(wav, config.codebooks_for(rate))
                samples = y[0, 0].cpu().numpy() + 1e-6 * np.random.default_rng(0).standard_normal(y.shape[2])
                axis.specgram(samples, NFFT=512, noverlap=384, Fs=config.sampling_rate, vmin=-140, vmax=-30)
                axis.set_title(kind if rate is None else f"{rate:g} kbit/s")
        _write(plt, figure, self.folder / "spectrograms.png")


def _draw(axis: Any, rows: list[dict[str, str]], name: str, label: str) -> None:
    """A line of the column `name`, if it holds any numbers."""
    if rows := [row for row in rows if row[name]]:
        axis.set_visible(True)
        axis.plot([int(row["step"]) for row in rows], [float(row[name]) for row in rows], label=label)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _write(plt: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=70)
    plt.close(figure)
    part.replace(path)
