"""The parts of the work on this machine, in processes of one thread each."""

from collections.abc import Callable, Generator
from contextlib import closing

from tinyencodec.system.workers import WorkerDied, run_jobs
from tinyencodec.tools.tokenize.part import encode_part
from tinyencodec.tools.tokenize.plan import Job

_ROUNDS = 3  # in each of them two workers may die of a part: enough for `crashes` to find the file


def run_locally(n_processes: int, jobs: list[Job]) -> Generator[Job, None, None]:
    """Do the jobs in up to so many processes, with one in this process; yield each that is done.

    An error ends it; the death of a process does not.
    """
    if n_processes == 1:
        for job in jobs:
            encode_part(job)
            yield job
        return
    for _ in range(_ROUNDS):
        died = []
        with closing(run_jobs(_prepare, (), jobs, n_processes)) as results:
            for job, result in results:
                if isinstance(result, WorkerDied):
                    died.append(job)
                elif isinstance(result, Exception):
                    raise result
                else:
                    yield job
        if not died:
            return
        jobs = died
    raise ValueError(f"{len(jobs)} parts of the work ended with the death of {2 * _ROUNDS} processes each; "
                     "all the rest is done: run it again")


def _prepare() -> Callable[[Job], None]:
    return encode_part
