"""`tinyencodec bench`: how fast the codec is on this machine, and how much memory it takes.

Speed is told in times real time: seconds of sound per second of work. Models named like an official one stand
for that size with random weights, since speed does not depend on them. Other programs that are installed
(`--against`) do the same work in the same process, in turn with ours, so that what else the machine does
falls on both alike; ratios are medians over such pairs of runs.

But: a peer runs its own model of the same size, not the same weights. Parity is another question, which the tests
answer.

    subject   models, and a sound to give them
    speed     encoding and decoding, frame by frame and layer by layer
    peers     other programs that do the same work
    child     memory and start-up, each in a process of its own
    runs      all of it
    report    the figures as a table
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

SUMMARY = "Measure speed, memory and start-up on this machine, also against other programs."
EXAMPLES = """
tinyencodec bench                          # all of it, some minutes
tinyencodec bench --quick --models tiny_24khz
tinyencodec bench --parts speed --threads 1,2,4 --seconds 10,60
tinyencodec bench --against encodec,transformers --json figures.json
tinyencodec bench --quick --profile        # where the time goes
"""
_PRESETS = "encodec_24khz,encodec_48khz"
_PARTS = ("speed", "streaming", "memory", "start")
_PEERS = ("encodec", "transformers", "onnxruntime")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument_group("what is measured").add_argument
    add("--models", metavar="NAMES", type=_names,
        help=f"names or folders, with commas; default: {_PRESETS} and the bundled ones")
    add("--parts", metavar="NAMES", type=_some_of("part", _PARTS), default=list(_PARTS),
        help=f"of {','.join(_PARTS)}; default: all")
    add("--profile", action="store_true", help="time of each layer, for one run of at most 10 s on one thread")
    add("--against", metavar="PEERS", type=_some_of("peer", _PEERS), default=[],
        help=f"of {','.join(_PEERS)}; default: none")

    add = parser.add_argument_group("how").add_argument
    add("--seconds", metavar="LIST", type=_list_of(float), help="lengths of sound; default: 1,10,60,600")
    add("--threads", metavar="LIST", type=_list_of(int), default=[1, 2], help="numbers of them; default: 1,2")
    add("--repeat", metavar="N", type=_one(int), help="runs of each kind, fewer of long ones; default: 5")
    add("--against-seconds", metavar="S", type=_one(float), default=60.0,
        help="longest sound that peers are given (encodec takes about 20 MB a second); default: %(default)g")
    add("--quick", action="store_true", help="1 and 10 s, two runs")

    add = parser.add_argument_group("output").add_argument
    add("--json", metavar="FILE", help="write all figures there; - for standard output, in place of the table")
    add("-f", "--force", action="store_true", help="overwrite FILE if it exists")


def run(args: argparse.Namespace) -> None:
    """Measure and print. Raises `ValueError` or `OSError` for arguments that cannot be used."""
    import json

    from tinyencodec.models.store import list_models
    from tinyencodec.system.files import check_output
    from tinyencodec.tools.bench.report import table
    from tinyencodec.tools.bench.runs import run_benchmarks
    from tinyencodec.tools.reporting import write_json

    to_file = args.json not in (None, "-")
    if to_file:
        check_output(args.json, args.force)
    models = args.models or [*_PRESETS.split(","), *(name for name in list_models() if name not in _PRESETS)]
    seconds = args.seconds or ([1.0, 10.0] if args.quick else [1.0, 10.0, 60.0, 600.0])
    repeat = args.repeat or (2 if args.quick else 5)
    figures = run_benchmarks(models, seconds, args.threads, repeat, args.parts, args.against, args.against_seconds,
                      profile=args.profile, streamed=1.0 if args.quick else 10.0)
    if to_file:
        write_json(args.json, figures, args.force)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n" if args.json == "-" else table(figures))


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(name for name in text.split(",") if name))
    if not names:
        raise argparse.ArgumentTypeError("expected names with commas between, got none")
    return names


def _some_of(what: str, known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        for name in (names := _names(text)):
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown {what} {name!r}: expected some of {','.join(known)}")
        return names

    return parse


def _list_of(number: type) -> Callable[[str], list]:
    def parse(text: str) -> list:
        try:
            values = [number(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not values or not all(0 < value <= 1e5 for value in values):
            kind = "whole numbers" if number is int else "numbers"
            raise argparse.ArgumentTypeError(f"expected positive {kind} with commas between, got {text!r}")
        return list(dict.fromkeys(values))

    return parse


def _one(number: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        values = _list_of(number)(text)
        if len(values) != 1:
            raise argparse.ArgumentTypeError(f"expected one number, got {text!r}")
        return values[0]

    return parse
