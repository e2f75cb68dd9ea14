"""`tinyencodec tokenize IN --out DIR`: from arguments to a dataset, and what is told of it (`tools.tokenize`)."""

import argparse
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyencodec.cli.options import between, declare_force
from tinyencodec.system.errors import one_line
from tinyencodec.system.progress import progress

if TYPE_CHECKING:
    from tinyencodec.tools.tokenize.build import Run

EXAMPLES = """
tinyencodec tokenize corpus/ --out tokens/    # every sound in it, at 6 kbit/s; run it again to resume
tinyencodec tokenize 'corpus/**/*.flac' more/ --out tokens/ -b 3 -j 8
tinyencodec tokenize --check tokens/    # are all bytes still those that were written?
# On the workers of a Dask scheduler, which see both folders:
tinyencodec tokenize /data/corpus --out /data/tokens --scheduler tcp://10.0.0.1:8786
"""
_LISTED = 20  # files that could not be coded, on stderr


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    add = parser.add_argument
    add("inputs", metavar="IN", nargs="*", help="audio files, folders with them, or patterns such as 'a/**/*.flac'")
    add("-o", "--out", metavar="DIR", type=Path, help="folder for the dataset, new or begun before")
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help="kbit/s, one of the model's; default: 6 or the nearest it has")
    add("-m", "--model", metavar="MODEL", help="name or folder of the model; default: the bundled one")
    add("-j", "--jobs", metavar="N", type=between(int, 1, 1024, "a number from 1 to 1024"),
        help="processes at once; default: one per processor")
    add("--scheduler", metavar="ADDRESS", help="work on the cluster of this Dask scheduler, such as "
        "tcp://10.0.0.1:8786; its machines must see IN and DIR (pip install 'tinyencodec[scale]')")
    add("--shard-size", metavar="MB", type=between(float, 1e-6, 1e9, "megabytes above 0"), default="256",
        help="codes in one shard, in 10^6 bytes; default: %(default)s")
    declare_force(parser, "start the dataset in DIR anew, whatever it was begun with")
    add("--check", metavar="DIR", type=Path, help="only read the dataset in DIR, and compare it with its hashes")


def run(args: argparse.Namespace) -> int:
    """Do what the arguments say; return the exit code: 1 if files could not be coded, or are not as written."""
    from tinyencodec.tools.tokenize.build import build_dataset
    from tinyencodec.tools.tokenize.shard import ERRORS

    if args.check is not None:
        if args.inputs or args.out is not None:
            raise ValueError("--check: expected the folder of a dataset and nothing else")
        return _check(args.check)
    if not args.inputs or args.out is None:
        raise ValueError("expected IN... --out DIR, or --check DIR")
    if args.jobs is not None and args.scheduler is not None:
        raise ValueError("--jobs: expected none with --scheduler, whose workers it is not for, got both")
    with _runner(args) as do, progress("tokenizing") as report:
        about = build_dataset(args.inputs, args.out, do, args.bandwidth, args.model, round(args.shard_size * 1e6),
                              args.force, report)
    print(f"{args.out}: {_summary(about)}")
    if about["short"]:
        print(f"{_count(about['short'], 'recording')} shorter than the header tells: \"missing\" in the manifest")
    if about.get("remarked"):
        print(f"{_count(about['remarked'], 'recording')} not quite as expected: \"remarks\" in the manifest")
    if about["failed"]:
        _list_errors(args.out / ERRORS, about["failed"])
    return 1 if about["failed"] else 0


def _runner(args: argparse.Namespace) -> AbstractContextManager["Run"]:
    if args.scheduler is not None:
        from tinyencodec.tools.tokenize.cluster import Cluster

        return Cluster(args.scheduler)
    from tinyencodec.system.workers import processors
    from tinyencodec.tools.tokenize.local import run_locally

    return nullcontext(partial(run_locally, args.jobs or processors()))


def _summary(about: dict[str, Any]) -> str:
    size = sum(shard["bytes"] for shard in about["shards"])
    seconds = about["seconds"]
    time = f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"
    return (f"{_count(about['recordings'], 'recording')} of {time} altogether, {about['codebooks']} x "
            f"{about['frames']} codes in {_count(len(about['shards']), 'shard')}, {size / 1e6:.2f} MB")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _list_errors(path: Path, count: int) -> None:
    print(f"{_count(count, 'file')} could not be coded, as {path} tells:", file=sys.stderr)
    with open(path, "rb") as fo:
        for _, line in zip(range(_LISTED), fo):
            failed = json.loads(line)
            print(one_line(f"  {failed['name']}: {failed['error']}"), file=sys.stderr)
    if count > _LISTED:
        print(f"  and {count - _LISTED} more", file=sys.stderr)


def _check(folder: Path) -> int:
    from tinyencodec.tools.tokenize.dataset import TokenDataset

    dataset = TokenDataset(folder)
    with progress("checking") as report:
        wrong = dataset.wrong_files(report)
    for phrase in wrong:
        print(one_line(f"{folder}: {phrase}"), file=sys.stderr)
    if not wrong:
        print(f"{folder}: {_summary(dataset.about)}: all as it was written")
    return 1 if wrong else 0
