"""How every command tells what it does: the parser behind each, the layout of `--help`, and what all have in common.

Prose is filled to the terminal's width, at most 100 columns; lists of terms keep their columns; what is indented
otherwise, such as the lines of a shell, stays as it is.
"""

import argparse
import re
import shutil
import sys
from textwrap import fill, indent, wrap
from types import ModuleType
from typing import Any, NoReturn

from tinyencodec.system.errors import one_line

_WIDEST = 100  # columns
_TERM = re.compile(r"(  \S+(?: \S+)* {2,})(?!#)(\S.*)")  # two spaces, a term, two spaces or more, what it means

ENDS = """
exit code:
  0    done
  1    done, except for some of many files, which are named
  2    bad input or wrong use: one line on standard error, and no output file
  130  interrupted (Ctrl-C), and no output file
  141  the reader of standard output has gone
  143  ended by SIGTERM, and no output file
"""
ENVIRONMENT = """
files and environment:
  TINYENCODEC_HOME     folder of fetched models and your own, in models/NAME. Default: tinyencodec in the \
platform's folder for caches, such as ~/.cache (or $XDG_CACHE_HOME), ~/Library/Caches, %LOCALAPPDATA%
  TINYENCODEC_OFFLINE  1: `fetch` never uses the network
  TINYENCODEC_MIRROR   address from which `fetch` takes the official files; their hashes are checked as usual
  NUMBA_CACHE_DIR      folder of the compiled loops, made at the first use. Default: beside the program's modules; if \
that is not writable, the user's folder for caches, or else none (then each start takes seconds)
  NUMBA_DISABLE_JIT=1  run without compiled loops: slow, but the same codes
  TMPDIR               folder of the temporary file that compressing and decompressing at once needs
"""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line without the usage, and whose help fits the terminal.

    command : a module as in `commands`
    """

    def __init__(self, prog: str, summary: str, command: ModuleType, **others: Any) -> None:
        super().__init__(prog=prog, description=summary, formatter_class=_Formatter, add_help=False, **others)
        command.declare(self)
        self._last_group.add_argument("-h", "--help", action="help", help="show this help and stop")
        self.epilog = "\n\n".join(filter(None, [
            command.EXAMPLES.strip() and "examples:\n" + indent(command.EXAMPLES.strip(), "  "),
            (self.epilog or "").strip()]))

    def add_argument_group(self, *args: Any, **kwargs: Any) -> argparse._ArgumentGroup:
        self._last_group = super().add_argument_group(*args, **kwargs)
        return self._last_group

    def parse_known_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse, where `--` gets lost between its two passes: here what follows it is never an option."""
        words = list(sys.argv[1:] if args is None else args)
        if "--" in words:
            end = words.index("--")
            words[end:] = map(_Operand, words[end + 1:])
        return super().parse_known_intermixed_args(words, namespace)

    def _parse_optional(self, arg_string: str) -> Any:
        return None if isinstance(arg_string, _Operand) else super()._parse_optional(arg_string)

    def error(self, message: str) -> NoReturn:
        self.exit(2, one_line(f"{self.prog}: {message} (see {self.prog} --help)") + "\n")


class _Operand(str):
    """A word behind `--`."""


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        width = min(shutil.get_terminal_size().columns - 2, _WIDEST)
        super().__init__(prog, max_help_position=26, width=max(width, 40))

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_fill(line, width) for line in text.strip("\n").splitlines())


def _fill(line: str, width: int) -> str:
    if match := _TERM.match(line):
        return fill(match[2], width, initial_indent=match[1], subsequent_indent=" " * len(match[1]))
    if line.startswith(" "):  # an example; a comment too far to the right goes above it
        code, mark, comment = line.rpartition("  # ")
        if mark and len(line) > width:
            return f"  # {comment}\n{_fill(code.rstrip(), width)}"
        return " \\\n".join(wrap(line, width - 2, subsequent_indent=" " * 6, break_long_words=False,
                                 break_on_hyphens=False)) if len(line) > width else line
    return fill(line, width, break_on_hyphens=False)
