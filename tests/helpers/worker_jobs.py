"""What the workers of `test_workers` do; a module of its own, since they must be able to import it."""

import os
import signal
import sys
import time
from pathlib import Path


class Stubborn(Exception):
    """An error that does not come back from pickle."""

    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def prepare(folder, refuse=False):
    """A function that does as the job's first word says, and notes that it was called."""
    if refuse:
        raise ValueError("no model here")

    def do(job):
        Path(folder, f"{job.replace(' ', '-')}.{os.getpid()}").touch()
        word = job.split()[0]
        if word == "die" or job == "falter":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "exit":
            sys.exit(3)
        if word == "raise":
            raise FileNotFoundError(2, "No such file", "x.wav")
        if word == "stubborn":
            raise Stubborn(1, 2)
        if word == "unpicklable":
            return lambda: None
        if word == "sleep":
            path = Path(folder, f"temporary.{os.getpid()}")
            try:
                path.touch()
                time.sleep(60)
            finally:
                path.unlink()
        return job.upper()

    return do


def stillborn():
    os._exit(7)
