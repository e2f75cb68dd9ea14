"""From files to a dataset: plan, work, shards. What has been done already is not done again.

The dataset's folder is begun with `dataset.json`, which tells the model, the options and the files. Work that was
interrupted, in whichever way, is taken up where it was by asking for the same again; asking for something else is
refused. The result is the same, byte by byte, however often it was interrupted, and whoever did the work.
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from tinyencodec.models.store import DEFAULT_MODEL, find_config, find_model
from tinyencodec.system.errors import require
from tinyencodec.system.inputs import AUDIO, find_inputs
from tinyencodec.system.lock import exclusive
from tinyencodec.system.progress import Progress
from tinyencodec.system.version import __version__
from tinyencodec.tools.reporting import write_json
from tinyencodec.tools.tokenize import plan
from tinyencodec.tools.tokenize.dataset import read_about
from tinyencodec.tools.tokenize.part import codes_dtype
from tinyencodec.tools.tokenize.plan import UNFINISHED, Job
from tinyencodec.tools.tokenize.shard import DATASET, ERRORS, MANIFEST, write_shards

SHARD_BYTES = 256_000_000

Run = Callable[[list[Job]], Generator[Job, None, None]]  # does the jobs, in any order, and yields each that is done


def build_dataset(inputs: Iterable[str], folder: str | os.PathLike, run: Run, bandwidth: float | None = None,
                  model: str | os.PathLike | None = None, shard_bytes: int = SHARD_BYTES, force: bool = False,
                  progress: Progress | None = None) -> dict[str, Any]:
    """Code many recordings into a dataset.

    Parameters
    ----------
    inputs : files, folders and patterns, see `system.inputs.find_inputs`
    folder : of the dataset: a new or empty one, or one in which the same work was begun before
    run : who does the work: `local.run_locally` or a `cluster.Cluster`
    bandwidth : kbit/s, one of the model's; None: 6 or the nearest it has
    model : name or folder; None: the bundled default
    shard_bytes : of codes, in one shard
    force : begin anew, whatever was in the dataset before
    progress : called with (bytes of input done, bytes in all)

    Returns
    -------
    what `dataset.json` tells: with "recordings", "failed" (files that could not be coded, in `errors.jsonl`), ...

    Raises
    ------
    ValueError : inputs, model or options that cannot be; a folder with other work in it
    OSError : the folder cannot be written.
    """
    require(shard_bytes >= 1, "shard size", "at least 1 byte", shard_bytes)
    place = find_model(DEFAULT_MODEL if model is None else model)
    found = find_config(place)
    rates = found.config.target_bandwidths
    bandwidth = found.config.usual_bandwidth if bandwidth is None else float(bandwidth)
    require(bandwidth in rates, f"bandwidth: model {found.name}", f"{', '.join(f'{b:g}' for b in rates)} kbit/s",
            bandwidth)
    files = plan.input_files(find_inputs(inputs, AUDIO))
    # A model that was found by its name is found by it on other machines too, wherever it lies there.
    name = str(DEFAULT_MODEL if model is None else os.path.abspath(place) if Path(model) == place else model)
    settings = plan.Settings(name, plan.model_sha256(place), bandwidth, shard_bytes, __version__)
    about = plan.describe_dataset(found.config, found.name, settings, files)
    folder = Path(os.path.abspath(folder))
    _begin(folder, about, force)
    with exclusive(folder / UNFINISHED / "lock",
                   lambda: print(f"waiting for another process that works on {folder}", file=sys.stderr)):
        before = read_about(folder)
        if not before.get("complete"):
            jobs = plan.make_jobs(folder, settings, files)
            _work(jobs, run, progress)
            _remove_temporary(folder)
            before = write_shards(folder, about, len(jobs), codes_dtype(found.config.codebook_size))
            write_json(folder / DATASET, before, force=True)
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    return before


def _begin(folder: Path, about: dict[str, Any], force: bool) -> None:
    """Begin a dataset, or see that it is the same that was begun here before."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / DATASET).exists()
    if begun and not force:
        _compare(folder, read_about(folder), about)
    elif begun:
        _clear(folder)
    elif any(folder.iterdir()):
        raise ValueError(f"{folder}: expected a new or empty folder, or one with a dataset, got one with other files")
    if force or not begun:
        write_json(folder / DATASET, {**about, "complete": False}, force=True)
    (folder / UNFINISHED).mkdir(exist_ok=True)


def _compare(folder: Path, before: dict[str, Any], about: dict[str, Any]) -> None:
    """Raise a `ValueError` that names the first thing in which two pieces of work differ, if they do."""
    for key, now in about.items():
        old: Any = before.get(key)
        if old != now:
            if key == "inputs":
                old, now = (f"{some['files']} files of {some['bytes']} bytes altogether" for some in (old, now))
                now = "as many with other names or sizes" if old == now else now
            raise ValueError(f"{folder}: begun with {key} {old}, got {now}; "
                             "use another folder, or --force to begin anew")


def _clear(folder: Path) -> None:
    """Remove a dataset, and nothing else."""
    (folder / DATASET).unlink()  # first: what is left is no dataset
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    for path in [folder / MANIFEST, folder / ERRORS, *folder.glob("shard-*.safetensors")]:
        path.unlink(missing_ok=True)
    _remove_temporary(folder)


def _remove_temporary(folder: Path) -> None:
    for path in folder.glob(".????????????????.tmp"):  # what `atomic_write` leaves when it is killed
        path.unlink(missing_ok=True)


def _work(jobs: list[Job], run: Run, progress: Progress | None) -> None:
    done, total = 0, sum(job.size for job in jobs)
    with closing(run(jobs)) as finished:
        for job in finished:
            done += job.size
            if progress is not None:
                progress(done, total)
