"""Every training command written down, on the models' cards, in README, in chapters and docstrings, can be parsed."""

import argparse
import importlib
import re
import shlex

import pytest

from tests.helpers.paths import ROOT

SOURCES = [ROOT / "README.md", *sorted(ROOT.glob("weights/*/README.md")), *sorted(ROOT.glob("tinyencodec/train/*.py")),
           *sorted(ROOT.glob("tutorials/*.py")), *sorted(ROOT.glob("tutorials/*.md"))]
# At the start of a line, perhaps after a variable of the shell; one in backticks, as docstrings begin, ends with them.
COMMAND = re.compile(r'^ *(?:"""`)?(?:[A-Z_]+=\S+ )?(?:python|torchrun .*) -m tinyencodec\.train\.(\w+)([^`\n]*)', re.M)


def commands_in(text):
    """Module and arguments of each command that has some; a line that ends in a backslash goes on in the next."""
    for module, rest in COMMAND.findall(text.replace("\\\n", " ")):
        if words := shlex.split(rest, comments=True):
            yield module, words


class _Parsed(Exception):
    """The arguments were understood; nothing is to be run."""


@pytest.fixture
def only_parse(monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *args, **options):
        raise _Parsed(parse(self, *args, **options))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


def test_commands_in_text():
    text = "`python -m tinyencodec.train.codec` is a name,\nas is `python -m tinyencodec.train.lm a`\n```sh\n" \
           "python -m tinyencodec.train.corpus a/ \\\n    b/  # one\n" \
           "OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m tinyencodec.train.codec --corpus c/\n```"
    assert list(commands_in(text)) == [("corpus", ["a/", "b/"]), ("codec", ["--corpus", "c/"])]


def test_a_mistake_is_found(only_parse):
    from tinyencodec.train import codec
    with pytest.raises(SystemExit):
        codec.main(["--corpus", "a/", "--out", "b/", "--sqared", "1"])


@pytest.mark.parametrize("source", [path for path in SOURCES if any(commands_in(path.read_text()))],
                         ids=lambda path: "/".join(path.parts[-2:]))
def test_commands_parse(source, only_parse):
    for module, words in commands_in(source.read_text()):
        with pytest.raises(_Parsed):
            importlib.import_module(f"tinyencodec.train.{module}").main(words)


@pytest.mark.parametrize("name", ["tiny_24khz", "tiny_48khz"])
def test_cards_name_every_stage(name):
    stages = {module for module, _ in commands_in((ROOT / "weights" / name / "README.md").read_text())}
    assert stages >= {"corpus", "codec", "export", "refit", "lm_codes", "lm"}
