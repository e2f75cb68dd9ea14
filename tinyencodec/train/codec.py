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
import importlib.util
import math
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tinyencodec.models.store import find_model
from tinyencodec.system.errors import require
from tinyencodec.train import distributed, fused
from tinyencodec.train.checkpoints import NAME, codec_of, newest_checkpoint, restore, save_checkpoint
from tinyencodec.train.command import add_numbers, attempt, flag, given, run, tell
from tinyencodec.train.feed import batches
from tinyencodec.train.log import RunLog
from tinyencodec.train.mixing import Mixer
from tinyencodec.train.network import Codec, load
from tinyencodec.train.packed import PackedCorpus, for_training
from tinyencodec.train.recipe import CODECS, Recipe
from tinyencodec.train.resume import going_on, ignored_models
from tinyencodec.train.trainer import Trainer
from tinyencodec.train.validation import UNQUANTIZED, Validator


def make_trainer(args: argparse.Namespace, device: torch.device) -> Trainer:
    """The trainer that the arguments ask for: from a checkpoint in the output folder, a model, or a preset.

    Raises `ValueError` or `OSError` for arguments that cannot be used.
    """
    wanted, found = given(args, Recipe), newest_checkpoint(args.out)
    state, said = found or (None, "")
    lines, codec = [said], None
    if state:
        codec = codec_of(state)
        recipe, told = going_on(state, codec, wanted, args.fresh_codebooks)
        lines += [*ignored_models(codec.config, args.preset, args.model), *told]
    else:
        recipe = Recipe(**wanted)
        if (args.model is None) == (args.preset is None):
            raise ValueError(f"{args.out}: holds no checkpoint yet: expected either --preset or --model")
        codec = load(find_model(args.model)) if args.model else None
    config = codec.config if codec else CODECS[args.preset]
    corpus, length = for_training(args.corpus, config, recipe.seconds)
    if distributed.rank() == 0:
        tell(*lines, corpus.remark)
    mixer = Mixer(corpus, length, recipe.seed, recipe.shares(), recipe.alter)
    trainer = Trainer(recipe, mixer, config, codec, device)
    if state is not None:
        try:
            restore(trainer, state)
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"{args.out}: expected a checkpoint of this model, got {error!r:.300}") from None
    if args.fresh_codebooks:
        trainer.codec.quantizer.forget()
        if trainer.average is not None:
            trainer.average.codec.quantizer.forget()
    return trainer


def check(args: argparse.Namespace) -> None:
    """Raise `ValueError` for an option outside the recipe that makes no sense."""
    for name in ("log_every", "validate_every", "keep_every", "threads"):
        if (value := getattr(args, name)) is not None:
            require(value >= 1, flag(name), "at least 1", value)
    for name, most in (("clips", 1000), ("workers", 256), ("save_every", math.inf), ("minutes", math.inf)):
        if (value := getattr(args, name)) is not None:
            require(0 <= value <= most, flag(name), f"0 ... {most}", value)


class Run:
    """The loop around `Trainer.take_step`: logs, validates, saves, and ends in good order.

    Only the first of several processes writes anything.
    """

    def __init__(self, trainer: Trainer, args: argparse.Namespace):
        self.trainer, self.args, self.first = trainer, args, distributed.rank() == 0
        self.asked_to_stop = False
        self.began = self.saved = time.monotonic()
        self.saved_step = -1
        self.sums: dict[str, list[float]] = defaultdict(list)  # of each figure, since the last row of the log
        if self.first:
            self.log = RunLog(args.out, trainer.step)
            corpus = PackedCorpus(args.corpus, "validation", or_none=True)
            self.validator = Validator(corpus, args.clips, trainer.config.chunk_length_s or 3.0,
                                       trainer.recipe.search)

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
                try:
                    clips = next(feed)
                except Exception:
                    self.save()  # the steps that were done
                    raise
                figures = trainer.take_step(clips)
                trainer.seconds += time.monotonic() - start
                bar.update()
                if self.first:
                    self.after_step(figures, bar)
        feed.close()
        self.save()
        if self.first:
            print(f"saved {self.args.out / NAME} at step {trainer.step}", file=sys.stderr)

    def after_step(self, figures: dict[str, float], bar: tqdm) -> None:
        """Do what is due: a row of the log, a validation, a checkpoint."""
        trainer, args = self.trainer, self.args
        for name, value in figures.items():
            self.sums[name].append(value)
        validates = trainer.step % args.validate_every == 0 or trainer.step == trainer.recipe.steps
        if validates or time.monotonic() > self.saved + 60 * args.save_every:  # whatever happens next, this is kept
            self.attempt("checkpoint", self.save)
        if args.keep_every and trainer.step % args.keep_every == 0:
            self.attempt("checkpoint", save_checkpoint, trainer, args.out, f"checkpoint-{trainer.step}.pt")
        if trainer.step % args.log_every == 0:
            means = {name: sum(values) / len(values) for name, values in self.sums.items()}
            self.sums.clear()
            self.attempt("row of the log", self.log.train.append, step=trainer.step, minutes=trainer.seconds / 60,
                         lr=trainer.recipe.rate(trainer.step - 1), **means)
            bar.set_postfix({name: f"{means[name]:.3f}" for name in ("squared", "mel") if name in means})
        if validates:
            self.attempt("validation", self.validate, bar.write)

    def attempt(self, what: str, work: Callable[..., object], *args: Any, **options: Any) -> None:
        """Do something beside the training, as `command.attempt`."""
        attempt(f"step {self.trainer.step}: no {what}", work, *args, **options)

    def save(self) -> None:
        """Write the checkpoint, if there is none of this step yet. Raises `OSError`."""
        if self.first and self.saved_step != self.trainer.step:
            save_checkpoint(self.trainer, self.args.out)
            self.saved, self.saved_step = time.monotonic(), self.trainer.step

    def _should_stop(self) -> bool:
        minutes = self.args.minutes
        return self.asked_to_stop or minutes is not None and time.monotonic() > self.began + 60 * minutes

    def validate(self, write: Callable[[str], object] = print) -> None:
        """Measure on held-out clips, write the figures down and draw them."""
        trainer = self.trainer
        codec = trainer.average.codec if trainer.average is not None else trainer.codec
        codec.eval()
        report = self.validator.measure(codec)
        self.log.report(trainer.step, trainer.seconds / 60, report)
        if not report.rates:
            write(f"step {trainer.step}: no figures: no held-out clip is loud enough")
            return self.draw(codec)
        for kind in self.validator.clips:
            line = "  ".join(f"{'-' if kbps == UNQUANTIZED else f'{kbps:g}'}: {snr:.2f} dB {mel:.3f}"
                             for what, kbps, snr, mel in report.rates if what == kind)
            write(f"step {trainer.step} {kind:8} {line}")
        left = " ".join(f"{energy:.3f}" for _, energy, _ in report.codebooks)
        bits = " ".join(f"{entropy:.1f}" for _, _, entropy in report.codebooks)
        write(f"step {trainer.step} latent {report.latent:.3f} in {report.dimensions:.1f} dimensions  left {left}  "
              f"bits {bits}")
        self.draw(codec)

    def draw(self, codec: Codec) -> None:
        """Draw the figures, if matplotlib is there; the tables are in any case."""
        if importlib.util.find_spec("matplotlib"):
            self.attempt("curves", self.log.draw_curves)
            self.attempt("spectrograms", self.log.draw_spectrograms, codec, self.validator)

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
    add("--compile", action="store_true", help="compile element-wise functions; on a CPU this needs a C++ compiler")
    add("--workers", type=int, default=0, help="threads that draw clips ahead of time; default: %(default)d")
    add("--log-every", type=int, default=100, metavar="STEPS")
    add("--validate-every", type=int, default=2000, metavar="STEPS", help="and at the end; default: %(default)d")
    add("--clips", type=int, default=8, help="held-out clips of each kind to validate on; default: %(default)d")
    add("--save-every", type=float, default=10, metavar="MINUTES")
    add("--keep-every", type=int, metavar="STEPS", help="also keep a checkpoint under its step's number")
    add_numbers(result, Recipe)
    return result


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    command = parser()
    args = command.parse_args(argv)
    return run(command.prog, lambda: train(args))


def train(args: argparse.Namespace) -> None:
    """Train as the command line says. Raises `ValueError` or `OSError`."""
    check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.compile:
        fused.enable()
    torch.set_float32_matmul_precision("high")  # TF32 where the device has it
    try:
        device = torch.device(args.device)
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        torch.zeros(1, device=device)
    except Exception as error:  # torch raises a wide choice of errors
        raise ValueError(f"--device: expected one that can be used, got {args.device}: {error!r:.200}") from None
    try:
        distributed.start(device)
        args.out.mkdir(parents=True, exist_ok=True)
        Run(make_trainer(args, device), args).loop()
    finally:
        distributed.stop()


if __name__ == "__main__":
    sys.exit(main())
