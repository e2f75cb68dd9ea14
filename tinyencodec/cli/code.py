"""`tinyencodec [options] INPUT [OUTPUT]`: compress, decompress, or both; files, pipes, standard input and output.

What is done follows from the names: an INPUT in `.ecdc` is decompressed, anything else compressed, and then
decompressed again if OUTPUT is sound. Standard input tells by its first four bytes. All goes piece by piece.
"""

import argparse
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tinyencodec.cli import options
from tinyencodec.cli.commands import COMMANDS
from tinyencodec.cli.parser import ENDS, ENVIRONMENT
from tinyencodec.ecdc.header import KEEP_GOING, SUFFIX, EcdcHeader
from tinyencodec.system.stdio import peek, standard_input
from tinyencodec.system.version import __version__

if TYPE_CHECKING:
    from tinyencodec.codec.model import EncodecModel

EXAMPLES = """
tinyencodec speech.flac                    # -> speech.ecdc, at 6 kbit/s
tinyencodec -b 3 song.mp3 small.ecdc       # half of that
tinyencodec small.ecdc song.wav            # and back
tinyencodec -b 1.5 song.mp3 heard.wav      # both at once
tinyencodec --lm song.mp3                  # smaller, by the language model
tinyencodec bad.ecdc out.wav --keep-going  # what is left of a damaged file
# Live, from the microphone to the loudspeaker:
arecord -f S16_LE -r 24000 -t raw |
  tinyencodec --raw s16le --rate 24000 --channels 1 - - |
  tinyencodec - - | aplay
"""
STANDARD = "-"  # as INPUT or OUTPUT


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the program without a command."""
    parser.usage = "tinyencodec [options] INPUT [OUTPUT]\n       tinyencodec COMMAND ..."
    add = parser.add_argument_group("files").add_argument
    add("input", metavar="INPUT",
        help=f"audio file to compress, or {SUFFIX} file to decompress; -: standard input, of either kind")
    add("output", metavar="OUTPUT", nargs="?",
        help=f"{SUFFIX} or audio file (.wav, .flac, .ogg); audio to audio does both; -: standard output, {SUFFIX} when "
             f"compressing, WAV when decompressing. Default: INPUT with the suffix {SUFFIX}, INPUT_decompressed.wav, "
             "or - for -")

    options.declare_coding(parser)
    group = parser.add_argument_group("output")
    add = group.add_argument
    options.declare_force(group, "overwrite OUTPUT if it exists")
    add("-r", "--rescale", action="store_true", help="scale the decompressed sound down instead of clipping it")
    add("-s", "--decompress_suffix", metavar="SUFFIX", default="_decompressed",
        help="for the default name of a decompressed file; default: %(default)s")

    add = parser.add_argument_group("raw sound").add_argument
    add("--raw", choices=("s16le", "f32le"),
        help="the sound is raw PCM, of 16-bit integers or 32-bit floats: INPUT when compressing, else OUTPUT")
    add("--rate", metavar="HZ", type=int, help="sample rate of raw INPUT in Hz; default: the model's")
    add("--channels", metavar="C", type=int, help="channels of raw INPUT; default: the model's")

    add = parser.add_argument_group("damaged or renamed files").add_argument
    add("--keep-going", nargs="?", choices=KEEP_GOING, const=KEEP_GOING[0],
        help="decompress the undamaged parts of a file with checksums, and report the others; these become a "
             "repetition of what came before (the default), or silence. Must come after INPUT")
    add("--decompress", action="store_true", help=f"INPUT is an {SUFFIX} file, whatever its name")

    group = parser.add_argument_group("machine")
    options.declare_threads(group)
    group.add_argument("--version", action="version", version=f"tinyencodec {__version__}",
                       help="show the version and stop")
    commands = [f"  {name:10}  {summary}" for name, summary in COMMANDS.items()]
    parser.epilog = "\n".join(["commands (tinyencodec COMMAND --help tells more):", *commands, ENDS,
                               ENVIRONMENT.strip()])


def run(args: argparse.Namespace) -> None:
    """Do it."""
    options.check_count("threads", args.threads)
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
    if decompress and (args.entropy or args.protect or (args.block, args.search, args.rate_weight) != (None,) * 3):
        raise ValueError("--entropy, --protect, --block, --search and --rate-weight: expected with sound as INPUT, got "
                         f"an {SUFFIX} file")
    options.check_coding(args)
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
    from tinyencodec.audio.writer import FORMATS
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import compress_file

    model = options.load(options.chosen(args), args)
    raw = None
    if args.raw:
        raw = Pcm(args.raw, model.sample_rate if args.rate is None else args.rate,
                  model.channels if args.channels is None else args.channels)

    def compress(dest: Path | BinaryIO | None) -> None:
        with progress("compressing") as report:
            done = compress_file(source, dest, model, args.bandwidth, entropy=args.entropy or "none", block=args.block,
                                 protect=args.protect, search=args.search or 1,
                                 rate_weight=args.rate_weight, raw=raw, force=args.force, progress=report)
        options.tell(done.remarks)

    if dest is None or dest.suffix.lower() not in FORMATS:
        compress(dest)
        return
    with tempfile.TemporaryFile() as fo:
        compress(cast(BinaryIO, fo))
        fo.seek(0)
        _decompress(cast(BinaryIO, fo), dest, args, None, model)


def _decompress(fo: BinaryIO, dest: Path | None, args: argparse.Namespace, raw: str | None,
                model: "EncodecModel | None" = None) -> None:
    from tinyencodec.audio.files import kind_of
    from tinyencodec.system.progress import progress
    from tinyencodec.tools.transcode import decompress_file

    def model_of(header: EcdcHeader) -> "tuple[EncodecModel, None]":
        return model or options.load(args.model or header.model, args), None

    kind = raw or ("WAV" if dest is None else kind_of(dest))
    name = "standard input" if args.input == STANDARD else args.input
    with progress("decompressing") as report:
        done = decompress_file(fo, dest, kind, model_of, name, force=args.force, keep_going=args.keep_going,
                               rescale=args.rescale, progress=report)
    options.tell(done.remarks)
