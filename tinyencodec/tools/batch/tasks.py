"""Many files: which output each becomes, and one of them after the other.

Each file is coded as the program does with a single one, into the same bytes. What goes wrong with it becomes its
`Outcome`, so that the others go on.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from tinyencodec.audio.files import kind_of
from tinyencodec.codec.model import EncodecModel
from tinyencodec.ecdc.block_layout import frames_per_block
from tinyencodec.ecdc.coders import CodesCoder, load_coder
from tinyencodec.ecdc.header import SUFFIX, EcdcHeader
from tinyencodec.models.store import load_model
from tinyencodec.system.errors import require
from tinyencodec.system.inputs import Found
from tinyencodec.tools.transcode import Compressed, Decompressed, checked_bandwidth, compress_file, decompress_file


class Task(NamedTuple):
    """One file and its output."""

    source: Path
    dest: Path
    size: int  # bytes of `source`; 0 if it cannot be found
    force: bool = False  # overwrite `dest`


class CodingOptions(NamedTuple):
    """How all files are to be coded."""

    compress: bool  # sound to `.ecdc`, else back
    model: str | None  # name or folder; None: the default, or that which made the file
    bandwidth: float | None  # kbit/s
    entropy: str  # these five as in `ecdc.compression.compress`
    block: float | None
    protect: bool
    search: int
    rate_weight: float | None
    keep_going: str | None  # as in `ecdc.compression.decompress`
    rescale: bool
    threads: int


class Outcome(NamedTuple):
    """What became of a file."""

    error: str = ""  # why there is no output; does not name the file
    remarks: tuple[str, ...] = ()  # on an output that is not all that one could wish
    seconds: float = 0.0  # of sound
    bytes_in: int = 0
    bytes_out: int = 0
    elapsed: float = 0.0  # seconds of work


# ---- which output each becomes -----------------------------------------------------------------------


def assign_outputs(found: Sequence[Found], to: str | None, out: Path | None,
                   force: bool = False) -> tuple[str, list[Task]]:
    """The suffix of all outputs, and a task for each file.

    Parameters
    ----------
    to : the suffix; None: `.ecdc` for sound, `.wav` for `.ecdc` files. Files that are outputs of others, left by an
        earlier run, are passed over
    out : folder in which outputs have the files' names; None: they lie beside the files, named as those of a single
        one
    force : overwrite outputs that exist

    Raises `ValueError` if `to` is None and there are both kinds, or if outputs would not differ from each other or
    from a file.
    """
    if to is None:
        kinds = [".wav" if file.path.suffix.lower() == SUFFIX else SUFFIX for file in found]
        outputs = {os.path.abspath(_output(file, kind, out)) for file, kind in zip(found, kinds)}
        left = {file: kind for file, kind in zip(found, kinds) if os.path.abspath(file.path) not in outputs} or \
            dict(zip(found, kinds))
        example = {kind: file.path for file, kind in reversed(left.items())}
        if len(example) > 1:
            raise ValueError(f"expected sound or {SUFFIX} files, got both, such as {example[SUFFIX]} and "
                             f"{example['.wav']}: choose by --to {SUFFIX} or --to .wav")
        to, found = next(iter(example)), list(left)
    sources = {os.path.abspath(file.path) for file in found}
    taken: dict[str, Path] = {}
    tasks = []
    for file in found:
        dest = _output(file, to, out)
        path = os.path.abspath(dest)
        if path in sources:
            raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
        if path in taken:
            raise ValueError(f"{taken[path]} and {file.path}: expected outputs that differ, got {dest} for both")
        taken[path] = file.path
        tasks.append(Task(file.path, dest, file.path.stat().st_size if file.path.exists() else 0, force))
    return to, tasks


def _output(file: Found, to: str, out: Path | None) -> Path:
    if out is not None:
        return out / file.name.with_suffix(to)
    return file.path.with_suffix(to) if to == SUFFIX else file.path.with_name(f"{file.path.stem}_decompressed{to}")


# ---- one file after the other ------------------------------------------------------------------------


def load_worker(options: CodingOptions) -> Callable[[Task], Outcome]:
    """Load what is needed; the result codes one file. Raises `ValueError` for options that cannot be."""
    code = _compressor(options) if options.compress else _decompressor(options)

    def work(task: Task) -> Outcome:
        start = time.perf_counter()
        try:
            task.dest.parent.mkdir(parents=True, exist_ok=True)
            done = code(task)
            sizes = task.source.stat().st_size, task.dest.stat().st_size
        except (ValueError, EOFError, OSError, MemoryError) as error:
            return Outcome(reason(error, task.source))
        remarks = tuple(remark.removeprefix(f"{task.source}: ") for remark in done.remarks)
        return Outcome("", remarks, done.samples / done.sample_rate, *sizes, time.perf_counter() - start)

    return work


def _compressor(options: CodingOptions) -> Callable[[Task], Compressed]:
    model = _load_model(options.model, options.threads)
    bandwidth = checked_bandwidth(model, options.bandwidth)
    coder: CodesCoder | str = "none"
    if options.protect or options.entropy != "none":
        coder = load_coder(options.entropy, model)
        frames_per_block(model.config, model.codebooks_for(bandwidth), options.block)
    return lambda task: compress_file(task.source, task.dest, model, bandwidth, entropy=coder, block=options.block,
                                      protect=options.protect, search=options.search,
                                      rate_weight=options.rate_weight, force=task.force)


def _decompressor(options: CodingOptions) -> Callable[[Task], Decompressed]:
    """Keeps each model, and what goes with it, for the next file."""
    model_of = cache(partial(_load_model, threads=options.threads))
    coder_of = cache(lambda name, kind: None if kind == "none" else load_coder(kind, model_of(name)))
    if options.model is not None:
        model_of(options.model)

    def load(header: EcdcHeader) -> tuple[EncodecModel, CodesCoder | None]:
        name = options.model or header.model
        model = model_of(name)
        require(header.model == model.name, "model", repr(model.name), header.model)
        return model, coder_of(name, header.coder_kind)

    def code(task: Task) -> Decompressed:
        with open(task.source, "rb") as fo:
            return decompress_file(fo, task.dest, kind_of(task.dest), load, str(task.source), force=task.force,
                                   keep_going=options.keep_going, rescale=options.rescale)

    return code


def _load_model(name: str | None, threads: int) -> EncodecModel:
    model = load_model(name)
    model.threads = threads
    return model


def reason(error: Exception, source: Path) -> str:
    """What an error says, but for the name of the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename in (None, str(source)) else f"{error.filename}: "
        return place + error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    text = str(error).removeprefix(f"{source}: ")
    return text if isinstance(error, (ValueError, EOFError, OSError)) and text else f"{type(error).__name__}: {text}"
