"""What was measured, printed after the tests: passing says that it is small enough, this says how small."""

import os

# The oracles' arrays are small: on some machines a second thread makes them a hundred times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from .report import LINES  # noqa: E402


def pytest_terminal_summary(terminalreporter):
    if LINES:
        terminalreporter.section("measured against the oracles")
        for line in LINES:
            terminalreporter.line(line)
