"""`tinyencodec info FILE.ecdc`: what a file holds (`ecdc.describe`)."""

import argparse

from tinyencodec.ecdc.header import SUFFIX

EXAMPLES = f"""
tinyencodec info song{SUFFIX}
tinyencodec info -m ./mine song{SUFFIX}    # of a model in another folder
curl -s https://example.org/song{SUFFIX} | tinyencodec info -
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", metavar=f"FILE{SUFFIX}", help="-: standard input")
    parser.add_argument("-m", "--model", metavar="MODEL", help="folder of the model, if it is not found by its name")


def run(args: argparse.Namespace) -> None:
    """Print it. Raises as `ecdc.describe.describe`."""
    from tinyencodec.ecdc.describe import describe

    print(describe(args.file, args.model))
