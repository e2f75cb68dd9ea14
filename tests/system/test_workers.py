"""Worker processes: results, errors, deaths, and the end. Starting one takes half a second, so a test does much."""

import contextlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import worker_jobs
from tests.helpers.paths import ROOT
from tinyencodec.system import workers
from tinyencodec.system.workers import WorkerDied, run_jobs


@pytest.fixture
def jobs():
    return worker_jobs


def test_results_errors_and_deaths(jobs, tmp_path):
    """The one that dies twice is given up, the one that dies once is not, and the others do not notice."""
    words = ["a", "die", "raise", "b", "falter", "stubborn", "exit", "unpicklable", "c", "d"]
    taken = []
    results = dict(run_jobs(jobs.prepare, (str(tmp_path),), (taken.append(job) or job for job in words), 2,
                            lambda job: f"{job} again"))
    assert taken == words and sorted(results) == sorted(words)
    assert [results[job] for job in ("a", "b", "c", "d", "falter")] == ["A", "B", "C", "D", "FALTER AGAIN"]
    assert isinstance(results["raise"], FileNotFoundError) and results["raise"].filename == "x.wav"
    assert repr(results["stubborn"]) == "RuntimeError('Stubborn: 1 and 2')"
    assert "pickle" in str(results["unpicklable"])
    for job, death in (("die", "was ended by SIGKILL (out of memory?)"), ("exit", "ended with exit code 3")):
        assert isinstance(results[job], WorkerDied)
        assert str(results[job]) == f"the process that worked on it {death}, and so did another one"
    calls = [path.name.split(".")[0] for path in tmp_path.iterdir()]
    assert sorted(calls) == sorted([*words, "die-again", "exit-again", "falter-again"])


def test_no_more_workers_than_jobs_and_none_without(jobs, tmp_path, monkeypatch):
    worker, started = workers._Worker, []
    monkeypatch.setattr(workers, "_Worker", lambda *args: started.append(1) or worker(*args))
    assert list(run_jobs(jobs.prepare, (str(tmp_path),), [], 4)) == [] and not started
    assert list(run_jobs(jobs.prepare, (str(tmp_path),), ["a"], 4)) == [("a", "A")] and len(started) == 1


def test_workers_that_cannot_begin(jobs, tmp_path):
    with pytest.raises(ValueError, match="^no model here$"):
        list(run_jobs(jobs.prepare, (str(tmp_path), True), ["a", "b"], 1))
    with pytest.raises(OSError, match="^no worker process can be started: the last ended with exit code 7$"):
        list(run_jobs(jobs.stillborn, (), ["a"], 1))


def test_no_room_for_more_processes(jobs, tmp_path, monkeypatch):
    """As many as there is room for do the work."""
    worker, started = workers._Worker, []

    def start(*args):
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(1)
        return worker(*args)

    monkeypatch.setattr(workers, "_Worker", start)
    assert sorted(run_jobs(jobs.prepare, (str(tmp_path),), ["a", "b", "c"], 3)) == [("a", "A"), ("b", "B"), ("c", "C")]
    with pytest.raises(BlockingIOError):
        list(run_jobs(jobs.prepare, (str(tmp_path),), ["a"], 1))


def test_ended_early(jobs, tmp_path):
    """At once, and cleanly."""
    results = run_jobs(jobs.prepare, (str(tmp_path),), ["sleep 1", "a", "sleep 2", "b"], 2)
    with contextlib.closing(results):
        assert next(results) == ("a", "A")
        while len(list(tmp_path.glob("temporary.*"))) < 2:
            time.sleep(0.01)
        start = time.monotonic()
    assert time.monotonic() - start < 3
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["a", "sleep-1", "sleep-2"]
    assert multiprocessing.active_children() == []


def test_orphans_end_by_themselves(tmp_path):
    """Whatever ends the program: its workers finish what they are doing, and go."""
    script = ("import sys\nfrom tests.helpers.worker_jobs import prepare\n"
              "from tinyencodec.system.workers import run_jobs\n"
              "if __name__ == '__main__':\n"
              "    for _ in run_jobs(prepare, (sys.argv[1],), map('{}'.format, range(10**9)), 1): pass\n")
    Path(tmp_path, "script.py").write_text(script)
    program = subprocess.Popen([sys.executable, tmp_path / "script.py", tmp_path], stderr=subprocess.PIPE,
                               env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not (begun := list(tmp_path.glob("0.*"))):
        assert program.poll() is None
        time.sleep(0.01)
    program.kill()
    assert program.communicate(timeout=10)[1] == b""  # ends when the last one that holds the pipe does
    with pytest.raises(ProcessLookupError):
        for _ in range(500):
            os.kill(int(begun[0].suffix[1:]), 0)
            time.sleep(0.01)


def test_portable_errors():
    assert workers._portable(pickle.loads(pickle.dumps(EOFError("x")))).args == ("x",)
