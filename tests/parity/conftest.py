"""What was measured, printed after the tests: passing says that it is small enough, this says how small."""

from .report import LINES


def pytest_terminal_summary(terminalreporter):
    if LINES:
        terminalreporter.section("measured against the oracles")
        for line in LINES:
            terminalreporter.line(line)
