"""From the command's arguments to the page."""

import argparse
import importlib.util
import os

from tinyencodec.models.store import load_model
from tinyencodec.system.files import atomic_write, check_output
from tinyencodec.tools.compare.page import About, clock, render
from tinyencodec.tools.compare.sources import Start, listen, read_start
from tinyencodec.tools.evaluate.codecs import OurCodec
from tinyencodec.tools.evaluate.measures import left_out as measures_left_out
from tinyencodec.version import __version__

_NEEDS = ("jinja2", "matplotlib")


def compare(args: argparse.Namespace) -> None:
    """Measure and write. Raises `ValueError` or `OSError` before the work for what cannot be done."""
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"expected {' and '.join(_NEEDS)}, got no {' and no '.join(missing)} "
                         "(pip install 'tinyencodec[compare]')")
    if args.input.exists() and args.out.exists() and os.path.samefile(args.input, args.out):
        raise ValueError(f"{args.out}: expected another file than INPUT")
    check_output(args.out, args.force)
    model = load_model(args.model)
    for rate in args.bandwidths or ():
        model.codebooks_for(rate)  # ValueError
    rates = tuple(sorted(args.bandwidths or model.bandwidths))
    start = read_start(args.input, model.sample_rate, model.channels, args.seconds)
    coder = OurCodec(model, rates, args.entropy, __version__)
    sources = listen(coder, start.wav, model.sample_rate, args.speech)
    about = About(args.input.name, model.name, __version__, _notes(args, start, coder.missing))
    page = render(about, sources, model.sample_rate)
    with atomic_write(args.out, args.force) as fo:
        fo.write(page)


def _notes(args: argparse.Namespace, start: Start, left_out: list[str]) -> list[str]:
    notes = []
    if start.is_cut:
        whole = "" if start.seconds is None else f" of {clock(start.seconds)}"
        notes.append(f"Only the first {clock(args.seconds)}{whole} (--seconds).")
    if args.speech:
        left_out = left_out + measures_left_out(True)
    return notes + [f"Left out: {line}." for line in left_out]
