"""`python -m tinyencodec.train.codec`: train a codec, on a laptop, one GPU or several; stop and go on at will.

    python -m tinyencodec.train.codec --corpus corpus24/ --out run/ --preset tiny_24khz
    python -m tinyencodec.train.codec --corpus corpus24/ --out run/                     # goes on where it stopped
    python -m tinyencodec.train.codec --corpus corpus24/ --out tuned/ --model tiny_24khz --freeze encoder
    torchrun --nproc-per-node 4 -m tinyencodec.train.codec --corpus corpus24/ --out run/ --preset encodec_24khz --bf16
    python -m tinyencodec.train.export run/ my_model/ --precision half

SIGTERM, Ctrl-C and the end of `--minutes` save a checkpoint and leave. All numbers of the `recipe` are options; a run
that goes on keeps its own, except those given anew. `log` tells what lies in the output folder.

Chapter 14 of the tutorials uses it.
"""

import argparse
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import torch
from tqdm import tqdm

from tinyencodec.models.store import find_model
from tinyencodec.train import distributed
from tinyencodec.train.checkpoints import NAME, codec_of, read_checkpoint, restore, save_checkpoint
from tinyencodec.train.feed import batches
from tinyencodec.train.log import RunLog
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.network import load
from tinyencodec.train.packed import PackedCorpus
from tinyencodec.train.recipe import CODECS, Recipe
from tinyencodec.train.trainer import Trainer
from tinyencodec.train.validation import UNQUANTIZED, Validator


def make_trainer(args: argparse.Namespace, device: torch.device) -> Trainer:
    """The trainer that the arguments ask for: from a checkpoint in the output folder, a model, or a preset.

    Raises `ValueError` or `OSError` for arguments that cannot be used.
    """
    given = {field.name: value for field in fields(Recipe) if (value := getattr(args, field.name)) is not None}
    path, state, codec = args.out / NAME, None, None
    if path.is_file():
        state = read_checkpoint(path)
        codec, recipe = codec_of(state), replace(state["recipe"], **given)
    else:
        recipe = Recipe(**given)
        if (args.model is None) == (args.preset is None):
            raise ValueError(f"{args.out}: holds no checkpoint yet: expected either --preset or --model")
        codec = load(find_model(args.model)) if args.model else None
    config = codec.config if codec else CODECS[args.preset]
    corpus = PackedCorpus(args.corpus, "train")
    if (corpus.sample_rate, corpus.channels) != (config.sampling_rate, config.audio_channels):
        raise ValueError(f"{args.corpus}: expected {config.audio_channels} channel(s) at {config.sampling_rate} Hz, "
                         f"got {corpus.channels} at {corpus.sample_rate}")
    mixer = Mixer(corpus, int(recipe.seconds * config.sampling_rate), recipe.seed, recipe.shares())
    trainer = Trainer(recipe, mixer, config, codec, device)
    if state is not None:
        restore(trainer, state)
    if args.fresh_codebooks:
        trainer.codec.quantizer.forget()
    return trainer


class Run:
    """The loop around `Trainer.take_step`: logs, validates, saves, and ends in good order.

    Only the first of several processes writes anything.
    """

    def __init__(self, trainer: Trainer, args: argparse.Namespace):
        self.trainer, self.args, self.first = trainer, args, distributed.rank() == 0
        self.asked_to_stop = False
        self.began = self.saved = time.monotonic()
        self.sums: dict[str, list[float]] = defaultdict(list)  # of each figure, since the last row of the log
        if self.first:
            self.log = RunLog(args.out, trainer.step)
            corpus = PackedCorpus(args.corpus, "validation")
            self.validator = Validator(corpus, args.clips, trainer.config.chunk_length_s or 3.0)

    def loop(self) -> None:
        """Take steps until the recipe's end, the end of the time, or a signal."""
        trainer, recipe = self.trainer, self.trainer.recipe
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        feed = batches(trainer.mixer, trainer.step, recipe.batch, distributed.rank(), self.args.workers)
        bar = tqdm(total=recipe.steps, initial=trainer.step, unit="step", disable=not self.first,
                   mininterval=0.5 if sys.stderr.isatty() else 60)
        with bar:
            while trainer.step < recipe.steps and not distributed.agree(self._should_stop(), trainer.device):
                start = time.monotonic()
                figures = trainer.take_step(next(feed))
                trainer.seconds += time.monotonic() - start
                bar.update()
                if self.first:
                    self.after_step(figures, bar)
        feed.close()
        if self.first:
            save_checkpoint(trainer, self.args.out)
            print(f"saved {self.args.out / NAME} at step {trainer.step}", file=sys.stderr)

    def after_step(self, figures: dict[str, float], bar: tqdm) -> None:
        """Do what is due: a row of the log, a validation, a checkpoint."""
        trainer, args = self.trainer, self.args
        for name, value in figures.items():
            self.sums[name].append(value)
        if trainer.step % args.log_every == 0:
            means = {name: sum(values) / len(values) for name, values in self.sums.items()}
            self.sums.clear()
            self.log.train.append(step=trainer.step, minutes=trainer.seconds / 60,
                                  lr=trainer.recipe.rate(trainer.step - 1), **means)
            bar.set_postfix({name: f"{means[name]:.3f}" for name in ("squared", "mel") if name in means})
        if trainer.step % args.validate_every == 0 or trainer.step == trainer.recipe.steps:
            self.validate(bar.write)
        if args.keep_every and trainer.step % args.keep_every == 0:
            save_checkpoint(trainer, args.out, f"checkpoint-{trainer.step}.pt")
        if time.monotonic() > self.saved + 60 * args.save_every:
            save_checkpoint(trainer, args.out)
            self.saved = time.monotonic()

    def _should_stop(self) -> bool:
        minutes = self.args.minutes
        return self.asked_to_stop or minutes is not None and time.monotonic() > self.began + 60 * minutes

    def validate(self, write: Callable[[str], object] = print) -> None:
        """Measure on held-out clips, write the figures down and draw them."""
        trainer = self.trainer
        trainer.codec.eval()
        report = self.validator.measure(trainer.codec)
        self.log.report(trainer.step, trainer.seconds / 60, report)
        for kind in self.validator.clips:
            line = "  ".join(f"{'-' if kbps == UNQUANTIZED else f'{kbps:g}'}: {snr:.2f} dB {mel:.3f}"
                             for what, kbps, snr, mel in report.rates if what == kind)
            write(f"step {trainer.step} {kind:8} {line}")
        left = " ".join(f"{energy:.3f}" for _, energy, _ in report.codebooks)
        bits = " ".join(f"{entropy:.1f}" for _, _, entropy in report.codebooks)
        write(f"step {trainer.step} latent {report.latent:.3f} in {report.dimensions:.1f} dimensions  left {left}  "
              f"bits {bits}")
        try:
            self.log.draw_curves()
            self.log.draw_spectrograms(trainer.codec, self.validator)
        except ImportError:
            pass  # figures need matplotlib; the tables are there in any case

    def _stop(self, number: int, frame: object) -> None:
        self.asked_to_stop = True


def parser() -> argparse.ArgumentParser:
    """The command's arguments: those of the run, and one per number of the recipe."""
    result = argparse.ArgumentParser(prog="python -m tinyencodec.train.codec", description="Train a codec.")
    add = result.add_argument
    add("--corpus", type=Path, required=True, help="packed corpus (see tinyencodec.train.corpus)")
    add("--out", type=Path, required=True, help="folder of the run; goes on if it holds a checkpoint")
    add("--preset", choices=sorted(CODECS), help="train a new codec of this shape")
    add("--model", metavar="NAME", help="go on from this model: a name or a folder")
    add("--fresh-codebooks", action="store_true", help="start the codebooks of a run or model anew, by k-means")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    add("--minutes", type=float, help="stop after so many")
    add("--threads", type=int, help="of the CPU; default: PyTorch's choice")
    add("--workers", type=int, default=0, help="threads that draw clips ahead of time; default: %(default)d")
    add("--log-every", type=int, default=100, metavar="STEPS")
    add("--validate-every", type=int, default=2000, metavar="STEPS", help="and at the end; default: %(default)d")
    add("--clips", type=int, default=8, help="held-out clips of each kind to validate on; default: %(default)d")
    add("--save-every", type=float, default=10, metavar="MINUTES")
    add("--keep-every", type=int, metavar="STEPS", help="also keep a checkpoint under its step's number")
    group = result.add_argument_group("recipe")
    for field in fields(Recipe):
        flag = "--" + field.name.replace("_", "-")
        if field.type is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            kind = cast(type, field.type)
            group.add_argument(flag, type=kind, metavar=kind.__name__.upper(), help=f"default: {field.default!r}")
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    command = parser()
    args = command.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("high")  # TF32 where the device has it
    device = torch.device(args.device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        distributed.start(device)
        args.out.mkdir(parents=True, exist_ok=True)
        Run(make_trainer(args, device), args).loop()
    except (ValueError, OSError) as error:
        print(f"{command.prog}: {error}", file=sys.stderr)
        return 2
    finally:
        distributed.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
