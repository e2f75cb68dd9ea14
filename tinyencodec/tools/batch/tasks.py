"""Many files: which output each becomes, and one of them after the other.

Each file is coded as the program does with a single one, into the same bytes. What goes wrong with it becomes its
`Outcome`, so that the others go on.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyencodec.ecdc.header import SUFFIX
from tinyencodec.system.inputs import Found

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.ecdc.header import EcdcHeader


class Task(NamedTuple):
    """One file and its output."""

    source: Path
    dest: Path
    size: int  # bytes of `source`; 0 if it cannot be found
    force: bool = False  # overwrite `dest`


class Choices(NamedTuple):
    """What holds for all files."""

    compress: bool  # sound to `.ecdc`, else back
    model: str | None  # name or folder; None: the default, or that which made the file
    bandwidth: float | None  # kbit/s
    entropy: str  # these three as in `codec.compress`
    block: float | None
    protect: bool
    keep_going: str | None  # as in `codec.decompress`
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


def plan(found: Sequence[Found], to: str | None, out: Path | None, force: bool = False) -> tuple[str, list[Task]]:
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


def prepare(choices: Choices) -> Callable[[Task], Outcome]:
    """Load what is needed; the result codes one file. Raises `ValueError` for choices that cannot be."""
    code = _Compressor(choices) if choices.compress else _Decompressor(choices)

    def do(task: Task) -> Outcome:
        start = time.perf_counter()
        try:
            task.dest.parent.mkdir(parents=True, exist_ok=True)
            seconds, remarks = code(task)
            sizes = task.source.stat().st_size, task.dest.stat().st_size
        except (ValueError, EOFError, OSError, MemoryError) as error:
            return Outcome(reason(error, task.source))
        return Outcome("", tuple(remarks), seconds, *sizes, time.perf_counter() - start)

    return do


def reason(error: Exception, source: Path) -> str:
    """What an error says, but for the name of the file that it is about."""
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename in (None, str(source)) else f"{error.filename}: "
        return place + error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    text = str(error).removeprefix(f"{source}: ")
    return text if isinstance(error, (ValueError, EOFError, OSError)) and text else f"{type(error).__name__}: {text}"


class _Compressor:
    """Sound to `.ecdc`."""

    def __init__(self, choices: Choices) -> None:
        from tinyencodec.ecdc.block_layout import frames_per_block
        from tinyencodec.ecdc.coders import load_coder
        from tinyencodec.ecdc.container import EcdcHeader
        from tinyencodec.models.store import load_model

        self._choices = choices
        self._model = model = load_model(choices.model)
        model.threads = choices.threads
        self._bandwidth = model.usual_bandwidth if choices.bandwidth is None else choices.bandwidth
        n_codebooks = model.codebooks_for(self._bandwidth)
        EcdcHeader(model.name, 1, n_codebooks)  # a name that no file can hold
        self._coder: Any = "none"
        if choices.protect or choices.entropy != "none":
            self._coder = load_coder(choices.entropy, model)
            frames_per_block(model.config, n_codebooks, choices.block)

    def __call__(self, task: Task) -> tuple[float, list[str]]:
        from tinyencodec.audio.reader import AudioReader
        from tinyencodec.compression import compress_stream
        from tinyencodec.system.files import atomic_write
        from tinyencodec.system.stdio import quiet_libraries, quietly

        model, choices = self._model, self._choices
        with quiet_libraries():
            sound = AudioReader(task.source, model.sample_rate, model.channels)
        with sound, atomic_write(task.dest, task.force) as fo:
            samples = compress_stream(model, quietly(sound), fo, self._bandwidth, sound.length, entropy=self._coder,
                                      block=choices.block, protect=choices.protect)
        return samples / model.sample_rate, []


class _Decompressor:
    """`.ecdc` to sound; keeps each model, and what goes with it, for the next file."""

    def __init__(self, choices: Choices) -> None:
        from tinyencodec.tools import transcode  # noqa: F401 - brings, and at the first use compiles, what works for all

        self._choices = choices
        self._models: dict[str, EncodecModel] = {}
        self._coders: dict[tuple[str, str], Any] = {}
        if choices.model is not None:
            self._model(choices.model)

    def _model(self, name: str) -> "EncodecModel":
        from tinyencodec.models.store import load_model

        if name not in self._models:
            self._models[name] = load_model(name)
            self._models[name].threads = self._choices.threads
        return self._models[name]

    def _load(self, header: "EcdcHeader") -> "tuple[EncodecModel, Any]":
        from tinyencodec.ecdc.coders import load_coder
        from tinyencodec.ecdc.header import require

        name, kind = self._choices.model or header.model, "lm" if header.lm else header.entropy
        model = self._model(name)
        require(header.model == model.name, "model", repr(model.name), header.model)
        if kind == "none":
            return model, None
        if (name, kind) not in self._coders:
            self._coders[name, kind] = load_coder(kind, model)
        return model, self._coders[name, kind]

    def __call__(self, task: Task) -> tuple[float, list[str]]:
        from tinyencodec.audio.files import kind_of
        from tinyencodec.tools.transcode import decompress_file

        choices, name = self._choices, str(task.source)
        with open(task.source, "rb") as fo:
            done = decompress_file(fo, task.dest, kind_of(task.dest), self._load, name, force=task.force,
                                   keep_going=choices.keep_going, rescale=choices.rescale)
        return done.samples / done.sample_rate, [remark.removeprefix(f"{name}: ") for remark in done.remarks]
