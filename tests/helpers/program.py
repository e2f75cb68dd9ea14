"""The program, as tests start it."""

import os
import subprocess
import sys

from tests.helpers.paths import ROOT
from tinyencodec.cli import main as cli

ENVIRONMENT = {"PYTHONPATH": str(ROOT)}  # for a program in a process of its own


def run(*argv):
    """The program in this process: its exit code."""
    return cli.main([str(arg) for arg in argv])


def shell(*argv, **options):
    """The program in a process of its own, away from this one's terminal and folder."""
    return subprocess.run([sys.executable, "-m", "tinyencodec", *map(str, argv)],
                          env={**os.environ, **ENVIRONMENT, **options}, capture_output=True, text=True, timeout=120)
