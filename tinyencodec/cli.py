"""The command line.

    tinyencodec [options] INPUT [OUTPUT]     compress, decompress, or both
    tinyencodec COMMAND ...                  one of COMMANDS, below

Options, default names and the limit of 0.99 are those of the official program. Bad input of any kind
ends with one line on stderr and exit code 2, and no file is written; into a pipe goes what came before.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import NamedTuple, NoReturn

from tinyencodec import bench, cli_code, cli_codes, compare, evaluate
from tinyencodec.cli_code import SUFFIX


class Command(NamedTuple):
    """One command: a line of help, a function that declares its arguments, one that runs it, examples for its help."""

    summary: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]  # the exit code; None: 0
    examples: str = ""  # lines of a shell


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, without the usage
        self.exit(2, _one_line(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run the program with these arguments (None: those of the process); return the exit code.

    0: done; 1: done but for some of many files; 2: bad input, told in one line on stderr; 130: interrupted;
    141: nobody reads the output any more. Raises `SystemExit` where argparse does (`--help`, `--version`, and
    with 2 for a wrong use).
    """
    if argv is None:
        argv = sys.argv[1:]
        signal.signal(signal.SIGTERM, _terminate)
    named = bool(argv) and argv[0] in COMMANDS
    prog = f"tinyencodec {argv[0]}" if named else "tinyencodec"
    command = COMMANDS[argv[0]] if named else _CODE
    parser = _Parser(prog=prog, description=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.declare(parser)
    if command.examples:
        examples = "examples:\n" + indent(command.examples.strip(), "  ")
        parser.epilog = "\n\n".join(filter(None, [parser.epilog, examples]))
    args = parser.parse_intermixed_args(argv[1:] if named else argv)  # options may stand between INPUT and OUTPUT
    try:
        code = command.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(prog, "interrupted", 130)
    except BrokenPipeError:  # such as `| head`: quietly, as programs do that the signal ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # lest the interpreter fail to write the rest at its exit
        return 141
    except (ValueError, EOFError, OSError, MemoryError) as error:
        return _fail(prog, _message(error), 2)
    return code or 0


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


# ---- other commands ----------------------------------------------------------------------------------


def _declare_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=f"FILE{SUFFIX}", help="-: standard input")
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
    from tinyencodec.lm_config import LMConfig

    config = convert(args.src, args.dest, half=args.half)
    what = f"language model, {config.n_layers} layers" if isinstance(config, LMConfig) else \
        f"{config.sampling_rate} Hz, {config.audio_channels} channel(s)"
    print(f"{args.dest}: {what}, {config.n_codebooks} codebooks of {config.codebook_size}")


def _declare_code(parser: argparse.ArgumentParser) -> None:
    cli_code.declare(parser)
    parser.epilog = "\n  ".join(["commands:", *(f"tinyencodec {name:9} {command.summary}"
                                                for name, command in COMMANDS.items())])


_CODE = Command(f"Neural audio codec: compress an audio file, decompress an {SUFFIX} file, or both.",
                _declare_code, cli_code.run)
COMMANDS = {
    "info": Command(f"Tell what an {SUFFIX} file holds, without making sound of it.", _declare_info, _run_info),
    "convert": Command("Make a model folder from official, Hub or training weights.", _declare_convert, _run_convert),
    "codes": Command(cli_codes.SUMMARY, cli_codes.declare, cli_codes.run),
    "bench": Command(bench.SUMMARY, bench.declare, bench.run),
    "evaluate": Command(evaluate.SUMMARY, evaluate.declare, evaluate.run),
    "compare": Command(compare.SUMMARY, compare.declare, compare.run),
}
