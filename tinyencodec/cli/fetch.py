"""`tinyencodec fetch NAME` gets official models."""

import argparse
from functools import partial

from tinyencodec.cli.options import declare_force

EXAMPLES = """
tinyencodec fetch encodec_24khz                    # with its language model, for --lm
tinyencodec fetch --no-lm encodec_24khz encodec_48khz encodec_32khz
tinyencodec -m encodec_24khz speech.wav            # as the official program compresses it
# For a machine without network, a file or a folder from elsewhere:
tinyencodec fetch encodec_24khz --from encodec_24khz-d7cc33bc.th
tinyencodec fetch encodec_24khz encodec_48khz --from ~/.cache/torch/hub/checkpoints
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fetch`."""
    from tinyencodec.models.official import OFFICIAL

    add = parser.add_argument
    add("names", metavar="NAME", nargs="+", help=f"{', '.join(OFFICIAL)}")
    add("--from", dest="source", metavar="FILE|DIR", help="take the weights from here, not from the network: an "
        "official file, a folder of such files, or a Hub folder")
    add("--no-lm", dest="lm", action="store_false", help="without the language model")
    add("--half", action="store_true", help="store float16: half the size")
    add("--offline", action="store_true", help="do not use the network; TINYENCODEC_OFFLINE=1 in the "
        "environment does the same")
    declare_force(parser, "fetch again, and replace the model's whole folder")


def run(args: argparse.Namespace) -> None:
    """Fetch one after another, up to the first that fails."""
    from tinyencodec.models.fetch import fetch_model
    from tinyencodec.system.model_files import LM

    for name in args.names:
        folder = fetch_model(name, args.source, lm=args.lm, half=args.half, force=args.force, offline=args.offline,
                             tell=partial(print, flush=True))
        lm = "with" if (folder / LM).is_dir() else "without"
        print(f"{name}: {lm} language model; use it with -m {name}")
