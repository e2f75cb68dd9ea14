"""A pool of worker processes in which the death of one costs only the job that it was doing.

Each worker is a process at the other end of a pipe, and is given one job at a time. When it dies (killed for the
memory it took, or by a fault in a C library), a new worker tries that job once more, and the others do not notice. The
pools of the standard library give up all jobs instead (`concurrent.futures`), or hang (`multiprocessing.Pool`).
"""

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, TypeVar

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
    pool = _Pool(prepare, arguments, iter(jobs), n_processes, retry)
    try:
        while pool.start_workers():
            for worker in pool.with_news():
                yield from pool.hear(worker)
    finally:
        pool.end()


class _Pool:
    """The workers, and the jobs that wait for one."""

    def __init__(self, prepare: Callable[..., Callable], arguments: tuple[Any, ...], jobs: Iterator, n_processes: int,
                 retry: Callable) -> None:
        self._prepare, self._arguments, self._jobs, self._retry = prepare, arguments, jobs, retry
        self._n_processes = n_processes  # fewer once it turns out that there is no room for more
        self._again = deque[tuple[Any, int]]()  # a job, and how many workers it has cost
        self._workers: list[_Worker] = []
        self._stillborn = 0  # workers in a row that died before they were prepared

    def start_workers(self) -> bool:
        """As many as there is work and room for; False if none is left."""
        while len(self._workers) < self._n_processes and (given := self._next()) is not None:
            try:
                worker = _Worker(self._prepare, self._arguments)
            except OSError:
                if not self._workers:
                    raise
                self._n_processes = len(self._workers)
                self._again.appendleft(given)
            else:
                self._workers.append(worker)
                self._give(worker, *given)
        return bool(self._workers)

    def _next(self) -> tuple[Any, int] | None:
        for job in self._jobs:
            return job, 0
        return self._again.popleft() if self._again else None

    def _give(self, worker: "_Worker", job: Any, cost: int) -> None:
        worker.job, worker.cost = job, cost
        with suppress(OSError):  # it is dead, which `hear` will find
            worker.pipe.send(self._retry(job) if cost else job)

    def with_news(self) -> list["_Worker"]:
        """Those that have sent something, or died; there is at least one."""
        ready = wait([worker.pipe for worker in self._workers])
        return [worker for worker in self._workers if worker.pipe in ready]

    def hear(self, worker: "_Worker") -> Iterator[tuple[Any, Any]]:
        """Act on a worker's message, and yield the job that it ends, if it does."""
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            kind, value = "died", None
        if kind == "prepared":
            worker.prepared, self._stillborn = True, 0
        elif kind == "unprepared":
            raise value
        elif kind == "done":
            yield self._done(worker, value)
        else:
            yield from self._died(worker)

    def _done(self, worker: "_Worker", result: Any) -> tuple[Any, Any]:
        job = worker.job
        if (given := self._next()) is not None:
            self._give(worker, *given)
        else:
            self._workers.remove(worker)
            worker.pipe.close()  # by which it ends
        return job, result

    def _died(self, worker: "_Worker") -> Iterator[tuple[Any, Any]]:
        self._workers.remove(worker)
        death = worker.stop()
        if not worker.prepared:
            self._stillborn += 1
            if not self._workers and self._stillborn >= _TRIES:
                raise OSError(f"no worker process can be started: the last {death}")
            self._n_processes = max(1, len(self._workers))
            self._again.appendleft((worker.job, worker.cost))
        elif worker.cost + 1 < _TRIES:
            self._again.append((worker.job, worker.cost + 1))
        else:
            yield worker.job, WorkerDied(f"the process that worked on it {death}, and so did another one")

    def end(self) -> None:
        """All at once, whatever they are doing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.stop()


class _Worker:
    """A process, the pipe to it, and what it is doing."""

    job: Any
    cost: int  # how many workers the job has cost so far

    def __init__(self, prepare: Callable[..., Callable], arguments: tuple[Any, ...]) -> None:
        context = get_context("spawn")  # a fork copies the locks of other threads, but not who would release them
        self.pipe, theirs = context.Pipe()
        self.prepared = False
        self.process = context.Process(target=_work, args=(theirs, prepare, arguments), daemon=True)
        with theirs, _interrupts_held_back():  # it keeps its own end of the pipe, so that this one ends with it
            self.process.start()

    def stop(self) -> str:
        """See to it that it has ended; return how."""
        self.process.join(_PATIENCE)
        for action in (self.process.terminate, self.process.kill):
            if self.process.exitcode is None:
                action()
                self.process.join(_PATIENCE)
        self.pipe.close()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


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


def _work(pipe: Connection, prepare: Callable[..., Callable], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    code = 0
    try:
        with suppress(EOFError, OSError):  # the pipe ends: dismissed, or an orphan
            _serve(pipe, prepare, arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    os._exit(code)  # all is cleaned up but the interpreter, which would take half a second for itself


def _serve(pipe: Connection, prepare: Callable[..., Callable], arguments: tuple[Any, ...]) -> None:
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
