"""`python -m tinyencodec.train.export RUN MODEL`: make a model folder from a run's checkpoint.

Two checkpoints of one run, or of runs from one model, may be averaged (`--average`). What training pulled to and fro
cancels then, and of two aims that they were trained for the average can be better at both than a mean would be (model
soups; Wortsman et al. 2022).
"""

import argparse
import sys
from pathlib import Path

import torch

from tinyencodec.models.int8_rows import PRECISIONS
from tinyencodec.train.checkpoints import NAME, codec_of, read_checkpoint
from tinyencodec.train.command import run
from tinyencodec.train.network import Codec, save


def read_run(path: Path, last: bool = False) -> tuple[Codec, int]:
    """The codec in a run's folder or a checkpoint file, and the steps it took.

    last : the weights after the last step, even if there is a running average of them
    Raises `OSError`, or `ValueError` if there is none.
    """
    state = read_checkpoint(path / NAME if path.is_dir() else path)
    codec = codec_of(state, average=not last)
    if not codec.quantizer.started:
        raise ValueError(f"{path}: expected a run with codebooks, got one at step {state['step']} without")
    return codec, state["step"]


@torch.no_grad()
def average(codec: Codec, other: Codec, share: float) -> None:
    """Move the weights of `codec` towards those of `other`: by nothing at share 0, all the way at 1.

    Raises `ValueError` unless both have the same shape and the same codebooks.
    """
    if codec.config != other.config:
        raise ValueError("--average: expected two models of one config, got different ones")
    if not all(torch.equal(a.embed, b.embed) for a, b in zip(codec.quantizer.codebooks, other.quantizer.codebooks)):
        raise ValueError("--average: expected two models with the same codebooks, got different ones")
    for mine, theirs in zip(codec.parameters(), other.parameters()):
        mine.lerp_(theirs, share)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.export",
                                     description="Write config.json and model.safetensors from a checkpoint.")
    parser.add_argument("run", type=Path, help="folder of a run, or a checkpoint file")
    parser.add_argument("model", type=Path, help="folder to write to")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32",
                        help="half is float16; rows has 8-bit matrices, the rest float16; default: %(default)s")
    add = parser.add_argument
    add("--average", metavar="RUN", type=Path, help="another run or checkpoint with these codebooks, to average with")
    add("--share", type=float, default=0.5, help="of that one's weights in the average; default: %(default)s")
    add("--last", action="store_true", help="weights of the last step, not the running average that a run may keep")
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: export(args))


def export(args: argparse.Namespace) -> None:
    """Write the model folder that the command line asks for."""
    if not 0 <= args.share <= 1:
        raise ValueError(f"--share: expected a number from 0 to 1, got {args.share}")
    codec, step = read_run(args.run, args.last)
    if args.average:
        average(codec, read_run(args.average, args.last)[0], args.share)
    save(codec, args.model, args.precision)
    print(f"{args.model}: from step {step}")


if __name__ == "__main__":
    sys.exit(main())
