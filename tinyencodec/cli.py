"""The command line.

    tinyencodec [options] INPUT [OUTPUT]     compress, decompress, or both
    tinyencodec COMMAND ...                  one of COMMANDS, below

Options, default names and the limit of 0.99 are those of the official program. Bad input of any kind
ends with one line on stderr and exit code 2, and nothing is written.

But: no `-` for standard input or output (named pipes and `<(...)` will do), and no language model (`-l`).
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import tinyencodec

SUFFIX = ".ecdc"
_USUAL_BANDWIDTH = 6.0  # kbit/s


class Command(NamedTuple):
    """One command: a line of help, a function that declares its arguments, a function that runs it."""

    summary: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, _one_line(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run the program with these arguments (None: those of the process); return the exit code.

    0: done; 2: bad input, told in one line on stderr; 130: interrupted. Raises `SystemExit` where
    argparse does (`--help`, `--version`, and with 2 for a wrong use).
    """
    if argv is None:
        argv = sys.argv[1:]
        signal.signal(signal.SIGTERM, _terminate)
    named = bool(argv) and argv[0] in COMMANDS
    prog = f"tinyencodec {argv[0]}" if named else "tinyencodec"
    command = COMMANDS[argv[0]] if named else _CODE
    parser = _Parser(prog=prog, description=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.declare(parser)
    args = parser.parse_args(argv[1:] if named else argv)
    try:
        command.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(prog, "interrupted", 130)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        return _fail(prog, _message(error), 2)
    return 0


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # an exception, so that temporary files are removed


def _fail(prog: str, message: str, code: int) -> int:
    print(_one_line(f"{prog}: {message}"), file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename}: file exists; use -f to overwrite"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return "out of memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())


# ---- tinyencodec INPUT [OUTPUT] ----------------------------------------------------------------------


def _declare_code(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="INPUT", type=Path, help=f"audio file to compress, or {SUFFIX} file to decompress")
    add("output", metavar="OUTPUT", type=Path, nargs="?",
        help=f"{SUFFIX} or audio file (.wav, .flac, .ogg); audio to audio does both. Default: INPUT with the suffix "
             f"{SUFFIX}, or INPUT_decompressed.wav")
    add("-b", "--bandwidth", metavar="KBPS", type=float,
        help=f"kbit/s, one of the model's; default: {_USUAL_BANDWIDTH:g} or the nearest it has")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-q", "--hq", action="store_true", help="compress with the 48 kHz stereo model")
    which.add_argument("-m", "--model", metavar="MODEL",
                       help="name or folder of the model; default: the bundled one, or the one that made the file")
    add("-f", "--force", action="store_true", help="overwrite OUTPUT if it exists")
    add("-r", "--rescale", action="store_true", help="scale the decompressed sound down rather than clip it")
    add("-s", "--decompress_suffix", metavar="SUFFIX", default="_decompressed",
        help="for the default name of a decompressed file; default: %(default)s")
    add("--version", action="version", version=f"tinyencodec {tinyencodec.__version__}")
    parser.epilog = "\n  ".join(["commands:", *(f"tinyencodec {name:9} {command.summary}"
                                                for name, command in COMMANDS.items())])


def _run_code(args: argparse.Namespace) -> None:
    from tinyencodec.audio import FORMATS
    from tinyencodec.files import check_output, is_special

    source: Path = args.input
    decompress = source.suffix.lower() == SUFFIX
    if args.output is not None:
        dest: Path = args.output
        expected = [*FORMATS] if decompress else [SUFFIX, *FORMATS]
        if dest.suffix.lower() not in expected and not is_special(dest):
            raise ValueError(f"{dest}: expected an output name ending in {', '.join(expected)}, "
                             f"got {dest.suffix or 'no suffix'}")
    elif decompress:
        dest = source.with_name(f"{source.stem}{args.decompress_suffix}.wav")
    else:
        dest = source.with_suffix(SUFFIX)
    os.stat(source)  # FileNotFoundError
    check_output(dest, args.force)
    if dest.is_file() and dest.samefile(source):
        raise ValueError(f"{dest}: expected another file for the output than the input, got the same")
    if decompress:
        with open(source, "rb") as fo:
            _decompress(fo, source, dest, args)
    else:
        _compress(source, dest, args)


def _compress(source: Path, dest: Path, args: argparse.Namespace) -> None:
    from tinyencodec.audio import FORMATS
    from tinyencodec.ecdc import EcdcHeader, write_ecdc
    from tinyencodec.files import atomic_write
    from tinyencodec.progress import progress
    from tinyencodec.store import HQ_MODEL

    model = _load(HQ_MODEL if args.hq else args.model)
    bandwidth = args.bandwidth
    if bandwidth is None:
        bandwidth = min(model.bandwidths, key=lambda b: abs(b - _USUAL_BANDWIDTH))
    n_codebooks = model.codebooks_for(bandwidth)
    with _quiet_libraries():
        wav = tinyencodec.read_audio(source, model.sample_rate, model.channels)
    EcdcHeader(model.name, wav.shape[1], n_codebooks)  # a name that no file can hold is told before the work
    with progress("compressing") as report:
        frames = model.encode(wav, bandwidth, progress=report)
    buffer = io.BytesIO()
    write_ecdc(buffer, model, frames, wav.shape[1])
    if dest.suffix.lower() in FORMATS:
        buffer.seek(0)
        _decompress(buffer, source, dest, args, model)
    else:
        with atomic_write(dest, args.force) as fo:
            fo.write(buffer.getbuffer())


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep off the terminal what C libraries print there: libmpg123 comments on every flaw of an MP3 file."""
    try:
        terminal = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _decompress(fo, source: Path, dest: Path, args: argparse.Namespace, model=None) -> None:
    from tinyencodec.audio import PEAK_LIMIT, peak
    from tinyencodec.ecdc import read_ecdc, read_header
    from tinyencodec.progress import progress

    try:
        header = read_header(fo)
        model = model or _load(args.model or header.model)
        frames = read_ecdc(fo, model, header)
        with progress("decompressing") as report:
            wav = model.decode(frames, header.audio_length, progress=report)
    except EOFError as error:
        raise EOFError(f"{source}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    if not args.rescale and peak(wav) > PEAK_LIMIT:
        print(f"tinyencodec: warning: the sound reaches {peak(wav):.3g} of full scale and was clipped at {PEAK_LIMIT}; "
              "use -r to scale it down instead", file=sys.stderr)
    tinyencodec.write_audio(dest, wav, model.sample_rate, rescale=args.rescale, force=args.force)


def _load(name: str | None):
    from tinyencodec.config import PRESETS

    try:
        return tinyencodec.load_model(name)
    except ValueError as error:
        if name not in PRESETS or os.path.exists(name):
            raise
        raise ValueError(f"{error}; make it from the official weights with `tinyencodec convert FILE {name}` "
                         f"and pass -m {name}") from None


# ---- other commands ----------------------------------------------------------------------------------


def _declare_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=f"FILE{SUFFIX}", type=Path)
    parser.add_argument("-m", "--model", metavar="MODEL", help="folder of the model, if it is not found by its name")


def _run_info(args: argparse.Namespace) -> None:
    from tinyencodec.describe import describe

    print(describe(args.file, args.model))


def _declare_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("src", metavar="SRC", type=Path,
                        help="official .th file, Hub folder or .safetensors file, or training checkpoint")
    parser.add_argument("dest", metavar="DEST", type=Path, help="new folder; its name becomes the model's")
    parser.add_argument("--half", action="store_true", help="store float16: half the size")


def _run_convert(args: argparse.Namespace) -> None:
    from tinyencodec.convert import convert

    config = convert(args.src, args.dest, half=args.half)
    print(f"{args.dest}: {config.sampling_rate} Hz, {config.audio_channels} channel(s), "
          f"{config.n_codebooks} codebooks of {config.codebook_size}")


_CODE = Command(f"Neural audio codec: compress an audio file, decompress an {SUFFIX} file, or both.",
                _declare_code, _run_code)
COMMANDS = {
    "info": Command(f"Tell what an {SUFFIX} file holds, without decoding it.", _declare_info, _run_info),
    "convert": Command("Make a model folder from official, Hub or training weights.", _declare_convert, _run_convert),
}
