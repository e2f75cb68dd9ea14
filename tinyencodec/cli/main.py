"""The command line.

    tinyencodec [options] INPUT [OUTPUT]     compress, decompress, or both
    tinyencodec COMMAND ...                  one of COMMANDS, below

Options, default names and the limit of 0.99 are those of the official program. Bad input of any kind
ends with one line on stderr and exit code 2, and no file is written; into a pipe goes what came before.
"""

import argparse
import difflib
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from tinyencodec.cli import batch as cli_many
from tinyencodec.cli import code as cli_code
from tinyencodec.cli import codes as cli_codes
from tinyencodec.cli import completion
from tinyencodec.cli import fetch as cli_fetch
from tinyencodec.cli import models as cli_models
from tinyencodec.cli import options as cli_arguments
from tinyencodec.cli.parser import ENDS, ENVIRONMENT, Command, Parser
from tinyencodec.ecdc.header import SUFFIX
from tinyencodec.system.errors import one_line
from tinyencodec.system.files import named
from tinyencodec.system.signals import deferred
from tinyencodec.tools import bench, compare, evaluate, tokenize


def main(argv: list[str] | None = None) -> int:
    """Run the program with these arguments (None: those of the process); return the exit code.

    0: done; 1: done but for some of many files; 2: bad input, told in one line on stderr; 130: interrupted;
    141: nobody reads the output any more. Raises `SystemExit` where argparse does (`--help`, `--version`, and
    with 2 for a wrong use).
    """
    try:
        if argv is None:
            argv = sys.argv[1:]
            _be_told_to_stop()
        return _main(argv)
    except KeyboardInterrupt:
        return _fail("tinyencodec", "interrupted", 130)


def _main(argv: list[str]) -> int:
    if argv[:1] == ["help"] and not os.path.exists("help"):
        argv = [*argv[1:2], "--help"]
    name = argv[0] if argv and argv[0] in COMMANDS else ""
    parser = parser_of(name)
    if not name:
        _look_for_a_mistyped_command(argv, parser)
    with deferred():  # argparse and the start of NumPy would turn an interrupt into an error of their own
        # Options may stand between INPUT and OUTPUT.
        args, others = parser.parse_known_intermixed_args(argv[1:] if name else argv)
        importlib.import_module("numpy")  # that every command imports sooner or later
    if others:
        _tell_what_is_too_much(others, parser, name)
    try:
        code = (COMMANDS[name] if name else _CODE).run(args)
        with named("standard output"):
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail(parser.prog, "interrupted", 130)
    except BrokenPipeError:  # such as `| head`: quietly, as programs do that the signal ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # lest the interpreter fail to write the rest at its exit
        return 141
    except (ValueError, EOFError, OSError, MemoryError) as error:
        return _fail(parser.prog, _message(error), 2)
    return code or 0


def parser_of(name: str = "") -> Parser:
    """The parser of a command; without a name, that of the program without one."""
    return Parser(f"tinyencodec {name}".strip(), COMMANDS[name] if name else _CODE)


def _look_for_a_mistyped_command(argv: list[str], parser: Parser) -> None:
    if argv and argv[0].isalpha() and not os.path.exists(argv[0]):
        if meant := difflib.get_close_matches(argv[0], COMMANDS, 1):
            parser.error(f"{argv[0]}: neither a file nor a command; did you mean `tinyencodec {meant[0]}`?")


def _tell_what_is_too_much(others: list[str], parser: Parser, name: str) -> NoReturn:
    if not name and not any(other.startswith("-") for other in others):
        many = "; for many files there is `tinyencodec batch`" if "batch" in COMMANDS else ""
        parser.error(f"expected INPUT and OUTPUT, got {len(others)} more, {others[0]}{many}")
    parser.error(f"unrecognized arguments: {' '.join(others)}")


def _be_told_to_stop() -> None:
    signal.signal(signal.SIGTERM, _terminate)
    hangup = getattr(signal, "SIGHUP", None)  # the terminal is closed; `nohup` has it ignored
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        signal.signal(hangup, _terminate)


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # an exception, so that temporary files are removed


def _fail(prog: str, message: str, code: int) -> int:
    print(one_line(f"{prog}: {message}"), file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename}: file exists; use -f to overwrite"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return "out of memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


# ---- other commands ----------------------------------------------------------------------------------


def _declare_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar=f"FILE{SUFFIX}", help="-: standard input")
    parser.add_argument("-m", "--model", metavar="MODEL", help="folder of the model, if it is not found by its name")


def _run_info(args: argparse.Namespace) -> None:
    from tinyencodec.ecdc.describe import describe

    print(describe(args.file, args.model))


def _declare_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("src", metavar="SRC", type=Path,
                        help="official .th file, Hub folder or .safetensors file, or training checkpoint")
    parser.add_argument("dest", metavar="DEST", type=Path, help="new folder; its name becomes the model's")
    parser.add_argument("--half", action="store_true", help="store float16: half the size")


def _run_convert(args: argparse.Namespace) -> None:
    from tinyencodec.lm.config import LMConfig
    from tinyencodec.models.convert import convert

    config = convert(args.src, args.dest, half=args.half)
    what = f"language model, {config.n_layers} layers" if isinstance(config, LMConfig) else \
        f"{config.sampling_rate} Hz, {config.audio_channels} channel(s)"
    print(f"{args.dest}: {what}, {config.n_codebooks} codebooks of {config.codebook_size}")


def _declare_code(parser: argparse.ArgumentParser) -> None:
    cli_arguments.declare(parser)
    commands = [f"  {name:10}  {command.summary}" for name, command in COMMANDS.items()]
    commands.insert(0, "commands (tinyencodec COMMAND --help tells more):")
    parser.epilog = "\n".join([*commands, ENDS, ENVIRONMENT.strip()])


_INFO_EXAMPLES = f"""
tinyencodec info song{SUFFIX}
tinyencodec info -m ./mine song{SUFFIX}    # of a model that lies somewhere else
curl -s https://example.org/song{SUFFIX} | tinyencodec info -
"""
_CONVERT_EXAMPLES = """
tinyencodec convert encodec_24khz-d7cc33bc.th encodec_24khz
tinyencodec convert --half hub/encodec_48khz/ encodec_48khz    # half the size
# and its language model, for --lm
tinyencodec convert encodec_lm_24khz-1608e3c0.th encodec_24khz/lm
tinyencodec -m ./encodec_24khz song.mp3
"""
_CODE = Command(cli_arguments.SUMMARY, _declare_code, cli_code.run, cli_arguments.EXAMPLES)
COMMANDS = {
    "info": Command(f"Tell what an {SUFFIX} file holds, without making sound of it.", _declare_info, _run_info,
                    _INFO_EXAMPLES),
    "batch": Command(cli_many.SUMMARY, cli_many.declare, cli_many.run, cli_many.EXAMPLES),
    "models": Command(cli_models.SUMMARY, cli_models.declare, cli_models.run, cli_models.EXAMPLES),
    "fetch": Command(cli_fetch.SUMMARY, cli_fetch.declare, cli_fetch.run, cli_fetch.EXAMPLES),
    "convert": Command("Make a model folder from official, Hub or training weights.", _declare_convert, _run_convert,
                       _CONVERT_EXAMPLES),
    "codes": Command(cli_codes.SUMMARY, cli_codes.declare, cli_codes.run, cli_codes.EXAMPLES),
    "bench": Command(bench.SUMMARY, bench.declare, bench.run, bench.EXAMPLES),
    "evaluate": Command(evaluate.SUMMARY, evaluate.declare, evaluate.run, evaluate.EXAMPLES),
    "compare": Command(compare.SUMMARY, compare.declare, compare.run, compare.EXAMPLES),
    "tokenize": Command(tokenize.SUMMARY, tokenize.declare, tokenize.run, tokenize.EXAMPLES),
    "completion": Command(completion.SUMMARY, completion.declare, completion.run, completion.EXAMPLES),
}
