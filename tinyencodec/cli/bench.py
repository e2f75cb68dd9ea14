"""`tinyencodec bench`: from arguments to figures of speed and memory (`tools.bench`)."""

import argparse
import json
from pathlib import Path

from tinyencodec.cli.options import comma_list, declare_force, positive

EXAMPLES = """
tinyencodec bench                          # all of it, some minutes
tinyencodec bench --quick --models tiny_24khz
tinyencodec bench --parts speed --threads 1,2,4 --seconds 10,60
tinyencodec bench --against encodec,transformers --json figures.json
tinyencodec bench --quick --profile        # where the time goes
"""
_PRESETS = "encodec_24khz,encodec_48khz"
_PARTS = ("speed", "streaming", "memory", "start", "layers")
_PEERS = ("encodec", "transformers", "onnxruntime")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument_group("what is measured").add_argument
    add("--models", metavar="NAMES", type=comma_list(str),
        help=f"names or folders, separated by commas; default: {_PRESETS} and the bundled ones")
    add("--parts", metavar="NAMES", type=comma_list(str, _PARTS, "part"), default=list(_PARTS),
        help=f"some of {','.join(_PARTS)} (layers: of the default model); default: all")
    add("--profile", action="store_true",
        help="time of each layer of all models, for at most 10 s of sound on one thread")
    add("--against", metavar="PEERS", type=comma_list(str, _PEERS, "peer"), default=[],
        help=f"some of {','.join(_PEERS)}; default: none")

    add = parser.add_argument_group("how").add_argument
    add("--seconds", metavar="LIST", type=comma_list(float), help="lengths of sound; default: 1,10,60,600")
    add("--threads", metavar="LIST", type=comma_list(int), default=[1, 2], help="numbers of threads; default: 1,2")
    add("--repeat", metavar="N", type=positive(int), help="runs of each measurement, fewer for long sounds; default: 5")
    add("--against-seconds", metavar="S", type=positive(float), default=60.0,
        help="longest sound given to peers, in seconds (encodec needs about 20 MB for each); default: %(default)g")
    add("--quick", action="store_true", help="1 and 10 s, two runs")

    group = parser.add_argument_group("output")
    group.add_argument("--json", metavar="FILE",
                       help="write all figures to FILE; -: to standard output, instead of the table")
    declare_force(group, "overwrite FILE if it exists")


def run(args: argparse.Namespace) -> None:
    """Measure and print. Raises `ValueError` or `OSError` for arguments that cannot be used."""
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
        write_json(Path(args.json), figures, args.force)
    print(json.dumps(figures, indent=1) if args.json == "-" else table(figures).rstrip("\n"))
