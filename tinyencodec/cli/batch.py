"""`tinyencodec batch INPUT...`: compress or decompress many files, by several processes (`tools.batch`)."""

import argparse
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tinyencodec.cli import options
from tinyencodec.ecdc.header import KEEP_GOING, SUFFIX

if TYPE_CHECKING:
    from tinyencodec.tools.batch.report import Report
    from tinyencodec.tools.batch.tasks import CodingOptions, Task

EXAMPLES = f"""
tinyencodec batch songs/ --out coded/      # songs/a/b.mp3 -> coded/a/b{SUFFIX}
tinyencodec batch coded/ --out heard/      # coded/a/b{SUFFIX} -> heard/a/b.wav
# What is left after an interruption:
tinyencodec batch songs/ --out coded/ --skip-existing
# Some of them, by eight processes, with all figures in a file:
tinyencodec batch 'songs/**/*.flac' --out coded/ -j 8 --json done.json
# Beside the files, and so that it can be run again:
tinyencodec batch songs/ --to {SUFFIX} --skip-existing -b 3 --lm
"""
_MANY = 20  # files; so many or more are summed up, unless --verbose


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    from tinyencodec.audio.writer import FORMATS

    parser.usage = "tinyencodec batch [options] INPUT..."
    group = parser.add_argument_group("files")
    add = group.add_argument
    add("inputs", metavar="INPUT", nargs="+",
        help="files, folders with all in them, and patterns in quotes, such as 'songs/**/*.flac'. Hidden files are "
             f"left out. Either all are sound and become {SUFFIX}, or all are {SUFFIX} and become sound")
    add("-o", "--out", metavar="DIR", type=Path,
        help="folder for the outputs, which keep their subfolders and names in it; made if need be. Default: beside "
             f"the inputs, with the suffix {SUFFIX}, or as NAME_decompressed.wav")
    add("--to", choices=(SUFFIX, *FORMATS),
        help=f"what to make, and so which files to look for: {SUFFIX} from sound, sound from {SUFFIX} files. Default: "
             f"{SUFFIX} or .wav, depending on what is found")
    exists = group.add_mutually_exclusive_group()
    exists.add_argument("--skip-existing", action="store_true",
                        help="leave existing outputs as they are, however old; none is ever half written")
    options.declare_force(exists, "overwrite existing outputs")

    options.declare_coding(parser)
    add = parser.add_argument_group("decoding").add_argument
    add("--keep-going", nargs="?", choices=KEEP_GOING, const=KEEP_GOING[0],
        help="decompress the undamaged parts of files with checksums; the others become a repetition of what came "
             "before (the default), or silence. Must come after INPUT")
    add("-r", "--rescale", action="store_true", help="scale decompressed sound down instead of clipping it")

    add = parser.add_argument_group("work and report").add_argument
    add("-j", "--jobs", metavar="N", type=int,
        help="number of processes; the outputs do not depend on it. Default: one per processor")
    add("-v", "--verbose", action="store_true", help=f"print a line for each file, even if there are {_MANY} or more")
    add("--json", metavar="FILE", type=Path, help="also write all figures to FILE, replacing it if it exists")
    parser.epilog = ("A file that cannot be coded does not stop the others. It is named at once and again at the end, "
                     "and the exit code is 1.")


def run(args: argparse.Namespace) -> int:
    """Do it; the exit code is 1 if not all files could be coded."""
    from tinyencodec.system.files import check_output
    from tinyencodec.system.inputs import AUDIO, find_inputs
    from tinyencodec.system.workers import processors
    from tinyencodec.tools.batch.report import Report
    from tinyencodec.tools.batch.tasks import assign_outputs, load_worker

    options.check_count("jobs", args.jobs)
    if args.json is not None:
        if args.json.suffix.lower() != ".json":
            raise ValueError(f"{args.json}: expected a name ending in .json, got {args.json.suffix or 'no suffix'}")
        check_output(args.json, force=True)
    wanted = (*AUDIO, SUFFIX) if args.to is None else AUDIO if args.to == SUFFIX else (SUFFIX,)
    to, tasks = assign_outputs(find_inputs(args.inputs, wanted), args.to, args.out, args.force)
    todo = [task for task in tasks if not os.path.lexists(task.dest)]
    if len(todo) < len(tasks) and not args.skip_existing:
        if not args.force:
            first = next(task.dest for task in tasks if os.path.lexists(task.dest))
            raise ValueError(f"{len(tasks) - len(todo)} of {len(tasks)} outputs exist, such as {first}; use -f to "
                             "overwrite or --skip-existing to keep them")
        todo = tasks
    n_processes = min(args.jobs or processors(), max(1, len(todo)))
    choices = _choices(args, to == SUFFIX, max(1, processors() // n_processes))
    load_worker(choices)  # so that what is wrong for all is told before the work, and the loops are compiled only once
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        if not os.access(args.out, os.W_OK):
            raise PermissionError(13, "output folder is not writable", str(args.out))
    report = Report(tasks, todo, to == SUFFIX, min(processors(), n_processes * choices.threads))
    try:
        _work(todo, choices, n_processes, report)
    finally:  # also of an interruption: what was done so far
        report.print(args.verbose or len(tasks) < _MANY)
        if args.json is not None:
            report.save(args.json)
    return 1 if report.failed else 0


def _choices(args: argparse.Namespace, compress: bool, threads: int) -> "CodingOptions":
    from tinyencodec.tools.batch.tasks import CodingOptions

    coding = {"--bandwidth": args.bandwidth, "--hq": args.hq, "--entropy": args.entropy, "--protect": args.protect,
              "--block": args.block, "--search": args.search, "--rate-weight": args.rate_weight}
    decoding = {"--keep-going": args.keep_going, "--rescale": args.rescale}
    for option, value in (decoding if compress else coding).items():
        if value:
            raise ValueError(f"{option}: expected with {SUFFIX} files only, got sound" if compress else
                             f"{option}: expected with sound only, got {SUFFIX} files")
    options.check_coding(args)
    return CodingOptions(compress, options.chosen(args), args.bandwidth, args.entropy or "none", args.block,
                         args.protect, args.search or 1, args.rate_weight, args.keep_going, args.rescale, threads)


def _work(tasks: "list[Task]", choices: "CodingOptions", n_processes: int, report: "Report") -> None:
    """Do all, the longest first so that none of them is left alone at the end, and say what goes wrong."""
    from tinyencodec.system.progress import progress
    from tinyencodec.system.workers import run_jobs
    from tinyencodec.tools.batch.tasks import Outcome, load_worker, reason

    tasks = sorted(tasks, key=lambda task: -task.size)
    done, total = 0, sum(task.size for task in tasks)
    with closing(run_jobs(load_worker, (choices,), tasks, n_processes, _overwriting)) as results, \
            progress("compressing" if choices.compress else "decompressing") as show:
        for task, result in results:
            outcome = Outcome(reason(result, task.source)) if isinstance(result, Exception) else result
            for line in report.add(task, outcome):
                print(("\r\033[K" if show else "") + f"tinyencodec batch: {line}", file=sys.stderr)  # over the progress
            done += task.size
            if show:
                show(done, total)


def _overwriting(task: "Task") -> "Task":
    """For the second worker: the first one may have finished the output before it died."""
    return task._replace(force=True)
