"""One part of the work: some files to codes, written into the dataset's folder `unfinished`.

    part-000000.codes    the frames of its recordings, one after the other, integers [F, K]
    part-000000.jsonl    one line for each file, in order: a `FileResult`

Each of the two appears complete or not at all, the second after the first: what has a `.jsonl` is done. A recording is
read and coded piece by piece, so its length hardly matters. A file that cannot be coded becomes a line that
says why, and leaves no codes. Doing a part again gives the same bytes, on any machine, and is skipped if its files are
the same.
"""

import io
import json
import os
import stat
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from tinyencodec.system.errors import require
from tinyencodec.system.files import atomic_write, sha256_of
from tinyencodec.tools.tokenize.crashes import MOST_CRASHES, CrashLog
from tinyencodec.tools.tokenize.plan import UNFINISHED, InputFile, Job, Settings, files_of, model_sha256

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel


class FileResult(NamedTuple):
    """What became of a file. If `error` is not empty, it has no codes, and only what comes before it holds."""

    name: str
    bytes: int
    mtime_ns: int
    sha256: str  # of the file's bytes
    error: str = ""
    sample_rate: int = 0  # Hz, of the file
    channels: int = 0  # of the file
    missing: int = 0  # samples of the file that its header promises and that it does not have
    length: int = 0  # samples at the model's rate
    frames: int = 0
    scales: list[float] = []  # one for each segment, of models that normalise
    remarks: list[str] = []  # on a sound that is not all that one could wish, as `AudioReader.remarks`


def codes_dtype(codebook_size: int) -> np.dtype:
    """How codes are stored: int16, or int32 for codebooks of more than 32 768 entries; little-endian."""
    return np.dtype("<i2" if codebook_size <= 1 << 15 else "<i4")


def codes_path(folder: str | os.PathLike, number: int) -> Path:
    """Where the codes of a part are."""
    return Path(folder, UNFINISHED, f"part-{number:06d}.codes")


def read_results(folder: str | os.PathLike, number: int) -> list[FileResult]:
    """What became of the files of a part; `FileNotFoundError` if it is not done."""
    with open(codes_path(folder, number).with_suffix(".jsonl"), "rb") as fo:
        return [FileResult(*json.loads(line)) for line in fo]


def encode_part(job: Job) -> None:
    """Do one part, unless it is done.

    Raises
    ------
    ValueError : this machine has another version or model, or does not see the files.
    OSError : the codes cannot be written.
    """
    files = list(files_of(job))
    if _is_done(job, files):
        return
    model = _load(job.settings)
    path = codes_path(job.folder, job.number)
    results = []
    with CrashLog(path.with_suffix(".at")) as log, atomic_write(path, force=True) as fo:
        for index, file in enumerate(files):
            if log.crashes_at(index) < MOST_CRASHES:
                results.append(_encode_file(model, file, job.settings.bandwidth, fo))
            else:
                results.append(FileResult(file.name, file.size, file.mtime_ns, "",
                                          f"{MOST_CRASHES} processes died of it"))
    with atomic_write(path.with_suffix(".jsonl"), force=True) as fo:
        fo.writelines(json.dumps(result).encode() + b"\n" for result in results)


def _is_done(job: Job, files: list[InputFile]) -> bool:
    """Whether the part is done and its files have not changed since."""
    try:
        before = read_results(job.folder, job.number)
    except FileNotFoundError:
        return False
    return [result.name for result in before] == [file.name for file in files] and all(map(_is_same, files, before))


def _is_same(file: InputFile, before: FileResult) -> bool:
    if (file.size, file.mtime_ns) == (before.bytes, before.mtime_ns):
        return True
    return bool(before.sha256) and file.size == before.bytes and sha256_of(file.path) == before.sha256


@lru_cache(maxsize=1)
def _load(settings: Settings) -> "EncodecModel":
    """The model, for one thread; `ValueError` if it, or the program, is another one than where the work was planned."""
    from tinyencodec.models.store import find_model, load_model
    from tinyencodec.system.version import __version__

    if __version__ != settings.version:
        raise ValueError(f"tinyencodec: expected version {settings.version} on each machine, got {__version__}")
    folder = find_model(settings.model)
    found = model_sha256(folder)
    if found != settings.model_sha256:
        raise ValueError(f"model {settings.model}: expected the same on each machine, with SHA-256 "
                         f"{settings.model_sha256}, got {found}")
    model = load_model(folder)
    model.threads, model.name = 1, "model"  # a folder's name may be one that no `.ecdc` file can hold
    return model


def _encode_file(model: "EncodecModel", file: InputFile, bandwidth: float, out: BinaryIO) -> FileResult:
    """Code one file, its codes going to the end of `out`; none if it cannot be read to its end."""
    from tinyencodec.ecdc.container import EcdcReader
    from tinyencodec.ecdc.header import read_header
    from tinyencodec.tools.transcode import compress_file

    status, sha256 = (file.size, file.mtime_ns), ""
    coded = io.BytesIO()  # an .ecdc file: small, however long the sound
    try:
        found = os.stat(file.path)
        status = found.st_size, found.st_mtime_ns
        require(stat.S_ISREG(found.st_mode), "input", "a regular file", "a folder, a pipe or a device")
        sha256 = sha256_of(file.path)
        done = compress_file(file.path, coded, model, bandwidth)
    except (ValueError, EOFError, OSError) as error:
        return FileResult(file.name, *status, sha256, _reason(error, file.path))
    coded.seek(0)
    dtype, frames, scales = codes_dtype(model.config.codebook_size), 0, []
    for codes, scale in EcdcReader(coded, read_header(coded), model.config):
        out.write(codes.T.astype(dtype).tobytes())  # [K, f] -> [f, K]; an error here is the disk's, not the file's
        if scale is not None and (model.segment_length is not None or not frames):  # one for each segment
            scales.append(scale)
        frames += codes.shape[1]
    return FileResult(file.name, *status, sha256, "", done.source_rate, done.source_channels, done.missing,
                      done.samples, frames, scales, [remark.removeprefix(f"{file.path}: ") for remark in done.remarks])


def _reason(error: Exception, path: str) -> str:
    """What is wrong with a file, in the same words wherever it lies. Raises `ValueError` if it is not the file."""
    if isinstance(error, FileNotFoundError) and not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"{path}: expected the inputs under these names on each machine that works, "
                         "got one that does not see them") from None
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.removeprefix(f"{path}: ").split()) or type(error).__name__
