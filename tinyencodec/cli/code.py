"""`tinyencodec [options] INPUT [OUTPUT]`: compress, decompress, or both; files, pipes, standard input and output.

What is done follows from the names: an INPUT in `.ecdc` is decompressed, anything else compressed, and then
decompressed again if OUTPUT is sound. Standard input tells by its first four bytes. All goes piece by piece.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tinyencodec.ecdc.header import SUFFIX
from tinyencodec.system.errors import one_line
from tinyencodec.system.stdio import output, peek, quiet_libraries, quietly, standard_input

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel

STANDARD = "-"  # as INPUT or OUTPUT


def run(args: argparse.Namespace) -> None:
    """Do it."""
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"threads: expected at least 1, got {args.threads}")
    if args.input == STANDARD:
        from tinyencodec.ecdc.header import is_ecdc

        with standard_input() as fo:
            start, fo = peek(fo, 4)
            if not (start or args.decompress):
                raise ValueError("standard input: expected sound or an .ecdc file, got nothing")
            _run(fo, args.decompress or is_ecdc(start), args)
    else:
        source = Path(args.input)
        os.stat(source)  # FileNotFoundError
        if source.is_dir():
            raise ValueError(f"{source}: expected a file of sound or an {SUFFIX} file, got a folder")
        if args.decompress or source.suffix.lower() == SUFFIX:
            # A pipe without a buffer: it would take bytes before they are needed, and wait for them.
            with open(source, "rb", buffering=-1 if source.is_file() else 0) as fo:
                _run(fo, True, args)
        else:
            _run(source, False, args)


def _run(source: Path | BinaryIO, decompress: bool, args: argparse.Namespace) -> None:
    from tinyencodec.system.files import check_output

    if (args.rate is not None or args.channels is not None) and (decompress or not args.raw):
        raise ValueError("--rate and --channels: expected with --raw and sound as INPUT only")
    if decompress and (args.entropy or args.protect or args.block is not None):
        raise ValueError(f"--entropy, --protect and --block: expected with sound as INPUT, got an {SUFFIX} file")
    if args.block is not None and not args.protect and args.entropy in (None, "none"):
        raise ValueError("--block: expected with --entropy table, --entropy lm or --protect")
    if args.keep_going and not decompress:
        raise ValueError(f"--keep-going: expected with an {SUFFIX} file as INPUT, got sound")
    dest = _destination(decompress, args)
    if dest is not None:
        check_output(dest, args.force)
        if dest.is_file() and args.input != STANDARD and dest.samefile(args.input):
            raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
    if decompress:
        _decompress(cast(BinaryIO, source), dest, args, args.raw)
    elif args.input == STANDARD:
        with _until_the_sound_ends():
            _compress(source, dest, args)
    else:
        _compress(source, dest, args)


@contextmanager
def _until_the_sound_ends() -> Iterator[None]:
    """Let the first Ctrl-C pass: it ends the program that fills the pipe, and so the recording, which is kept.

    A second one interrupts this program too.
    """
    if threading.current_thread() is not threading.main_thread():  # no signals there
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, before))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _destination(decompress: bool, args: argparse.Namespace) -> Path | None:
    """Where the output goes; None: standard output."""
    from tinyencodec.audio.writer import FORMATS
    from tinyencodec.system.files import is_special

    source, name = Path(args.input), args.output
    if name is None and args.input == STANDARD:
        name = STANDARD
    if name == STANDARD:
        if os.isatty(1):
            raise ValueError("standard output: expected a file or a pipe, got a terminal")
        return None
    if name is None:
        suffix = ".raw" if args.raw else ".wav"
        return source.with_name(f"{source.stem}{args.decompress_suffix}{suffix}") if decompress else \
            source.with_suffix(SUFFIX)
    dest = Path(name)
    expected = [*FORMATS] if decompress else [SUFFIX, *FORMATS]
    if decompress and args.raw:
        if dest.suffix.lower() in [SUFFIX, *FORMATS]:
            raise ValueError(f"{dest}: expected another suffix for raw samples, got {dest.suffix}")
    elif dest.suffix.lower() not in expected and not is_special(dest):
        raise ValueError(f"{dest}: expected an output name ending in {', '.join(expected)}, "
                         f"got {dest.suffix or 'no suffix'}")
    return dest


def _compress(source: Path | BinaryIO, dest: Path | None, args: argparse.Namespace) -> None:
    from tinyencodec.audio.pcm import Pcm
    from tinyencodec.audio.reader import AudioReader
    from tinyencodec.audio.writer import FORMATS
    from tinyencodec.compression import compress_stream
    from tinyencodec.ecdc.container import EcdcHeader
    from tinyencodec.models.store import HQ_MODEL
    from tinyencodec.system.progress import progress

    model = load(HQ_MODEL if args.hq else args.model, args)
    bandwidth = model.usual_bandwidth if args.bandwidth is None else args.bandwidth
    EcdcHeader(model.name, 1, model.codebooks_for(bandwidth))  # a name that no file can hold is told before the work
    raw = None
    if args.raw:
        raw = Pcm(args.raw, model.sample_rate if args.rate is None else args.rate,
                  model.channels if args.channels is None else args.channels)
    both = dest is not None and dest.suffix.lower() in FORMATS
    with quiet_libraries():
        sound = AudioReader(source, model.sample_rate, model.channels, raw)
    with sound, tempfile.TemporaryFile() if both else output(dest, args.force) as fo:
        with progress("compressing") as report:
            compress_stream(model, quietly(sound), fo, bandwidth, sound.length, entropy=args.entropy or "none",
                            block=args.block, protect=args.protect, progress=report)
        if both:
            fo.seek(0)
            _decompress(fo, dest, args, None, model)


def _decompress(fo: BinaryIO, dest: Path | None, args: argparse.Namespace, raw: str | None,
                model: "EncodecModel | None" = None) -> None:
    from tinyencodec.audio.files import kind_of
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import decompress_file

    kind = raw or ("WAV" if dest is None else kind_of(dest))
    name = "standard input" if args.input == STANDARD else args.input
    with progress("decompressing") as report:
        done = decompress_file(fo, dest, kind, lambda header: (model or load(args.model or header.model, args), None),
                               name, force=args.force, keep_going=args.keep_going, rescale=args.rescale,
                               progress=report)
    for remark in done.remarks:
        print(one_line(f"tinyencodec: warning: {remark}"), file=sys.stderr)


def load(name: str | None, args: argparse.Namespace) -> "EncodecModel":
    """The model of that name or folder, None for the default, to work with as many threads as the user wants.

    Raises `OSError` or `ValueError` as `load_model`.
    """
    from tinyencodec.models.store import load_model

    model = load_model(name)
    model.threads = args.threads or model.threads
    return model
