"""What the program tells about itself: every option, examples that hold, names mistyped."""

import re
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinyencodec.cli import main as cli
from tinyencodec.cli.commands import COMMANDS, module_of, parser_of
from tinyencodec.cli.parser import Parser

ALL = ["", *COMMANDS]


def help_of(name, monkeypatch, columns=80):
    monkeypatch.setenv("COLUMNS", str(columns))
    return parser_of(name).format_help()


@pytest.mark.parametrize("name", ALL)
def test_each_argument_has_its_line_of_help(name):
    for action in parser_of(name)._actions:
        assert action.help, action
        assert action.metavar or action.choices or not action.option_strings or action.nargs == 0, action


@pytest.mark.parametrize("columns", [50, 80, 300])
@pytest.mark.parametrize("name", ALL)
def test_help_fits_the_terminal(name, columns, monkeypatch):
    text = help_of(name, monkeypatch, columns)
    lines = [line for line in text.splitlines() if columns > 50 or not re.match(r"  +\S", line)]
    longest = max(lines, key=len)
    assert len(longest) <= min(columns, 102), longest


def commands_in(examples):
    """The words of each call of the program in lines of a shell, without redirections."""
    text = re.sub(r'"\$\((.*?)\)"', r"; \1 ;", examples.replace("|\n", "| ").replace("\\\n", " "))
    for line in text.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
        words.whitespace_split = True
        words = [*words, ";"]
        while words:
            end = next(i for i, word in enumerate(words) if word[0] in "|;&<>")
            if words[:1] == ["tinyencodec"]:
                yield words[1:end]
            words = words[end + 1:]


def test_commands_in_lines_of_a_shell():
    found = list(commands_in("tinyencodec a b  # one\n# none\nx -r 3 |\n  tinyencodec - - | aplay\ntinyencodec c > d"))
    assert found == [["a", "b"], ["-", "-"], ["c"]]


@pytest.mark.parametrize("name", ALL)
def test_examples_parse(name):
    examples = list(commands_in(module_of(name).EXAMPLES))
    assert len(examples) >= 2
    for words in examples:
        named = words[0] if words[0] in COMMANDS else ""
        parser_of(named).parse_intermixed_args(words[1:] if named else words)
    assert not name or any(words[0] == name for words in examples)


def test_layout(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    def declare(parser):
        parser.add_argument_group("things").add_argument("thing", help="of some kind")
        parser.epilog = "More is told in prose. " * 6 + "\n\nterms:\n  A   " + "one thing " * 12 + "\n  BB  another"

    examples = "\ntinyencodec do it   # a short one\ntinyencodec do that " + 6 * "--again " + "  # a longer one\n"
    examples += "tinyencodec do 'one'" + 12 * " another" + "\n"
    command = SimpleNamespace(declare=declare, EXAMPLES=examples)
    lines = Parser("tinyencodec do", "Do it.", command).format_help().splitlines()
    start = lines.index("things:")
    assert lines[start + 1:start + 3] == ["  thing       of some kind", "  -h, --help  show this help and stop"]
    start = lines.index("examples:")
    assert lines[start + 1:start + 4] == [
        "  tinyencodec do it   # a short one", "  # a longer one", "  tinyencodec do that" + 6 * " --again"]
    [third, fourth] = lines[start + 4:start + 6]
    assert third.startswith("  tinyencodec do 'one'") and third.endswith(" \\") and fourth.startswith("      ")
    start = lines.index("terms:")
    assert lines[start + 1].startswith("  A   one") and lines[start + 2].startswith("      ")
    assert lines[-1] == "  BB  another"


@pytest.mark.parametrize("argv, message", [
    (["compres", "x"], "tinyencodec: compres: neither a file nor a command; did you mean `tinyencodec compare`? "
                       "(see tinyencodec --help)\n"),
    (["inof", "x", "y", "z"], "did you mean `tinyencodec info`?"),
    (["zzzz"], "zzzz: No such file or directory"),
    (["codes.wav"], "codes.wav: No such file or directory"),
    (["a.wav", "b.wav", "c.wav"], "tinyencodec: expected INPUT and OUTPUT, got 1 more, c.wav"),
    (["a.wav", "b.wav", "c.wav", "--wrong"], "unrecognized arguments:"),
    (["info", "a.ecdc", "b.ecdc"], "tinyencodec info: unrecognized arguments: b.ecdc (see tinyencodec info --help)\n"),
    ([], "the following arguments are required: INPUT"),
])
def test_wrong_use_is_one_line_that_helps(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = cli.main(argv)
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert code == 2 and not out
    assert message in err and err.count("\n") == 1 and err.startswith("tinyencodec")


def test_a_file_that_is_named_like_a_command_mistyped(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inf").write_bytes(b"no sound")
    assert cli.main(["inf"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_help_as_a_word(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for argv, usage in ((["help"], "usage: tinyencodec [options]"), (["help", "info"], "usage: tinyencodec info")):
        with pytest.raises(SystemExit) as end:
            cli.main(argv)
        assert end.value.code == 0 and capsys.readouterr().out.startswith(usage)


def test_help_loads_nothing_that_takes_time():
    code = """
import sys
from tinyencodec.cli.commands import COMMANDS, parser_of
[parser_of(name).format_help() for name in ["", *COMMANDS]]
sys.exit(str({"numba", "scipy", "soundfile", "torch", "dask", "shtab", "multiprocessing"} & {*sys.modules}))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr == "set()\n"
