"""One part of the work: some files to codes, written into the dataset's folder `unfinished`.

    part-000000.codes    the frames of its recordings, one after the other, integers [F, K]
    part-000000.jsonl    one line for each file, in order: an `Outcome`

Each of the two appears complete or not at all, the second after the first: what has a `.jsonl` is done. A recording is
read, coded and written piece by piece, so its length does not matter. A file that cannot be coded becomes a line that
says why, and leaves no codes. Doing a part again gives the same bytes, on any machine, and is skipped if its files are
the same.
"""

import json
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from tinyencodec.system.errors import require
from tinyencodec.system.files import atomic_write, sha256_of
from tinyencodec.tools.tokenize.crashes import MOST, Watch
from tinyencodec.tools.tokenize.plan import UNFINISHED, Job, Settings, Source, files_of, model_sha256

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel


class Outcome(NamedTuple):
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


def codes_dtype(codebook_size: int) -> np.dtype:
    """How codes are stored: int16, or int32 for codebooks of more than 32 768 entries; little-endian."""
    return np.dtype("<i2" if codebook_size <= 1 << 15 else "<i4")


def codes_path(folder: str | os.PathLike, number: int) -> Path:
    """Where the codes of a part are."""
    return Path(folder, UNFINISHED, f"part-{number:06d}.codes")


def outcomes(folder: str | os.PathLike, number: int) -> list[Outcome]:
    """What became of the files of a part; `FileNotFoundError` if it is not done."""
    with open(codes_path(folder, number).with_suffix(".jsonl"), "rb") as fo:
        return [Outcome(*json.loads(line)) for line in fo]


def encode_part(job: Job) -> int:
    """Do one part, unless it is done; return how many of its files could not be coded.

    Raises
    ------
    ValueError : this machine has another version or model, or does not see the files.
    OSError : the codes cannot be written.
    """
    files = list(files_of(job))
    if (done := _done(job, files)) is not None:
        return done
    model = _load(job.settings)
    path = codes_path(job.folder, job.number)
    results = []
    with Watch(path.with_suffix(".at")) as watch, atomic_write(path, force=True) as fo:
        for index, file in enumerate(files):
            if watch.deaths_at(index) < MOST:
                results.append(_encode_file(model, file, job.settings.bandwidth, fo))
            else:
                results.append(Outcome(file.name, file.size, file.mtime_ns, "", f"{MOST} processes died of it"))
    with atomic_write(path.with_suffix(".jsonl"), force=True) as fo:
        fo.writelines(json.dumps(result).encode() + b"\n" for result in results)
    return sum(bool(result.error) for result in results)


def _done(job: Job, files: list[Source]) -> int | None:
    """The number of files that could not be coded, if the part is done and its files have not changed since."""
    try:
        before = outcomes(job.folder, job.number)
    except FileNotFoundError:
        return None
    if [result.name for result in before] != [file.name for file in files]:
        return None
    for file, result in zip(files, before):
        if (file.size, file.mtime_ns) != (result.bytes, result.mtime_ns):
            if not result.sha256 or file.size != result.bytes or sha256_of(file.path) != result.sha256:
                return None
    return sum(bool(result.error) for result in before)


@lru_cache(maxsize=1)
def _load(settings: Settings) -> "EncodecModel":
    """The model, for one thread; `ValueError` if it, or the program, is another one than where the work was planned."""
    from tinyencodec.models.store import find_model, load_model
    from tinyencodec.version import __version__

    if __version__ != settings.version:
        raise ValueError(f"tinyencodec: expected version {settings.version} on each machine, got {__version__}")
    folder = find_model(settings.model)
    found = model_sha256(folder)
    if found != settings.model_sha256:
        raise ValueError(f"model {settings.model}: expected the same on each machine, with SHA-256 "
                         f"{settings.model_sha256}, got {found}")
    model = load_model(folder)
    model.threads = 1
    return model


def _encode_file(model: "EncodecModel", file: Source, bandwidth: float, out: BinaryIO) -> Outcome:
    """Code one file, its codes going to the end of `out`; none if it cannot be read to its end."""
    start, sha256 = out.tell(), ""
    status = (file.size, file.mtime_ns)
    try:
        found = os.stat(file.path)
        status = found.st_size, found.st_mtime_ns
        require(stat.S_ISREG(found.st_mode), "input", "a regular file", "a folder, a pipe or a device")
        sha256 = sha256_of(file.path)
        recording = _Recording(model, file.path, bandwidth)
    except (ValueError, EOFError, OSError) as error:
        return Outcome(file.name, *status, sha256, _reason(error, file.path))
    pieces = iter(recording)
    while True:
        try:
            piece = next(pieces, None)
        except (ValueError, EOFError, OSError) as error:
            out.seek(start)
            out.truncate()
            return Outcome(file.name, *status, sha256, _reason(error, file.path))
        if piece is None:
            break
        out.write(piece)  # an error here is the disk's, not the file's
    return Outcome(file.name, *status, sha256, "", *recording.format, recording.missing, recording.length,
                   recording.frames, recording.scales)


class _Recording:
    """Iterate, once, over the codes of a sound file, bytes of [f, K] each; then the attributes hold."""

    def __init__(self, model: "EncodecModel", path: str, bandwidth: float) -> None:
        from tinyencodec.audio.reader import AudioReader

        self.model, self.missing, self.length, self.frames = model, 0, 0, 0
        self.scales: list[float] = []
        self._encoder = model.streaming_encoder(bandwidth)
        self._sound = AudioReader(path)
        self.format = self._sound.sample_rate, self._sound.channels

    def __iter__(self) -> Iterator[bytes]:
        dtype = codes_dtype(self.model.config.codebook_size)
        for wav, last in self._blocks():
            self.length += wav.shape[1]
            for codes, scale in self._encoder.frames(wav, last):  # [K, f] -> [f, K]
                self.frames += codes.shape[1]
                self.scales += [] if scale is None else [scale]
                yield codes.T.astype(dtype).tobytes()

    def _blocks(self) -> Iterator[tuple[np.ndarray, bool]]:
        """Blocks [C, n] as the model wants them, and whether it is the last."""
        from tinyencodec.audio.resample import Converter

        rate, channels = self.format
        with self._sound:
            converter = Converter(rate, self.model.sample_rate, channels, self.model.channels)
            for block in self._sound:
                yield converter.push(block), False
            self.missing = max(0, (self._sound.length or 0) - converter.taken)
            yield converter.flush(), True


def _reason(error: Exception, path: str) -> str:
    """What is wrong with a file, in the same words wherever it lies. Raises `ValueError` if it is not the file."""
    if isinstance(error, FileNotFoundError) and not os.path.isdir(os.path.dirname(path)):
        raise ValueError(f"{path}: expected the inputs under these names on each machine that works, "
                         "got one that does not see them") from None
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.removeprefix(f"{path}: ").split()) or type(error).__name__
