"""Progress: nothing without a terminal, nothing for short work, and no trace at the end."""

import io
import sys
import time
from types import SimpleNamespace

import pytest

from tinyencodec.system import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    stderr = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stderr))  # pytest itself replaces sys.stderr
    return stderr


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # makes its import fail


@pytest.mark.parametrize("stderr", [io.StringIO(), None])
def test_nobody_watches(monkeypatch, stderr):
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stderr))
    with progress.progress("work") as report:
        assert report is None


def test_plain_percentage(terminal, no_tqdm, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("work") as report:
        for done in (0, 1, 2, 250, 251, 1000):
            report(done, 1000)
    assert terminal.getvalue() == "\rwork   0 %\rwork  25 %\rwork 100 %\r" + " " * 10 + "\r"


def test_plain_count(terminal, no_tqdm, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("work") as report:
        for done in (1, 24_000):
            report(done, None)
    assert terminal.getvalue() == "\rwork 1 samples\rwork 24000 samples\r" + " " * 18 + "\r"


def test_short_work_shows_nothing(terminal, no_tqdm):
    with progress.progress("work") as report:
        report(1, 2)
        report(2, 2)
    assert terminal.getvalue() == ""


def test_line_is_cleared_when_work_fails(terminal, no_tqdm, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY", 0)
    with pytest.raises(KeyboardInterrupt), progress.progress("work") as report:
        report(0, 0)
        raise KeyboardInterrupt
    assert terminal.getvalue().endswith(" \r")


def test_bar(terminal, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("work") as report:
        for done in (50, 100):
            time.sleep(0.15)  # tqdm draws ten times per second at most
            report(done, 100)
    assert "work" in terminal.getvalue() and "100%" in terminal.getvalue()


def test_count(terminal, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("work") as report:
        for done in (50, 100):
            time.sleep(0.15)
            report(done, None)
    assert "work: 100 samples" in terminal.getvalue() and "%" not in terminal.getvalue()


def test_bytes_in_plain_text(terminal, no_tqdm, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("x.th", "bytes") as report:
        report(1_234_567, None)
        report(500, 1000)
    assert terminal.getvalue().startswith("\rx.th 1.2 MB\rx.th  50 %\r")


@pytest.mark.parametrize("total, text", [(100_000_000, "50.0MB of 100MB"), (None, "x.th: 50.0MB, 00:00")])
def test_bytes_in_a_bar(terminal, monkeypatch, total, text):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_DELAY", 0)
    with progress.progress("x.th", "bytes") as report:
        for done in (40_000_000, 50_000_000):  # goes on at 40 MB
            time.sleep(0.15)
            report(done, total)
    assert text in terminal.getvalue()
