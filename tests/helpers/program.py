"""The program, as tests start it."""

import os
import subprocess
import sys
import threading

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


def piped(*argv, data=b"", stdin=None, stdout=None):
    """The program in this process, standard input being a pipe with `data` or an open file: (code, what it wrote)."""
    saved, received = [os.dup(0), os.dup(1)], []
    reading, feeding = os.pipe()
    collecting, writing = os.pipe()
    threads = [threading.Thread(target=feed, args=(feeding, data)),
               threading.Thread(target=collect, args=(collecting, received))]
    try:
        os.dup2(reading if stdin is None else stdin.fileno(), 0)
        os.dup2(writing if stdout is None else stdout.fileno(), 1)
        for descriptor in (reading, writing):
            os.close(descriptor)
        for thread in threads:
            thread.start()
        try:
            code = run(*argv)
        except SystemExit as stop:  # argparse's way
            code = stop.code
    finally:
        for number, descriptor in enumerate(saved):
            os.dup2(descriptor, number)
            os.close(descriptor)
        for thread in threads:
            thread.join(60)
    return code, b"".join(received)


def feed(descriptor, data):
    try:
        with open(descriptor, "wb", buffering=0) as fo:
            for start in range(0, len(data), 1500):
                fo.write(data[start:start + 1500])
    except BrokenPipeError:
        pass


def collect(descriptor, into):
    with open(descriptor, "rb", buffering=0) as fo:
        while piece := fo.read(1 << 16):
            into.append(piece)
