"""`tinyencodec export DEST`: a model as ONNX graphs (`tools.export`)."""

import argparse
import importlib.util
from pathlib import Path

from tinyencodec.cli.options import declare_model

EXAMPLES = """
tinyencodec export graphs/                   # encoder.onnx, decoder.onnx, and a pair that streams
tinyencodec export --half graphs/            # half the size
tinyencodec export -m encodec_48khz graphs/
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("dest", metavar="DEST", type=Path, help="new folder")
    declare_model(parser, "export the 48 kHz stereo model, tiny_48khz", "name or folder; default: the bundled one")
    parser.add_argument("--half", action="store_true", help="store float16 weights: half the size")


def run(args: argparse.Namespace) -> None:
    """Export, and list the files. Raises as `tools.export.files.export`."""
    from tinyencodec.cli.options import chosen
    from tinyencodec.models.store import load_model

    if importlib.util.find_spec("onnx") is None:
        raise ValueError("expected onnx, got no onnx (pip install 'tinyencodec[onnx]')")
    from tinyencodec.tools.export.files import export

    for name, size in export(load_model(chosen(args)), args.dest, args.half).items():
        print(f"{args.dest / name}: {size / 1e6:.1f} MB")
