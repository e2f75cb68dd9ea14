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
from typing import BinaryIO

import tinyencodec
from tinyencodec.standard import output, peek, quiet_libraries, quietly, standard_input

SUFFIX = ".ecdc"
STANDARD = "-"  # as INPUT or OUTPUT
_USUAL_BANDWIDTH = 6.0  # kbit/s
_FILLED = {"repeat": "repetition", "silence": "silence"}


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the program without a command."""
    from tinyencodec.block_codes import KEEP_GOING
    from tinyencodec.blocks import BLOCK_SECONDS

    add = parser.add_argument
    add("input", metavar="INPUT",
        help=f"audio file to compress, or {SUFFIX} file to decompress; -: standard input, either of them")
    add("output", metavar="OUTPUT", nargs="?",
        help=f"{SUFFIX} or audio file (.wav, .flac, .ogg); audio to audio does both; -: standard output, {SUFFIX} when "
             f"compressing, WAV when decompressing. Default: INPUT with the suffix {SUFFIX}, INPUT_decompressed.wav, "
             "or - for -")
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help=f"kbit/s, one of the model's; default: {_USUAL_BANDWIDTH:g} or the nearest it has")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help="compress with the 48 kHz stereo model")
    which.add_argument("-m", "--model", metavar="MODEL",
                       help="name or folder of the model; default: the bundled one, or the one that made the file")
    coding = parser.add_mutually_exclusive_group()
    coding.add_argument("--entropy", choices=("none", "table", "lm"), help="smaller files for tinyencodec only, with "
                        "checksums: by the model's tables, or by its language model (smaller still, slower)")
    coding.add_argument("-l", "--lm", dest="entropy", action="store_const", const="lm", help="--entropy lm")
    add("--protect", action="store_true", help="with checksums, also without --entropy")
    add("--block", metavar="SECONDS", type=float, help=f"coded, and lost, together; default: {BLOCK_SECONDS:g}")
    add("--keep-going", nargs="?", choices=KEEP_GOING, const=KEEP_GOING[0],
        help="decompress what is undamaged of a file with checksums, and tell what is not: it becomes a repetition of "
             "what came before, or silence. Place it after INPUT")
    add("-f", "--force", action="store_true", help="overwrite OUTPUT if it exists")
    add("-r", "--rescale", action="store_true", help="scale the decompressed sound down rather than clip it")
    add("-s", "--decompress_suffix", metavar="SUFFIX", default="_decompressed",
        help="for the default name of a decompressed file; default: %(default)s")
    add("--decompress", action="store_true", help=f"INPUT is an {SUFFIX} file, whatever its name")
    add("--raw", choices=("s16le", "f32le"), help="the sound is raw PCM: INPUT when compressing, else OUTPUT")
    add("--rate", metavar="HZ", type=int, help="sample rate of raw INPUT; default: the model's")
    add("--channels", metavar="C", type=int, help="channels of raw INPUT; default: the model's")
    add("--threads", metavar="N", type=int, help="at most so many work at once; default: one per processor")
    add("--version", action="version", version=f"tinyencodec {tinyencodec.__version__}")


def run(args: argparse.Namespace) -> None:
    """Do it."""
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"threads: expected at least 1, got {args.threads}")
    if args.input == STANDARD:
        from tinyencodec.ecdc_header import is_ecdc

        with standard_input() as fo:
            start, fo = peek(fo, 4)
            if not (start or args.decompress):
                raise ValueError("standard input: expected sound or an .ecdc file, got nothing")
            _run(fo, args.decompress or is_ecdc(start), args)
    else:
        source = Path(args.input)
        os.stat(source)  # FileNotFoundError
        if args.decompress or source.suffix.lower() == SUFFIX:
            # A pipe without a buffer: it would take bytes before they are needed, and wait for them.
            with open(source, "rb", buffering=-1 if source.is_file() else 0) as fo:
                _run(fo, True, args)
        else:
            _run(source, False, args)


def _run(source: Path | BinaryIO, decompress: bool, args: argparse.Namespace) -> None:
    from tinyencodec.files import check_output

    if (args.rate or args.channels) and (decompress or not args.raw):
        raise ValueError("--rate and --channels: expected with --raw and sound as INPUT only")
    if decompress and (args.entropy or args.protect or args.block):
        raise ValueError(f"--entropy, --protect and --block: expected with sound as INPUT, got an {SUFFIX} file")
    if args.block and not args.protect and args.entropy in (None, "none"):
        raise ValueError("--block: expected with --entropy table, --entropy lm or --protect")
    if args.keep_going and not decompress:
        raise ValueError(f"--keep-going: expected with an {SUFFIX} file as INPUT, got sound")
    dest = _destination(decompress, args)
    if dest is not None:
        check_output(dest, args.force)
        if dest.is_file() and args.input != STANDARD and dest.samefile(args.input):
            raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
    if decompress:
        _decompress(source, dest, args, args.raw)
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
    from tinyencodec.files import is_special
    from tinyencodec.sink import FORMATS

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
    from tinyencodec.codec import compress_stream
    from tinyencodec.ecdc import EcdcHeader
    from tinyencodec.pcm import Pcm
    from tinyencodec.progress import progress
    from tinyencodec.sink import FORMATS
    from tinyencodec.source import AudioReader
    from tinyencodec.store import HQ_MODEL

    model = _load(HQ_MODEL if args.hq else args.model, args)
    bandwidth = args.bandwidth
    if bandwidth is None:
        bandwidth = min(model.bandwidths, key=lambda b: abs(b - _USUAL_BANDWIDTH))
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


def _decompress(fo: BinaryIO, dest: Path | None, args: argparse.Namespace, raw: str | None, model=None) -> None:
    from tinyencodec.audio import kind_of
    from tinyencodec.codec import decompress_stream
    from tinyencodec.ecdc import read_header
    from tinyencodec.progress import progress
    from tinyencodec.sink import PEAK_LIMIT, AudioWriter

    kind = raw or ("WAV" if dest is None else kind_of(dest))
    with progress("decompressing") as report:
        with _blame(args.input):
            header = read_header(fo)
            model = model or _load(args.model or header.model, args)
            sound = decompress_stream(fo, model, args.keep_going, header=header, progress=report)
        with output(dest, args.force) as out:
            with _blame(dest or STANDARD):
                writer = AudioWriter(out, kind, sound.sample_rate, sound.channels, sound.length, args.rescale)
            with writer, _blame(args.input):
                for block in sound:
                    writer.write(block)
    _tell_damage(header, sound, args)
    if writer.clipped:
        _warn(f"the sound reaches {writer.peak:.3g} of full scale and was clipped at {PEAK_LIMIT}; use -r to scale it "
              "down instead")


def _tell_damage(header, sound, args: argparse.Namespace) -> None:
    name = _called(args.input)
    if header.mended:
        _warn(f"{name}: the header was damaged, and is put right ({header.mended})")
    for start, end in sound.lost:
        _warn(f"{name}: {start:.3f} s to {end:.3f} s are lost and filled by {_FILLED[args.keep_going]}")
    if sound.cut:
        _warn(f"{name}: the end is missing; there may have been more")


def _warn(message: str) -> None:
    print("tinyencodec: warning:", *message.splitlines(), file=sys.stderr)


def _load(name: str | None, args: argparse.Namespace):
    from tinyencodec.config import PRESETS

    try:
        model = tinyencodec.load_model(name)
    except ValueError as error:
        if name not in PRESETS or os.path.exists(name):
            raise
        raise ValueError(f"{error}; make it from the official weights with `tinyencodec convert FILE {name}` "
                         f"and pass -m {name}") from None
    model.threads = args.threads or model.threads
    return model


def _called(name: str | os.PathLike) -> str:
    return "standard input" if name == STANDARD else os.fspath(name)


@contextmanager
def _blame(name: str | os.PathLike) -> Iterator[None]:
    """Put the file's name before errors that do not tell it."""
    try:
        yield
    except (EOFError, ValueError) as error:
        raise (EOFError if isinstance(error, EOFError) else ValueError)(f"{_called(name)}: {error}") from None
