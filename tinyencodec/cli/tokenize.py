"""From the command's arguments to a dataset, and what is told of it."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyencodec.system.errors import one_line
from tinyencodec.system.progress import progress
from tinyencodec.tools.tokenize.build import Run, tokenize
from tinyencodec.tools.tokenize.check import check_dataset
from tinyencodec.tools.tokenize.shard import ERRORS

_LISTED = 20  # files that could not be coded, on stderr


def command(args: argparse.Namespace) -> int:
    """Do what the arguments say; return the exit code: 1 if files could not be coded, or are not as written."""
    if args.check is not None:
        if args.inputs or args.out is not None:
            raise ValueError("--check: expected the folder of a dataset and nothing else")
        return _check(args.check)
    if not args.inputs or args.out is None:
        raise ValueError("expected IN... --out DIR, or --check DIR")
    if args.jobs is not None and args.scheduler is not None:
        raise ValueError("--jobs: expected none with --scheduler, whose workers it is not for, got both")
    with _runner(args) as run, progress("tokenizing") as report:
        about = tokenize(args.inputs, args.out, run, args.bandwidth, args.model, args.shard_size, args.force, report)
    print(f"{args.out}: {_summary(about)}")
    if about["short"]:
        print(f"{_count(about['short'], 'recording')} shorter than the header tells: \"missing\" in the manifest")
    if about["failed"]:
        _list_errors(args.out / ERRORS, about["failed"])
    return 1 if about["failed"] else 0


@contextmanager
def _runner(args: argparse.Namespace) -> Iterator[Run]:
    if args.scheduler is None:
        from tinyencodec.system.workers import processors
        from tinyencodec.tools.tokenize.local import Processes

        yield Processes(args.jobs or processors())
    else:
        from tinyencodec.tools.tokenize.cluster import Cluster

        with Cluster(args.scheduler) as cluster:
            yield cluster


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
    with progress("checking") as report:
        dataset, wrong = check_dataset(folder, report)
    for phrase in wrong:
        print(one_line(f"{folder}: {phrase}"), file=sys.stderr)
    if not wrong:
        print(f"{folder}: {_summary(dataset.about)}: all as it was written")
    return 1 if wrong else 0
