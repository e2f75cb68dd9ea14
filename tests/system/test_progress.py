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

    @property
    def shown(self):
        """What is seen at the end: of each line what came after the last return to its start."""
        return self.getvalue().split("\r")[-1].strip()


@pytest.fixture
def terminal(monkeypatch):
    stderr = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stderr))  # pytest itself replaces sys.stderr
    return stderr


@pytest.fixture
def at_once(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(progress, "_DELAY", 0)


@pytest.mark.parametrize("stderr", [io.StringIO(), None])
def test_nobody_watches(monkeypatch, stderr):
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stderr))
    with progress.progress("work") as report:
        assert report is None


def test_without_tqdm(terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # makes its import fail
    with progress.progress("work") as report:
        assert report is None
    assert terminal.getvalue() == ""


def test_short_work_shows_nothing(terminal):
    pytest.importorskip("tqdm")
    with progress.progress("work") as report:
        for done in (50, 100):
            time.sleep(0.15)  # tqdm draws ten times per second at most
            report(done, 100)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("total, text", [(100, "100%"), (None, "work: 100 samples")])
def test_samples(terminal, at_once, total, text):
    with progress.progress("work") as report:
        for done in (50, 100):
            time.sleep(0.15)
            report(done, total)
        assert "work" in terminal.shown and text in terminal.shown
        assert ("%" in terminal.shown) == (total is not None)
    assert terminal.shown == ""


@pytest.mark.parametrize("total, text", [(100_000_000, "50.0M/100M"), (None, "x.th: 50.0MB")])
def test_bytes_of_a_download_that_goes_on_at_40_mb(terminal, at_once, total, text):
    with progress.progress("x.th", "bytes") as report:
        for done in (40_000_000, 50_000_000):
            time.sleep(0.15)
            report(done, total)
        assert text in terminal.shown
        speed = float(terminal.shown.split(", ")[-1].split("MB/s")[0])
        assert speed < 100  # 10 MB in more than 0.1 s
    assert terminal.shown == ""


def test_no_trace_when_work_fails(terminal, at_once):
    with pytest.raises(KeyboardInterrupt), progress.progress("work") as report:
        time.sleep(0.15)
        report(0, 0)
        assert terminal.shown
        raise KeyboardInterrupt
    assert terminal.shown == ""
