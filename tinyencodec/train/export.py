"""`python -m tinyencodec.train.export RUN MODEL`: make a model folder from a run's checkpoint."""

import argparse
import sys
from pathlib import Path

from tinyencodec.rows import PRECISIONS
from tinyencodec.train.checkpoints import NAME, codec_of, read_checkpoint
from tinyencodec.train.network import save


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tinyencodec.train.export",
                                     description="Write config.json and model.safetensors from a checkpoint.")
    parser.add_argument("run", type=Path, help="folder of a run, or a checkpoint file")
    parser.add_argument("model", type=Path, help="folder to write to")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32",
                        help="half is float16; rows has 8-bit matrices, the rest float16; default: %(default)s")
    args = parser.parse_args(argv)
    try:
        state = read_checkpoint(args.run / NAME if args.run.is_dir() else args.run)
        codec = codec_of(state)
        if not codec.quantizer.started:
            raise ValueError(f"{args.run}: expected a run with codebooks, got one at step {state['step']} without")
        save(codec, args.model, args.precision)
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(f"{args.model}: from step {state['step']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
