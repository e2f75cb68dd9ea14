"""What is to be done, all of it decided before the work: which files, in which order, in which parts.

    Settings   what decides, in addition to the files, every bit of a dataset
    InputFile  a file to be coded
    Job        a part: some of the files, one after the other, coded by one process at one time

Files are taken in the order of their names, no matter how they were found. Parts are cut by the files' sizes on disk,
as no file need be opened for that, and serve the work only: shards (`shard`) do not depend on them.

While the work goes on, the list of files lies in the dataset's folder, in `unfinished/plan.jsonl`. A job tells only
where in it its files begin, so that it stays short however many files there are.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyencodec.system.files import atomic_write, sha256_of
from tinyencodec.system.model_files import CONFIG, WEIGHTS

if TYPE_CHECKING:
    from tinyencodec.codec.config import CodecConfig
    from tinyencodec.system.inputs import Found

UNFINISHED = "unfinished"  # folder within the dataset's, until it is complete
_PLAN = "plan.jsonl"
_PARTS, _LEAST, _MOST = 512, 4_000_000, 256_000_000  # about so many parts, of so many bytes of input
_OPENING = 1 << 16  # bytes: what it costs to open a file


class Settings(NamedTuple):
    """What decides every bit of a dataset, in addition to the files."""

    model: str  # its name, or its folder, on the machine that codes
    model_sha256: str  # see `model_sha256`
    bandwidth: float  # kbit/s
    shard_bytes: int  # of codes, at most, where a recording is not larger
    version: str  # of tinyencodec


class InputFile(NamedTuple):
    """A file to be coded."""

    path: str
    name: str  # in the dataset
    size: int  # bytes
    mtime_ns: int  # when it was changed, to see whether it was changed again


class Job(NamedTuple):
    """One part of the work."""

    folder: str  # of the dataset
    number: int
    at: int  # where its files begin in the list, in bytes
    n_files: int
    size: int  # bytes of input
    settings: Settings


def input_files(found: Iterable["Found"]) -> list[InputFile]:
    """The files in the order of their names; `ValueError` if two have the same name."""
    by_name: dict[str, str] = {}
    for file in found:
        path, name = os.path.abspath(file.path), str(file.name)
        if name in by_name:
            raise ValueError(f"{name}: expected one input of this name, got {by_name[name]} and {path}; "
                             "give the folder that both are in")
        by_name[name] = path
    return [_input_file(path, name) for name, path in sorted(by_name.items())]


def _input_file(path: str, name: str) -> InputFile:
    try:
        status = os.stat(path)
    except OSError:  # told when it is read
        return InputFile(path, name, 0, 0)
    return InputFile(path, name, status.st_size, status.st_mtime_ns)


def model_sha256(folder: Path) -> str:
    """SHA-256 of a model folder's `config.json` and `model.safetensors`, one after the other."""
    return sha256_of(folder / CONFIG, folder / WEIGHTS)


def describe_dataset(config: "CodecConfig", name: str, settings: Settings,
                     files: list[InputFile]) -> dict[str, Any]:
    """What `dataset.json` tells from the start; all of it must be the same when interrupted work is taken up again."""
    names = "".join(json.dumps([file.name, file.size]) + "\n" for file in files)  # what is in them is hashed when read
    return {
        "format": "tinyencodec tokens", "version": 1, "tinyencodec": settings.version,
        "model": name, "model_sha256": settings.model_sha256, "bandwidth": settings.bandwidth,
        "sample_rate": config.sampling_rate, "channels": config.audio_channels, "hop_length": config.hop_length,
        "frame_rate": config.frame_rate, "codebooks": config.codebooks_for(settings.bandwidth),
        "codebook_size": config.codebook_size, "normalize": config.normalize,
        "shard_bytes": settings.shard_bytes,
        "inputs": {"files": len(files), "bytes": sum(file.size for file in files),
                   "sha256": hashlib.sha256(names.encode()).hexdigest()},
    }


def make_jobs(folder: Path, settings: Settings, files: list[InputFile]) -> list[Job]:
    """Write the list of files into `folder`/unfinished; return the parts, in order."""
    limit = min(max(sum(file.size for file in files) // _PARTS, _LEAST), _MOST)
    jobs: list[Job] = []
    at, start, size, n_files = 0, 0, 0, 0
    with atomic_write(folder / UNFINISHED / _PLAN, force=True) as fo:
        for file in files:
            cost = file.size + _OPENING
            if n_files and size + cost > limit:
                jobs.append(Job(str(folder), len(jobs), start, n_files, size, settings))
                start, size, n_files = at, 0, 0
            at += fo.write(json.dumps(file).encode() + b"\n")
            size, n_files = size + cost, n_files + 1
    return jobs + [Job(str(folder), len(jobs), start, n_files, size, settings)]


def files_of(job: Job) -> Iterator[InputFile]:
    """The files of one part; `ValueError` on a machine that does not see the dataset's folder."""
    try:
        fo = open(Path(job.folder, UNFINISHED, _PLAN), "rb")
    except FileNotFoundError:
        raise ValueError(f"{job.folder}: expected the dataset's folder under this name on each machine that works, "
                         "got one that does not see it") from None
    with fo:
        fo.seek(job.at)
        for _ in range(job.n_files):
            yield InputFile(*json.loads(fo.readline()))
