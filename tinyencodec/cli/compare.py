"""`tinyencodec compare INPUT -o REPORT.html`: from arguments to the page (`tools.compare`)."""

import argparse
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tinyencodec.cli.options import between, comma_list, declare_force
from tinyencodec.system.files import atomic_write, check_output

if TYPE_CHECKING:
    from tinyencodec.tools.compare.renditions import Start

_NEEDS = ("jinja2", "matplotlib")
EXAMPLES = """
tinyencodec compare song.flac -o report.html
tinyencodec compare talk.wav -o talk.html --speech --seconds 10    # with PESQ and STOI
tinyencodec compare song.flac -o song.html -m ./mine -b 3,6,12
xdg-open report.html
"""
_ENTROPY = ("table", "lm")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument
    add("input", metavar="INPUT", type=Path, help="audio file")
    add("-o", "--out", metavar="REPORT.html", type=Path, required=True, help="the page, one file")
    add("-m", "--model", metavar="MODEL", help="name or folder; default: the bundled one")
    add("-b", "--bandwidths", metavar="RATES", type=comma_list(float), help="kbit/s; default: all that the model has")
    add("--entropy", metavar="CODERS", type=comma_list(str, (*_ENTROPY, "none")), default=list(_ENTROPY),
        help=f"measure the rate with these too, of {','.join(_ENTROPY)}, or none; default: those that the model has")
    add("--seconds", metavar="S", type=between(float, 0.1, 600, "0.1 to 600 seconds"), default=30.0,
        help="seconds of INPUT, from its start; default: %(default)g")
    add("--speech", action="store_true", help="for speech: PESQ and STOI too (pip install 'tinyencodec[evaluate]')")
    declare_force(parser, "overwrite the page if it exists")


def run(args: argparse.Namespace) -> None:
    """Measure and write. Raises `ValueError` or `OSError` before the work for what cannot be done."""
    from tinyencodec.models.store import load_model
    from tinyencodec.tools.compare.page import render
    from tinyencodec.tools.compare.renditions import listen, read_start
    from tinyencodec.tools.evaluate.codecs import OurCodec

    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"expected {' and '.join(_NEEDS)}, got no {' and no '.join(missing)} "
                         "(pip install 'tinyencodec[compare]')")
    if args.input.exists() and args.out.exists() and os.path.samefile(args.input, args.out):
        raise ValueError(f"{args.out}: expected another file than INPUT")
    check_output(args.out, args.force)
    model = load_model(args.model)
    coders = [name for name in args.entropy if name != "none"]
    coder = OurCodec(model, sorted(args.bandwidths or model.bandwidths), coders)
    start = read_start(args.input, model.sample_rate, model.channels, args.seconds)
    renditions = listen(coder, start.wav, model.sample_rate, args.speech)
    page = render(args.input.name, model.name, _notes(args, start, coder.missing), renditions, model.sample_rate)
    with atomic_write(args.out, args.force) as fo:
        fo.write(page)


def _notes(args: argparse.Namespace, start: "Start", left_out: list[str]) -> list[str]:
    from tinyencodec.tools.compare.page import clock
    from tinyencodec.tools.evaluate.measures import left_out as measures_left_out

    notes = []
    if start.is_cut:
        whole = "" if start.seconds is None else f" of {clock(start.seconds)}"
        notes.append(f"Only the first {clock(args.seconds)}{whole} (--seconds).")
    if args.speech:
        left_out = left_out + measures_left_out(True)
    return notes + [f"Left out: {line}." for line in left_out]
