"""A file of sound to `.ecdc`: what is remarked."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.helpers.models import RATE
from tests.helpers.program import run
from tinyencodec.models.store import load_model
from tinyencodec.tools.transcode import compress_file

pytestmark = pytest.mark.usefixtures("here")


def stereo(*balances, seconds=1.0):
    """A second each of noise to the left, and the same times these to the right; written as `x.wav`."""
    left = 0.2 * np.random.default_rng(0).standard_normal(int(seconds * RATE))
    soundfile.write("x.wav", np.concatenate([np.stack([left, balance * left], axis=1) for balance in balances]), RATE)


def test_channels_that_cancel_out_are_remarked(capsys):
    stereo(1, 0.5, -1, -0.95)
    assert run("-m", "stereo", "x.wav") == 0
    assert capsys.readouterr().err == ("tinyencodec: warning: x.wav: left and right cancel out for 2.0 s, from 2.0 s "
                                       "on, and all but vanish: the model takes the loudness from their mean\n")
    assert run("batch", "-m", "stereo", "x.wav", "-o", "out") == 0
    assert "warning: x.wav: left and right cancel out for 2.0 s" in capsys.readouterr().err


@pytest.mark.parametrize("balances", [(1,), (0.5,), (0,), (-0.5,)])
def test_other_channels_are_not(balances):
    stereo(*balances)
    assert compress_file("x.wav", Path("x.ecdc"), load_model("stereo")).remarks == []


def test_nor_is_silence_nor_a_model_without_scales():
    stereo(-1)
    assert compress_file("x.wav", Path("mono.ecdc"), load_model("mono")).remarks == []
    soundfile.write("x.wav", np.zeros((RATE, 2)), RATE)
    assert compress_file("x.wav", Path("silent.ecdc"), load_model("stereo")).remarks == []
