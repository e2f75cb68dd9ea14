"""The command line.

    tinyencodec [options] INPUT [OUTPUT]     compress, decompress, or both
    tinyencodec COMMAND ...                  one of those in `commands`

Options, default names and the limit of 0.99 are those of the official program. Bad input of any kind
ends with one line on stderr and exit code 2, and no file is written; into a pipe goes what came before.
"""

import difflib
import importlib
import io
import os
import signal
import sys
from typing import NoReturn

from tinyencodec.cli.commands import COMMANDS, module_of, parser_of
from tinyencodec.cli.parser import Parser
from tinyencodec.system.compiler import cache
from tinyencodec.system.errors import one_line
from tinyencodec.system.files import named
from tinyencodec.system.signals import deferred
from tinyencodec.system.stdio import say


def main(argv: list[str] | None = None) -> int:
    """Run the program with these arguments (None: those of the process); return the exit code.

    0: done; 1: done except for some of many files; 2: bad input, told in one line on stderr; 130: interrupted;
    141: the reader of the output has gone. Raises `SystemExit` where argparse does (`--help`, `--version`, and
    with 2 for a wrong use).
    """
    try:
        if argv is None:
            argv = sys.argv[1:]
            _be_told_to_stop()
            cache.announce = _tell_that_it_compiles
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):  # a name of a file may be no text, or not in this encoding
                    stream.reconfigure(errors="backslashreplace")
        return _main(argv)
    except KeyboardInterrupt:
        command = next(iter(sys.argv[1:] if argv is None else argv), "")
        return _fail(f"tinyencodec {command}" if command in COMMANDS else "tinyencodec", "interrupted", 130)


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
        args.words = argv  # for a command that tells how it was called
        importlib.import_module("numpy")  # that every command imports sooner or later
    if others:
        _tell_what_is_too_much(others, parser, name)
    try:
        code = module_of(name).run(args)
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


def _look_for_a_mistyped_command(argv: list[str], parser: Parser) -> None:
    if argv and argv[0].isalpha() and not os.path.exists(argv[0]):
        if meant := difflib.get_close_matches(argv[0], COMMANDS, 1):
            parser.error(f"{argv[0]}: neither a file nor a command; did you mean `tinyencodec {meant[0]}`?")


def _tell_what_is_too_much(others: list[str], parser: Parser, name: str) -> NoReturn:
    if not name and not any(other.startswith("-") for other in others):
        parser.error(f"expected INPUT and OUTPUT, got {len(others)} more, {others[0]}; for many files there is "
                     "`tinyencodec batch`")
    parser.error(f"unrecognized arguments: {' '.join(others)}")


def _be_told_to_stop() -> None:
    signal.signal(signal.SIGTERM, _terminate)
    hangup = getattr(signal, "SIGHUP", None)  # the terminal is closed; `nohup` has it ignored
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        signal.signal(hangup, _terminate)


def _terminate(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # an exception, so that temporary files are removed


def _tell_that_it_compiles() -> None:
    say("tinyencodec: compiling for this processor: a few seconds, the first time only")


def _fail(prog: str, message: str, code: int) -> int:
    print(one_line(f"{prog}: {message}"), file=sys.stderr)
    return code


def _message(error: BaseException) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename}: file exists; use -f to overwrite"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return "out of memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__
