"""Shell completion: the scripts are in order, and bash and zsh complete with them as they should."""

import shutil
import subprocess
import sys

import pytest

from tinyencodec.cli import completion
from tinyencodec.cli import main as cli

needs_shtab = pytest.mark.skipif("not __import__('importlib.util').util.find_spec('shtab')",
                                 reason="shtab is not installed")


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


def script(shell):
    return completion.script(shell, cli.parser_of(), cli.COMMANDS)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    for name in ("song.wav", "LOUD.FLAC", "x.ecdc", "notes.txt", "two words.mp3"):
        (tmp_path / name).touch()


@needs_shtab
@pytest.mark.parametrize("shell", [pytest.param(shell, marks=needs(shell)) for shell in completion.SHELLS])
def test_script_is_in_order(shell, tmp_path):
    (tmp_path / "script").write_text(script(shell))
    result = subprocess.run([shell, "-n", "script"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@needs_shtab
@needs("bash")
def test_bash_completes(tmp_path):
    (tmp_path / "script").write_text(script("bash"))
    lines = {
        "inf": {"info"},
        "--entr": {"--entropy"},
        "--entropy ": {"none", "table", "lm"},
        "--entropy table so": {"song.wav"},
        "co": {"convert", "codes", "compare", "completion"},
        "x": {"x.ecdc"},
        "LO": {"LOUD.FLAC"},
        "two": {"two words.mp3"},
        "no": set(),
        "song.wav ": {"song.wav", "LOUD.FLAC", "x.ecdc", "two words.mp3", "recordings"},
        "info ": {"x.ecdc", "recordings"},
        "info --m": {"--model"},
        "-m tiny_2": {"tiny_24khz"},
        "evaluate --corpus ": {"recordings"},
        "completion ": {*completion.SHELLS},
        "compare song.wav --out n": {"notes.txt"},
    }
    drive = "source ./script\n"
    for line in lines:
        words = " ".join(f"'{word}'" for word in ["tinyencodec", *line.split(" ")])
        drive += (f"COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _shtab_tinyencodec\n"
                  "printf '%s\\n' \"${COMPREPLY[@]}\" ---\n")
    out = subprocess.run(["bash", "-c", drive], capture_output=True, text=True, check=True).stdout
    for (line, expected), reply in zip(lines.items(), out.split("---\n"), strict=False):
        found = {word for word in reply.splitlines() if word}
        if line == "co":
            found &= expected  # new commands may begin so, too
        assert found == expected, line


@needs_shtab
@needs("zsh")
def test_zsh_completes(tmp_path):
    (tmp_path / "script").write_text(script("zsh"))
    lines = {"inf": "info", "so": "song.wav", "song.wav x": "song.wav x.ecdc", "info ": "info x.ecdc",
             "--entr": "--entropy", "--entropy t": "--entropy table", "-m tiny_2": "-m tiny_24khz",
             "completion z": "completion zsh"}
    (tmp_path / "recordings").rmdir()  # one candidate only for `info `
    keys = "\n".join(f"zpty -n -w z \"tinyencodec {line}\"$'\\t\\x18'; wait_for {number}"
                     for number, line in enumerate(lines, 2))
    drive = f"""
zmodload zsh/zpty zsh/zselect
wait_for() {{ repeat 500 {{ (( $(wc -l < heard) >= $1 )) && return; zselect -t 2 }} }}
touch heard
zpty z zsh -f -i
zpty -w z 'autoload -U compinit; compinit -u -D; eval "$(<script)"'
zpty -w z 'tell() {{ print -r -- "$BUFFER" >> heard; BUFFER= }}; zle -N tell; bindkey "^X" tell; echo >> heard'
wait_for 1
{keys}
zpty -d z
"""
    subprocess.run(["zsh", "-f", "-c", drive], capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
    heard = (tmp_path / "heard").read_text().splitlines()[1:]
    assert heard == [f"tinyencodec {line} " for line in lines.values()]


def test_without_shtab(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == ("tinyencodec completion: expected the package shtab, which is not installed "
                                       "(pip install 'tinyencodec[completion]')\n")
