"""`python -m tinyencodec.train.lm_evaluate`: bits per code of a language model, on sounds held out from it.

    python -m tinyencodec.train.lm_evaluate lm/ codes.safetensors --split test --seconds 4 --packages

Sounds are cut into blocks as the coder does, and the model begins anew at each. What is reported is the cross entropy,
-log2 of the probability of each code that came. `--coder` really codes the blocks as well, which takes longer: it
should cost a few bits per block more (and a file has the blocks' checksums on top). Beside it stand

    fixed     log2(N), what a code costs without entropy coding
    table     the cross entropy with each codebook's frequencies in the training split: what static tables reach
    order 0   the entropy of the held-out codes themselves: what tables made for just these sounds would reach, so
              too good by about N / (2 ln 2) bits in all per codebook, which is much when there are few frames
"""

import argparse
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from tinyencodec.lm.coder import LMCoder
from tinyencodec.models.store import load_language_model
from tinyencodec.train.command import run
from tinyencodec.train.lm_batches import block_batches, blocks
from tinyencodec.train.lm_codes import read_codes
from tinyencodec.train.lm_twin import LanguageModel, load_folder
from tinyencodec.train.packed import SPLITS

_FRAMES = 4096  # in a batch


@torch.no_grad()
def model_bits(model: LanguageModel, pieces: list[np.ndarray]) -> np.ndarray:
    """Mean bits per code of each codebook, float64 [K], over blocks [F, K]. The model is left in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    bits: Any = 0.0
    n_frames = 0
    for seen, target in block_batches(pieces, _FRAMES):
        seen, target = seen.to(device), target.to(device)
        logits, _ = model(seen)
        nats = F.cross_entropy(logits.flatten(0, 2).float(), target.flatten(), ignore_index=-1, reduction="none")
        bits = bits + nats.view(target.shape).double().sum(dim=(0, 2)).cpu().numpy() / math.log(2)
        n_frames += int((target[:, 0] >= 0).sum())
    return bits / max(n_frames, 1)


def coder_bits(coder: LMCoder, pieces: list[np.ndarray]) -> float:
    """Mean bits per code that the coder itself takes for blocks [F, K], their last bytes filled up."""
    payloads = coder.encode([piece.T.astype(np.int64) for piece in pieces])
    return 8 * sum(map(len, payloads)) / sum(piece.size for piece in pieces)


def frequencies(codes: np.ndarray, codebook_size: int) -> np.ndarray:
    """How often each entry comes in codes [F, K]: int64 [K, N]."""
    return np.stack([np.bincount(column, minlength=codebook_size) for column in codes.T])


def table_bits(counts: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Mean bits per code of codes [F, K], float64 [K], by tables made of `counts` [K, N], each raised by one."""
    return np.array([-np.log2((row + 1) / (row + 1).sum())[column].mean() for row, column in zip(counts, codes.T)])


def entropy(counts: np.ndarray) -> np.ndarray:
    """The entropy in bits of each row of `counts` [K, N]: float64 [K]."""
    p = counts / counts.sum(axis=1, keepdims=True)
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(axis=1)


def report(model: LanguageModel, train: Iterable[np.ndarray], held_out: dict[str, np.ndarray], length: int,
           codebooks: Iterable[int], coder: LMCoder | None = None) -> list[str]:
    """Lines of a table: bits per code at each number of codebooks, then of each codebook at the largest number.

    train : codes [F, K] that the tables are made of; held_out : by name, those that everything is tried on
    length : of a block, in frames
    coder : of the same model, to be tried as well
    """
    size, n_codebooks = model.config.codebook_size, model.config.n_codebooks
    codes = np.concatenate(list(held_out.values()))[:, :n_codebooks]
    order0 = entropy(frequencies(codes, size))
    table = table_bits(frequencies(np.concatenate(list(train))[:, :n_codebooks], size), codes)
    lines = [f"{len(held_out)} sounds, {len(codes)} frames, blocks of {length} frames", "",
             f"{'':12} {'fixed':>8} {'table':>8} {'order 0':>8} {'model':>8} {'saving':>8}"]

    def line(label: str, *bits: float) -> str:
        fixed = math.log2(size)
        return (f"{label:12} {fixed:8.3f} " + " ".join(f"{value:8.3f}" for value in bits)
                + f" {100 * (1 - bits[-1] / fixed):6.1f} %")

    for k in codebooks:
        pieces = blocks(held_out.values(), length, k)
        bits = model_bits(model, pieces)
        lines.append(line(f"K = {k}", table[:k].mean(), order0[:k].mean(), bits.mean()))
        if coder is not None:
            lines.append(f"{'':12} by the coder: {coder_bits(coder, pieces):.3f} for {len(pieces)} blocks")
    lines.append("")
    lines += [line(f"codebook {i}", *row) for i, row in enumerate(zip(table, order0, bits))]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.lm_evaluate",
                                     description="Bits per code of a language model on held-out sounds.")
    add = parser.add_argument
    add("lm", type=Path, help="the language model's folder")
    add("codes", type=Path, help="codes file, from tinyencodec.train.lm_codes")
    add("--split", choices=SPLITS, default="test", help="default: %(default)s")
    add("--seconds", type=float, default=4.0, help="length of a block; default: %(default)g")
    add("--coder", action="store_true", help="really code the blocks as well")
    add("--packages", action="store_true", help="also one table for each package, that is the first part of the names")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> None:
    """Print the tables that the command line asks for."""
    model, codes = load_folder(args.lm), read_codes(args.codes)
    coder = LMCoder(load_language_model(args.lm)) if args.coder else None
    if not codes.sounds[args.split] or model.config.codebook_size != codes.facts.codebook_size:
        raise ValueError(f"{args.codes}: expected sounds of the split {args.split!r} and "
                         f"{model.config.codebook_size} entries, got {len(codes.sounds[args.split])} "
                         f"and {codes.facts.codebook_size}")
    groups = {"": codes.sounds[args.split]}
    if args.packages:
        for name, sound in codes.sounds[args.split].items():
            groups.setdefault(name.split("/")[0], {})[name] = sound
    length = max(1, round(args.seconds * codes.facts.frame_rate))
    counts = [k for k in codes.facts.codebooks if k <= model.config.n_codebooks]
    for title, sounds in groups.items():
        lines = report(model, codes.sounds["train"].values(), sounds, length, counts, coder)
        print(*([title] if title else []), *lines, "", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
