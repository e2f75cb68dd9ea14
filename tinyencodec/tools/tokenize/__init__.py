"""`tinyencodec tokenize`: many recordings to codes for audio language models, in shards, on one machine or on many.

In reading order:

    plan      which files, in which order, in which parts
    part      one part of the work: sounds to codes on disk, any of them twice without harm
    crashes   files that processes die of
    shard     parts to shards, manifest, list of errors
    dataset   reading them: `open_dataset`
    check     whether a dataset is still what was written
    build     from files to a dataset, taken up again where it was interrupted
    local     the work on this machine
    cluster   the work on a cluster, through Dask

The dataset depends on the files, the model and the options only: not on how many processes or machines did the work,
which of them died, or how often it was interrupted.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyencodec.tools.tokenize.dataset import TokenDataset, open_dataset

__all__ = ["TokenDataset", "open_dataset"]

SUMMARY = "Code a corpus for language models: safetensors shards and a manifest; also on a cluster."
EXAMPLES = """
tinyencodec tokenize corpus/ --out tokens/    # every sound below it, at 6 kbit/s; again, to go on after a break
tinyencodec tokenize 'corpus/**/*.flac' more/ --out tokens/ -b 3 -j 8
tinyencodec tokenize --check tokens/    # are all bytes still those that were written?
# On the workers of a Dask scheduler, which see both folders:
tinyencodec tokenize /data/corpus --out /data/tokens --scheduler tcp://10.0.0.1:8786
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add("inputs", metavar="IN", nargs="*", help="audio files, folders with them, or patterns such as 'a/**/*.flac'")
    add("-o", "--out", metavar="DIR", type=Path, help="folder for the dataset, new or begun before")
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help="kbit/s, one of the model's; default: 6 or the nearest it has")
    add("-m", "--model", metavar="MODEL", help="name or folder of the model; default: the bundled one")
    add("-j", "--jobs", metavar="N", type=_count, help="processes at once; default: one per processor")
    add("--scheduler", metavar="ADDRESS", help="work on the cluster of this Dask scheduler, such as "
        "tcp://10.0.0.1:8786; its machines must see inputs and DIR (pip install 'tinyencodec[scale]')")
    add("--shard-size", metavar="MB", type=_megabytes, default="256",
        help="codes in one shard, in 10^6 bytes; default: %(default)s")
    add("-f", "--force", action="store_true", help="begin the dataset in DIR anew, with whatever options and inputs")
    add("--check", metavar="DIR", type=Path, help="instead: read a dataset and compare it with its hashes")


def run(args: argparse.Namespace) -> int:
    """Do it; 1 if some files could not be coded."""
    from tinyencodec.cli.tokenize import command

    return command(args)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 1024, got {text!r}")
    return int(text)


def _megabytes(text: str) -> int:
    try:
        size = float(text) * 1e6
    except ValueError:
        size = 0
    if not 1 <= size <= 1e15:
        raise argparse.ArgumentTypeError(f"expected megabytes above 0, got {text!r}")
    return round(size)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'tinyencodec.tools.tokenize' has no attribute {name!r}")
    from tinyencodec.tools.tokenize import dataset

    return getattr(dataset, name)
