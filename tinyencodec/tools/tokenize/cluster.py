"""The parts of the work on a cluster, through Dask (`pip install 'tinyencodec[scale]'`).

Each machine that works must see the inputs and the dataset's folder under the same names, as on any shared file
system, and have the same tinyencodec and the same model. Workers read sounds and write parts themselves; through the
scheduler go only numbers. A worker that dies costs the part that it was at, which another one does anew.
"""

import asyncio
import sys
from collections.abc import Generator
from typing import Any

from tinyencodec.tools.tokenize.part import encode_part
from tinyencodec.tools.tokenize.plan import Job

_RETRIES = 2  # of a part that ended with an error, for instance of a file system that did not answer
_ROUNDS = 2  # in each of them Dask lets several workers die of a part: enough for `crashes` to find the file
_TIMEOUT = "30s"  # to reach the scheduler


class Cluster:
    """Does jobs on the workers of a Dask scheduler.

    Parameters
    ----------
    address : of the scheduler, such as "tcp://10.0.0.1:8786"

    Raises `ValueError` if there is no Dask here, or no scheduler there.
    """

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ValueError("--scheduler: expected dask and distributed, got neither "
                             "(pip install 'tinyencodec[scale]')") from None
        try:
            asyncio.run(_reach(address))  # since a client that fails has threads, which later comment on it
            self._client: Any = Client(address, timeout=_TIMEOUT, set_as_default=False)
        except (OSError, ValueError, TypeError, ImportError) as error:  # the last for tls:// without cryptography
            raise ValueError(f"--scheduler: expected the address of a Dask scheduler that answers, got {address}: "
                             f"{error}") from None

    def __call__(self, jobs: list[Job]) -> Generator[Job, None, None]:
        """Do the jobs, in any order; yield each that is done. An error ends it; the death of workers does not.

        Raises what `part.encode_part` does, and `ValueError` if workers kept dying.
        """
        if not self._client.nthreads():
            print(f"waiting for workers of {self._client.scheduler.address}", file=sys.stderr)
        for _ in range(_ROUNDS):
            jobs = yield from self._round(jobs)
            if not jobs:
                return
        raise ValueError(f"{len(jobs)} parts of the work ended with the death of each worker that tried; "
                         "all the rest is done: run it again")

    def _round(self, jobs: list[Job]) -> Generator[Job, None, list[Job]]:
        """Do the jobs; return those that so many workers died of that Dask has given them up."""
        from distributed import KilledWorker, as_completed

        died = []
        # Not pure: asked for again after an interruption, it must not be taken for done.
        running = dict(zip(self._client.map(encode_part, jobs, retries=_RETRIES, pure=False), jobs))
        for future in as_completed(list(running), loop=self._client.loop):
            job = running.pop(future)
            if future.status == "finished":  # its result is not asked for: the worker that has it may die just now
                yield job
            elif future.status == "error":
                try:
                    future.result()
                except KilledWorker:
                    died.append(job)
            else:
                raise ValueError("--scheduler: expected it to stay, but it has gone, or dropped the work; "
                                 "run it again to go on")
        return died

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # the scheduler forgets what is not done


async def _reach(address: str) -> None:
    """Connect to the scheduler, and leave it at once."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=_TIMEOUT, **Security().get_connection_args("client"))
    await comm.close()
