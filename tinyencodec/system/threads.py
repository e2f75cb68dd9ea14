"""Several threads on one signal: an assembly line of layers.

A recurrent, causal network cannot be cut in time, since each piece needs the state left by the one
before. But while one group of layers works on piece n, the group after it can work on piece n - 1.
Each layer is still run by one thread, over the pieces in order, so results cannot depend on the number
of threads. The kernels, which take nearly all the time, release the interpreter lock.

Chapter 8 of the tutorials uses it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_WAITING = 2  # pieces per thread that are on their way: enough to smooth, few enough to stay in cache


def split_evenly(costs: Sequence[float], n_groups: int) -> list[slice]:
    """Cut a row of costs into at most `n_groups` runs such that the costliest run is as cheap as possible."""
    def cuts(start: int, groups: int) -> tuple[float, list[int]]:
        """The cost of the costliest run from `start` on, and where the runs end."""
        if (start, groups) not in known:
            best = sum(costs[start:]), [len(costs)]
            for end in range(start + 1, len(costs)) if groups > 1 else ():
                costliest, ends = cuts(end, groups - 1)
                costliest = max(costliest, sum(costs[start:end]))
                if costliest < best[0]:
                    best = costliest, [end, *ends]
            known[start, groups] = best
        return known[start, groups]

    known: dict[tuple[int, int], tuple[float, list[int]]] = {}
    ends = cuts(0, max(1, n_groups))[1]
    return [slice(start, end) for start, end in zip([0, *ends], ends)]


def run_stages(pieces: Iterable, stages: Sequence[Callable]) -> Iterator:
    """Yield stage_n(... stage_1(piece)) for each piece, in order.

    The last stage and `pieces` run in the caller's thread, each other stage in a thread of its own. An
    error in any stage is raised here. The threads end with the generator, however it ends.
    """
    *others, last = stages
    pools = [ThreadPoolExecutor(1) for _ in others]
    line: deque = deque()  # what the last stage will be given, or the promise of it
    try:
        for piece in pieces:
            for pool, stage in zip(pools, others):
                piece = pool.submit(lambda stage, given: stage(_result(given)), stage, piece)
            line.append(piece)
            if len(line) > _WAITING * len(pools):
                yield last(_result(line.popleft()))
        while line:
            yield last(_result(line.popleft()))
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _result(piece: Any) -> Any:
    """A piece, once the stage before has made it; raises what that stage raised."""
    return piece.result() if isinstance(piece, Future) else piece
