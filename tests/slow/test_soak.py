"""Twelve minutes of sound through the two pipes of `tests/slow/soak.py`, which takes a day's with other arguments."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_soak():
    done = subprocess.run([sys.executable, SOAK, "--hours", "0.2", "--model", "small", "--sample", "3"],
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "samples in 17280000, out 17280000" in done.stdout
