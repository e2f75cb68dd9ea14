"""`tinyencodec completion SHELL`: a script with which the shell completes commands, options, their values and files.

shtab (extra `completion`) makes it from the parsers that read the command line. No Python runs when a key is pressed.
"""

import argparse
import re
from typing import Any

from tinyencodec.cli.commands import COMMANDS, module_of, parser_of
from tinyencodec.cli.parser import Parser

EXAMPLES = """
# bash: now, and in every new shell
eval "$(tinyencodec completion bash)"
echo 'eval "$(tinyencodec completion bash)"' >> ~/.bashrc
# zsh, below compinit
echo 'eval "$(tinyencodec completion zsh)"' >> ~/.zshrc
# tcsh
tinyencodec completion tcsh > ~/.tinyencodec.tcsh
echo 'source ~/.tinyencodec.tcsh' >> ~/.tcshrc
"""
SHELLS = ("bash", "zsh", "tcsh")
_PREAMBLE = {"bash": "_shtab_tinyencodec_pos_0_COMPGEN=_shtab_compgen_files"}  # a file may stand where a command may
_FOLDER = re.compile(r"^(MODEL|FOLDER|DIR|DEST)$")  # names of arguments in the help
_FILE = re.compile(r"\bIN(PUTS?)?\b|^OUTPUT|FILE|PATH|SRC|REPORT")


def declare(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> None:
    """Print the script. Raises `ValueError` if shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise ValueError("expected the package shtab, which is not installed "
                         "(pip install 'tinyencodec[completion]')") from None
    parser = parser_of()
    parser._actions[:] = [action for action in parser._actions if action.option_strings]
    several = parser.add_subparsers(prog=parser.prog, parser_class=Parser)  # in place of INPUT and OUTPUT
    for name, summary in COMMANDS.items():
        several.add_parser(name, help=summary, summary=summary, command=module_of(name))
    for each in (parser, *several.choices.values()):
        action: Any  # shtab looks at an attribute that argparse knows nothing of
        for action in each._actions:
            if isinstance(action.metavar, str) and action.nargs != 0 and not action.choices:
                if _FOLDER.search(action.metavar):
                    action.complete = shtab.DIRECTORY
                elif _FILE.search(action.metavar):
                    action.complete = shtab.FILE
    print(shtab.complete(parser, args.shell, preamble=_PREAMBLE))
