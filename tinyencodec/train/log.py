"""What a run leaves behind besides its checkpoint: tables of figures, curves, and spectrograms.

    train.csv        losses, means over some steps           curves.png         the tables, drawn
    validation.csv   held-out figures per kind and bitrate   spectrograms.png   held-out clips, before and after
    codebooks.csv    of each codebook, on held-out clips
"""

import csv
from pathlib import Path

import numpy as np
import torch

from tinyencodec.train.network import Codec
from tinyencodec.train.validation import UNQUANTIZED, Report, Validator

TRAIN = ("step", "minutes", "lr", "squared", "l1", "mel", "adversarial", "features", "commitment", "discriminator",
         "gradient", "latent")
VALIDATION = ("step", "minutes", "kind", "kbps", "si_snr", "mel")
CODEBOOKS = ("step", "codebook", "energy_left", "entropy", "latent")


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
    """The rows of a table, or none if there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as fo:
        return list(csv.DictReader(fo))


class RunLog:
    """Writes all of a run's files into `folder`. `step`: where the run goes on from."""

    def __init__(self, folder: Path, step: int):
        self.folder = folder
        self.train = Table(folder / "train.csv", TRAIN, step)
        self.validation = Table(folder / "validation.csv", VALIDATION, step)
        self.codebooks = Table(folder / "codebooks.csv", CODEBOOKS, step)

    def report(self, step: int, minutes: float, report: Report) -> None:
        """Add the rows of a validation."""
        for kind, kbps, snr, mel in report.rates:
            self.validation.append(step=step, minutes=minutes, kind=kind, kbps=kbps, si_snr=snr, mel=mel)
        for number, energy, entropy in report.codebooks:
            self.codebooks.append(step=step, codebook=number, energy_left=energy, entropy=entropy,
                                  latent=report.latent)

    def draw_curves(self) -> None:
        """Draw `curves.png`: training losses, and SI-SNR and mel distance per kind and bitrate."""
        plt = _pyplot()
        train, validation = read_table(self.train.path), read_table(self.validation.path)
        kinds = sorted({row["kind"] for row in validation})
        figure, axes = plt.subplots(2, max(2, len(kinds)), figsize=(5 * max(2, len(kinds)), 8), squeeze=False)
        for column, kind in enumerate(kinds):
            for kbps in sorted({row["kbps"] for row in validation}, key=float):
                rows = [row for row in validation if (row["kind"], row["kbps"]) == (kind, kbps)]
                label = "not quantised" if float(kbps) == UNQUANTIZED else f"{kbps} kbit/s"
                axes[0][column].plot([int(r["step"]) for r in rows], [float(r["si_snr"]) for r in rows], label=label)
            axes[0][column].set(title=kind, xlabel="step", ylabel="SI-SNR, dB")
            axes[0][column].legend(fontsize="small")
        for name in TRAIN[3:]:
            rows = [row for row in train if row[name]]
            if rows:
                axes[1][0].semilogy([int(r["step"]) for r in rows], [abs(float(r[name])) for r in rows], label=name)
        axes[1][0].set(title="training", xlabel="step")
        axes[1][0].legend(fontsize="small")
        for kind in kinds:
            for kbps in sorted({row["kbps"] for row in validation} - {"inf"}, key=float):
                rows = [row for row in validation if (row["kind"], row["kbps"]) == (kind, kbps)]
                axes[1][1].plot([int(r["step"]) for r in rows], [float(r["mel"]) for r in rows], label=f"{kind} {kbps}")
        axes[1][1].set(title="mel distance", xlabel="step")
        if axes[1][1].lines:
            axes[1][1].legend(fontsize="small")
        _write(plt, figure, self.folder / "curves.png")

    @torch.no_grad()
    def draw_spectrograms(self, codec: Codec, validator: Validator) -> None:
        """Draw `spectrograms.png`: the first clip of each kind, as it is and at each bitrate."""
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


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _write(plt, figure, path: Path) -> None:
    figure.tight_layout()
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=70)
    plt.close(figure)
    part.replace(path)
