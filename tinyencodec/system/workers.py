"""Jobs over several processes, none of which can take the others down.

Each worker is a process of its own at the other end of a pipe. It is given one job at a time, so that when it dies
(killed for the memory it took, or by a fault in a C library), that costs what it was doing, nothing else: the job is
tried once more by a new worker, and the others do not notice. The pools of the standard library give up everything
instead (`concurrent.futures`), or wait for ever (`multiprocessing.Pool`).
"""

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NoReturn, TypeVar

J = TypeVar("J")
R = TypeVar("R")

_TRIES = 2  # to do a job whose worker dies, and to start a worker
_PATIENCE = 5.0  # seconds that a worker has to clean up after being asked, and asked again; then it is killed


class WorkerDied(OSError):
    """In place of the result of a job, each of whose workers died."""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(prepare: Callable[..., Callable[[J], R]], arguments: tuple[Any, ...], jobs: Iterable[J],
             n_processes: int,
             retry: Callable[[J], J] = lambda job: job) -> Generator[tuple[J, R | Exception], None, None]:
    """Do jobs in up to `n_processes` worker processes, and yield each with its result as soon as it is done.

    Parameters
    ----------
    prepare, arguments : in each worker, `prepare(*arguments)` makes, once, the function that does its jobs. All of
        it, the jobs and the results too, goes through pickle. As always with `multiprocessing`, the work of a script
        that calls this stands under `if __name__ == "__main__":`.
    jobs : are taken from here when a worker is free
    retry : what is given to the second worker in place of a job of which the first one died; it may have done part of
        it, or all. Called here; the job that is yielded is still the first one

    A job that raises an `Exception` yields that in place of a result; one whose worker died, and died again,
    `WorkerDied`. To stop early, close the generator (`contextlib.closing`): that ends the workers at once, by a
    `SystemExit` that lets them remove temporary files. They ignore Ctrl-C, which a terminal sends to them too.

    Raises
    ------
    Exception : what `prepare` raises.
    OSError : no worker can be started, or lives until it is prepared.
    """
    source, again = iter(jobs), deque[tuple[J, int]]()  # a job, and how many workers it has cost
    workers: list[_Worker[J]] = []
    stillborn = 0  # workers in a row
    try:
        while True:
            while len(workers) < n_processes and (given := _next(source, again)) is not None:
                try:
                    workers.append(_Worker(prepare, arguments))
                except OSError:
                    if not workers:
                        raise
                    n_processes = len(workers)
                    again.appendleft(given)
                else:
                    workers[-1].give(*given, retry)
            if not workers:
                return
            for worker in _with_news(workers):
                try:
                    kind, value = worker.pipe.recv()
                except (EOFError, OSError):
                    kind, value = "dead", None
                if kind == "prepared":
                    worker.prepared, stillborn = True, 0
                elif kind == "unprepared":
                    raise value
                elif kind == "done":
                    job = worker.job
                    if (given := _next(source, again)) is not None:
                        worker.give(*given, retry)
                    else:
                        workers.remove(worker)
                        worker.dismiss()
                    yield job, value
                else:
                    workers.remove(worker)
                    death = worker.stop()
                    if not worker.prepared:
                        stillborn += 1
                        if not workers and stillborn >= _TRIES:
                            raise OSError(f"no worker process can be started: the last {death}")
                        n_processes = max(1, len(workers))  # there may be room for fewer
                        again.appendleft((worker.job, worker.cost))
                    elif worker.cost + 1 < _TRIES:
                        again.append((worker.job, worker.cost + 1))
                    else:
                        yield worker.job, WorkerDied(f"the process that worked on it {death}, and so did another one")
    finally:
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.stop()


def _next(source: Iterator[J], again: deque[tuple[J, int]]) -> tuple[J, int] | None:
    for job in source:
        return job, 0
    return again.popleft() if again else None


class _Worker(Generic[J]):
    """A process, the pipe to it, and what it is doing."""

    job: J
    cost: int  # how many workers the job has cost so far

    def __init__(self, prepare: Callable[..., Callable[[J], Any]], arguments: tuple[Any, ...]) -> None:
        context = get_context("spawn")  # a fork copies the locks of other threads, but not who would release them
        self.pipe, theirs = context.Pipe()
        self.prepared = False
        self._process = context.Process(target=_work, args=(theirs, prepare, arguments), daemon=True)
        with theirs, _interrupts_held_back():  # it keeps its own end of the pipe, so that this one ends with it
            self._process.start()

    def give(self, job: J, cost: int, retry: Callable[[J], J]) -> None:
        self.job, self.cost = job, cost
        with suppress(OSError):  # it is dead, which will come out
            self.pipe.send(retry(job) if cost else job)

    def dismiss(self) -> None:
        """Let it end: there is nothing left to do."""
        self.pipe.close()

    def end(self) -> None:
        """Ask it to end at once."""
        self._process.terminate()

    def stop(self) -> str:
        """See to it that it has ended; return how."""
        self._process.join(_PATIENCE)
        for action in (self._process.terminate, self._process.kill):
            if self._process.exitcode is None:
                action()
                self._process.join(_PATIENCE)
        self.pipe.close()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _with_news(workers: list[_Worker[J]]) -> list[_Worker[J]]:
    """Those that have sent something, or died; there is at least one."""
    ready = set(map(id, wait([worker.pipe for worker in workers])))
    return [worker for worker in workers if id(worker.pipe) in ready]


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Ctrl-C waits; and never reaches a process started meanwhile, which would comment on it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# ---- in the worker -----------------------------------------------------------------------------------


def _work(pipe: Connection, prepare: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    code = 0
    try:
        with suppress(EOFError, OSError):  # the pipe ends: dismissed, or an orphan
            _serve(pipe, prepare, arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    os._exit(code)  # all is cleaned up but the interpreter, which would take half a second for itself


def _serve(pipe: Connection, prepare: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]) -> None:
    try:
        function = prepare(*arguments)
    except Exception as error:
        pipe.send(("unprepared", _portable(error)))
        return
    pipe.send(("prepared", None))
    while True:
        job = pipe.recv()
        try:
            answer = pickle.dumps(("done", function(job)))
        except Exception as error:
            answer = pickle.dumps(("done", _portable(error)))
        pipe.send_bytes(answer)


def _portable(error: Exception) -> Exception:
    """The same error, or one with its words if it does not go through pickle."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # an exception, so that temporary files are removed
