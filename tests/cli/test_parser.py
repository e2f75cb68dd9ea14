"""What a command line means: `--` ends its options, in each command."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.program import run

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("argv, made", [
    (["-m", "mono", "--", "-in.wav", "out.ecdc"], "out.ecdc"),
    (["-m", "mono", "--", "-in.wav", "-out.ecdc"], "-out.ecdc"),
    (["-m", "mono", "in.wav", "--", "-b"], None),  # no suffix, so no output's name
    (["-m", "mono", "--", "-in.wav"], "-in.ecdc"),
    (["-m", "mono", "--", "--protect.wav"], "--protect.ecdc"),
    (["codes", "-m", "mono", "--", "-in.wav", "-c.npz"], "-c.npz"),
    (["batch", "-m", "mono", "-o", "out", "--", "-in.wav", "in.wav"], "out/-in.ecdc"),
])
def test_nothing_behind_two_dashes_is_an_option(argv, made, capsys):
    for name in ("-in.wav", "--protect.wav"):
        shutil.copy("in.wav", name)
    assert run(*argv) == (2 if made is None else 0)
    if made is None:
        assert capsys.readouterr().err == ("tinyencodec: -b: expected an output name ending in .ecdc, .wav, .flac, "
                                           ".ogg, got no suffix\n")
    else:
        assert Path(made).is_file()


def test_the_reading_commands(capsys):
    shutil.copy("in.wav", "-in.wav")
    assert run("-m", "mono", "--", "-in.wav") == 0
    assert run("info", "--", "-in.ecdc") == 0
    assert "model      mono, 8000 Hz" in capsys.readouterr().out
    assert run("--", "-in.ecdc") == 0
    assert Path("-in_decompressed.wav").is_file()
