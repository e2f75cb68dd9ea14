"""`tinyencodec completion SHELL`: a script with which the shell completes commands, options, their values and files.

shtab (extra `completion`) makes it from the parsers that read the command line. What kind of file an argument stands
for is told by its name in the help. No Python runs when a key is pressed.
"""

import argparse
import re
import sys
from typing import Any

from tinyencodec.cli.parser import Command, Parser
from tinyencodec.ecdc.header import SUFFIX

SUMMARY = "Print a script that makes your shell complete commands, options and files."
EXAMPLES = """
# bash: now, and in each shell to come
eval "$(tinyencodec completion bash)"
echo 'eval "$(tinyencodec completion bash)"' >> ~/.bashrc
# zsh, below compinit
echo 'eval "$(tinyencodec completion zsh)"' >> ~/.zshrc
# tcsh
tinyencodec completion tcsh > ~/.tinyencodec.tcsh
echo 'source ~/.tinyencodec.tcsh' >> ~/.tcshrc
"""
SHELLS = ("bash", "zsh", "tcsh")
_CODED = (SUFFIX[1:],)
_SOUNDS = ("wav", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "au", "caf", "w64", "raw", "pcm", *_CODED, "npz",
           "safetensors")
_KINDS = (  # the first of these that is found in an argument's name tells its kind
    (r"^MODEL|^NAME$", "models"), (r"FILE\|DIR", "files"), (rf"\{SUFFIX}$", "coded"), (r"FOLDER|DIR|DEST", "folders"),
    (r"\bIN(PUTS?)?\b|^OUTPUT", "sounds"), (r"FILE|PATH|SRC|SOURCE|REPORT", "files"))
_COMPLETERS = {  # by shell and kind
    "bash": {kind: f"_tinyencodec_glob_{kind}" for kind in ("models", "coded", "folders", "sounds", "files")},
    "zsh": {"models": "_tinyencodec_models", "coded": f"_files -g '*.{_CODED[0]}'", "folders": "_files -/",
            "sounds": f"_files -g '*.({'|'.join(_SOUNDS)})'", "files": "_files"},
    "tcsh": {"models": "({models})", "coded": f"f:*.{_CODED[0]}", "folders": "d",
             "sounds": f"f:*.{{{','.join(_SOUNDS)}}}", "files": "f"},
}


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> None:
    """Print the script. Raises `ValueError` if shtab is not installed."""
    from tinyencodec.cli.main import COMMANDS, parser_of

    sys.stdout.write(script(args.shell, parser_of(), COMMANDS))


def script(shell: str, parser: Parser, commands: dict[str, Command]) -> str:
    """The script for one of `SHELLS`, given the parser of the program without a command, and its commands."""
    try:
        import shtab
    except ImportError:
        raise ValueError("expected the package shtab, which is not installed "
                         "(pip install 'tinyencodec[completion]')") from None
    from tinyencodec.codec.config import PRESETS
    from tinyencodec.models.store import list_models

    words = [word for word in parser._actions if not word.option_strings]
    for word in words:
        parser._actions.remove(word)
    several: Any = parser.add_subparsers(prog=parser.prog, parser_class=Parser)  # in place of INPUT
    for name, command in commands.items():
        several.add_parser(name, help=command.summary, command=command)
    if shell == "bash":  # the other shells' scripts know no words beside commands: see `_preamble`
        parser._actions += words[1:]
    models = " ".join(dict.fromkeys([*PRESETS, *list_models()]))
    for each in (parser, *several.choices.values()):
        action: Any  # shtab looks at an attribute that argparse knows nothing of
        for action in each._actions:
            name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
            kind = next((kind for pattern, kind in _KINDS if re.search(pattern, name)), None)
            if kind and not action.choices and action.nargs != 0:
                action.complete = {shell: _COMPLETERS[shell][kind].replace("{models}", models)}
    if shell == "tcsh":
        several.complete = {shell: f"`echo {' '.join(commands)}; ls -d *`"}
    return shtab.complete(parser, shell, preamble={shell: _preamble(shell, models)})


def _preamble(shell: str, models: str) -> str:
    """What the script has to define beside shtab's own functions."""
    if shell == "bash":
        folders = '  compgen -d -- "$1"'
        bodies = {"models": f"  compgen -W '{models}' -- \"$1\"\n{folders}", "coded": _suffixes(_CODED) + folders,
                  "folders": folders, "sounds": _suffixes(_SOUNDS) + folders, "files": '  compgen -f -- "$1"'}
        functions = "\n".join(f"{_COMPLETERS[shell][kind]}() {{\n{body}\n}}" for kind, body in bodies.items())
        return f"""\
{functions}
_shtab_tinyencodec_pos_0_COMPGEN={_COMPLETERS[shell]["sounds"]}  # beside the commands
_shtab_tinyencodec_pos_0_nargs=1"""
    if shell == "zsh":
        return f"""\
_tinyencodec_models() {{
  compadd -- {models}
  _files -/
}}
functions[_tinyencodec_commands]=$functions[_shtab_tinyencodec]
_shtab_tinyencodec() {{  # where no command, option or value fits, a file does
  local word=$words[CURRENT]
  _tinyencodec_commands "$@"
  (( compstate[nmatches] )) || [[ $word == -* ]] || {_COMPLETERS[shell]["sounds"]}
}}"""
    return ""


def _suffixes(suffixes: tuple[str, ...]) -> str:
    """Lines of bash: files with these, in small or capital letters."""
    patterns = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in suffix) for suffix in suffixes)
    return "".join(f"  compgen -f -X '!*.{pattern}' -- \"$1\"\n" for pattern in patterns)
