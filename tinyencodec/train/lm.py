"""`python -m tinyencodec.train.lm`: train the language model of a codec.

    python -m tinyencodec.train.lm codes.safetensors out/ --codec tiny_24khz --config small.json --minutes 60
    python -m tinyencodec.train.lm codes.safetensors out/ --config small.json     # goes on where that stopped
    python -m tinyencodec.train.lm mine.safetensors tuned/ --model weights/tiny_24khz/lm --rate 5e-4   # fine-tunes
    python -m tinyencodec.train.lm mine.safetensors deep/ --model tuned/ --config six_layers.json    # grows it

Codes come from `lm_codes`, the model is `lm_twin`'s, `lm_batches` says what it is shown. The loss is the cross entropy
of the codes, in bits per code, averaged over the codebooks in use; AdamW with warm-up and a cosine, the gradient's
norm clipped, dropout, and weight decay on matrices. Judged and exported is a moving average of the weights.

    out/config.json, out/model.safetensors    the best average so far, by bits per code on the validation split
    out/checkpoint.pt                         to go on from, with nothing changed by the stop (on the same machine)
    out/log.csv                               bits per code at every evaluation

SIGTERM and Ctrl-C save, as `--minutes` does. But: one process, on a GPU if there is one, else on the CPU.

Chapter 13 of the tutorials uses it.
"""

import argparse
import math
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tinyencodec.lm.config import LMConfig
from tinyencodec.models.store import load_model
from tinyencodec.system.errors import require
from tinyencodec.train.command import add_numbers, attempt, given, nothing_left, resumed, run, tell
from tinyencodec.train.lm_batches import Shape, blocks, draw_batch
from tinyencodec.train.lm_codes import CodecFacts, Codes, divide, read_codes
from tinyencodec.train.lm_evaluate import model_bits
from tinyencodec.train.lm_log import Log
from tinyencodec.train.lm_recipe import HELP, LMRecipe, learning_rate
from tinyencodec.train.lm_twin import (
    LanguageModel,
    deepened,
    load_folder,
    save_folder,
    start_at_frequencies,
    start_from_codebooks,
)
from tinyencodec.train.state_file import read_state, write_state


class Trainer:
    """A model in training, with all that a checkpoint holds.

    config, recipe, codes : what to train, how, and on what
    device : where to work
    codebooks : the codec's, float [K, N, D], to start from (`start_from_codebooks`); None: from random embeddings
    start : a trained model to start from, in place of both; of this `config`, or with fewer layers
    """

    def __init__(self, config: LMConfig, recipe: LMRecipe, codes: Codes, device: str = "cpu",
                 codebooks: np.ndarray | None = None, start: LanguageModel | None = None):
        check_codes(config, codes)
        codes, self.remark = divide(codes)
        self.config, self.recipe, self.facts, self.device = config, recipe, codes.facts, device
        self.stream = np.concatenate([sound[:, :config.n_codebooks] for sound in codes.sounds["train"].values()])
        self.codebooks = tuple(k for k in codes.facts.codebooks if k <= config.n_codebooks)
        longest = max(2, round(recipe.seconds * codes.facts.frame_rate))
        self.shape = Shape(recipe.frames, max(2, longest // 16), longest, self.codebooks, recipe.noise)
        pieces = blocks(codes.sounds["validation"].values(), longest, config.n_codebooks)
        every = max(1, sum(map(len, pieces)) // recipe.judged)
        self.judged = pieces[::every]
        torch.manual_seed(recipe.seed)
        self.model = LanguageModel(config, recipe.dropout)
        if start is not None:
            self.model.load_state_dict(deepened(start, config).state_dict())
        else:
            if codebooks is not None:
                start_from_codebooks(self.model, codebooks)
            start_at_frequencies(self.model, self.stream)
        self.model.to(device)
        self.average = LanguageModel(config).to(device).requires_grad_(False).eval()
        self.average.load_state_dict(self.model.state_dict())
        groups = [{"params": [p for p in self.model.parameters() if (p.ndim > 1) == matrices],
                   "weight_decay": recipe.weight_decay if matrices else 0.0} for matrices in (True, False)]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.step, self.seconds, self.best = 0, 0.0, math.inf

    def train_step(self) -> float:
        """One step; returns the batch's bits per code. Raises `ValueError` if they are not finite."""
        torch.manual_seed(self.recipe.seed << 32 | self.step)  # of the dropout
        seen, target = draw_batch(self.stream, self.config.codebook_size, self.shape, self.recipe.seed, self.step)
        seen, target = seen.to(self.device), target.to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.recipe)
        self.model.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device != "cpu"):
            logits, _ = self.model(seen)
        loss = F.cross_entropy(logits.flatten(0, 2).float(), target.flatten())
        bits = loss.item() / math.log(2)
        if not math.isfinite(bits):
            raise ValueError(f"step {self.step}: expected a finite loss, got {bits}; try a lower rate")
        self.optimizer.zero_grad()  # codebooks not in use have no gradient, and stay as they are
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.average, self.step / (self.step + 9))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return bits

    def evaluate(self) -> dict[int, np.ndarray]:
        """Bits per code on the validation split, by the number of codebooks K: float64 [K]."""
        return {k: model_bits(self.average, [piece[:, :k] for piece in self.judged]) for k in self.codebooks}

    def state(self) -> dict:
        """All that changes in training, and what it was started with, as tensors and plain values."""
        return {"model": self.model.state_dict(), "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds,
                "best": self.best, "setup": self._setup()}

    def restore(self, state: dict) -> None:
        """Go on from what `state` returned. `ValueError` if it was started otherwise; only `steps` may differ."""
        mine, its = self._setup(), state["setup"]
        if other := [name for name in mine if mine[name] != its.get(name)]:
            wanted, got = ({name: setup.get(name) for name in other} for setup in (mine, its))
            raise ValueError(f"checkpoint: expected one of {wanted}, got {got} (frames are those learnt from)")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]

    def _setup(self) -> dict:
        recipe = {key: value for key, value in asdict(self.recipe).items() if key not in ("steps", "precision")}
        return {"config": self.config.to_dict(), "recipe": recipe, "frames": len(self.stream)}


def check_codes(config: LMConfig, codes: Codes) -> None:
    """Raise `ValueError` unless a model of `config` can learn from `codes`."""
    facts = codes.facts
    if config.codebook_size != facts.codebook_size or config.n_codebooks not in facts.codebooks:
        raise ValueError(f"config: expected codebook_size {facts.codebook_size} and n_codebooks of "
                         f"{facts.codebooks}, got {config.codebook_size} and {config.n_codebooks}")
    if max((len(sound) for sounds in codes.sounds.values() for sound in sounds.values()), default=0) < 2:
        raise ValueError("codes: expected a sound of at least two frames, got none")


def default_config(facts: CodecFacts) -> LMConfig:
    """As the official models: all codebooks, and 3.5 s to look back."""
    return LMConfig(n_codebooks=facts.codebooks[-1], codebook_size=facts.codebook_size,
                    past_context=int(3.5 * facts.frame_rate))


def train(trainer: Trainer, out: Path, minutes: float = math.inf) -> None:
    """Train until `recipe.steps`, `minutes` from now, or a signal, whichever comes first; then save."""
    stop = []
    handlers = {name: signal.signal(name, lambda *_: stop.append(True)) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        began, before, bits = time.monotonic(), trainer.seconds, []
        log = Log(out / "log.csv", trainer)
        while trainer.step < trainer.recipe.steps and not stop and time.monotonic() < began + 60 * minutes:
            bits.append(trainer.train_step())
            trainer.seconds = before + time.monotonic() - began
            if trainer.step % trainer.recipe.evaluate == 0 or trainer.step == trainer.recipe.steps:
                what = f"step {trainer.step}: no"
                attempt(f"{what} checkpoint", save_checkpoint, trainer, out)  # whatever happens next, this is kept
                attempt(f"{what} evaluation", judge, trainer, out, log, float(np.mean(bits)))
                bits = []
        save_checkpoint(trainer, out)
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def judge(trainer: Trainer, out: Path, log: Log, bits: float) -> None:
    """Evaluate, write a row of the log, and the model if it is the best so far. `bits`: per code, in training."""
    found = trainer.evaluate()
    if (mean := float(np.mean([values.mean() for values in found.values()]))) < trainer.best:
        save_folder(trainer.average, out, trainer.recipe.precision)
        trainer.best = mean
        save_checkpoint(trainer, out)
    log.add(trainer, bits, found)


def save_checkpoint(trainer: Trainer, out: Path) -> None:
    """Write out/checkpoint.pt. Raises `OSError`."""
    write_state(out / "checkpoint.pt", trainer.state())


def load_checkpoint(out: Path) -> dict:
    """Read out/checkpoint.pt, for `Trainer.restore`. Raises `OSError`, or `ValueError` if it is none."""
    return read_state(out / "checkpoint.pt", {"model", "average", "optimizer", "step", "seconds", "best", "setup"})


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.lm",
                                     description="Train a language model on codes; run again, it goes on.")
    parser.add_argument("codes", type=Path, help="codes file, from tinyencodec.train.lm_codes")
    parser.add_argument("out", type=Path, help="folder for the model, the checkpoint and the log")
    parser.add_argument("--config", type=Path, help="config.json of the model; default: --model's or the official size")
    parser.add_argument("--codec", help="start from the codebooks of this codec: a name or a model folder")
    parser.add_argument("--model", type=Path, help="start from this language model, a folder; --config may add layers")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop and save after so long")
    add_numbers(parser, LMRecipe, HELP)
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: train_model(args))


def train_model(args: argparse.Namespace) -> None:
    """Train as the command line says, or go on. Raises `ValueError` or `OSError`."""
    require(args.minutes >= 0, "--minutes", "a number of at least 0", args.minutes)
    codes, numbers = read_codes(args.codes), given(args, LMRecipe)
    state, start, codebooks, lines = None, None, None, list[str]()
    if args.model and args.codec:
        raise ValueError("expected --model or --codec to start from, got both")
    recipe = LMRecipe(**numbers)
    args.out.mkdir(parents=True, exist_ok=True)
    config = LMConfig.from_file(args.config) if args.config else None
    if (args.out / "checkpoint.pt").exists():
        state = load_checkpoint(args.out)
        config, recipe, lines = going_on(args, state["setup"], numbers, config)
        lines = [f"goes on from {args.out / 'checkpoint.pt'} at step {state['step']}", *lines,
                 *nothing_left(state["step"], recipe.steps)]
    else:
        start = load_folder(args.model) if args.model else None
        codebooks = np.stack(load_model(args.codec).quantizer.codebooks) if args.codec else None
        config = config or (start.config if start else default_config(codes.facts))
    trainer = Trainer(config, recipe, codes, "cuda" if torch.cuda.is_available() else "cpu", codebooks, start)
    tell(*lines, trainer.remark)
    if state:
        trainer.restore(state)
    train(trainer, args.out, args.minutes)


def going_on(args: argparse.Namespace, setup: dict, numbers: dict, config: LMConfig | None,
             ) -> tuple[LMConfig, LMRecipe, list[str]]:
    """Config and recipe of a run that goes on, and lines that say what it keeps.

    setup : the checkpoint's; numbers, config : what the command line gives
    """
    before, saved = LMConfig.from_dict(setup["config"]), LMRecipe(**setup["recipe"])
    new = {"config": config not in (None, before), "model": args.model, "codec": args.codec}
    lines = [f"--{name} {getattr(args, name)}: ignored, the checkpoint's model is kept" for name in new if new[name]]
    free = {name: numbers.pop(name) for name in ("steps", "precision") if name in numbers}
    _, told = resumed(saved, numbers, dict.fromkeys(asdict(saved), "a run goes on as it began"))
    return before, replace(saved, **free), lines + told


if __name__ == "__main__":
    sys.exit(main())
