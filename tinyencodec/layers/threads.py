"""Several threads on one signal: an assembly line of layers.

A recurrent, causal network cannot be cut in time, since each piece needs the state left by the one
before. But while one group of layers works on piece n, the group after it can work on piece n - 1.
Each layer is still run by one thread, over the pieces in order, so results cannot depend on the number
of threads. The kernels, where nearly all time goes, release the interpreter lock.

Chapter 8 of the tutorials uses it.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

_WAITING = 2  # pieces between two stages: enough to smooth, few enough to stay in cache


def split_evenly(costs: Sequence[float], n_groups: int) -> list[slice]:
    """Cut a row of costs into at most `n_groups` runs such that the dearest run is as cheap as possible."""
    def cuts(start: int, groups: int) -> tuple[float, list[int]]:
        """The dearest run from `start` on, and where the runs end."""
        if (start, groups) not in known:
            best = sum(costs[start:]), [len(costs)]
            for end in range(start + 1, len(costs)) if groups > 1 else ():
                dearest, ends = cuts(end, groups - 1)
                dearest = max(dearest, sum(costs[start:end]))
                if dearest < best[0]:
                    best = dearest, [end, *ends]
            known[start, groups] = best
        return known[start, groups]

    known: dict[tuple[int, int], tuple[float, list[int]]] = {}
    ends = cuts(0, max(1, n_groups))[1]
    return [slice(start, end) for start, end in zip([0, *ends], ends)]


def run_stages(pieces: Iterable, stages: Sequence[Callable]) -> Iterator:
    """Yield stage_n(... stage_1(piece)) for each piece, in order.

    The last stage and `pieces` run in the caller's thread, each other stage in a thread of its own. An
    error in any stage is raised here, and the threads end.
    """
    results: Iterator = iter(pieces)
    workers = [_Worker(stage) for stage in stages[:-1]]
    if not workers:
        yield from map(stages[-1], results)
        return
    for before, after in zip(workers, workers[1:]):
        before.outbox = after.inbox
    try:
        for worker in workers:
            worker.start()
        yield from map(stages[-1], _through(results, workers))
    finally:
        for worker in workers:
            worker.stopped = True
            worker.inbox.put((_END, None))
        for worker in workers:
            worker.join()


def _through(pieces: Iterator, workers: list["_Worker"]) -> Iterator:
    """Feed the first worker, keeping the line full, and yield what the last one makes."""
    first, made, in_line = workers[0].inbox, workers[-1].outbox, 0
    ended = False
    while True:
        while not ended and in_line < _WAITING * len(workers):
            piece = next(pieces, _END)
            first.put((piece, None))
            in_line, ended = in_line + 1, piece is _END
        result, error = made.get()
        in_line -= 1
        if error is not None:
            raise error
        if result is _END:
            return
        yield result


_END = object()  # takes the place of a piece behind the last


class _Worker(threading.Thread):
    """Applies `stage` to what comes in; an error or the end goes straight through."""

    def __init__(self, stage: Callable) -> None:
        super().__init__(daemon=True)
        self.stage = stage
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()  # pairs (piece, error), one of them None
        self.outbox: queue.SimpleQueue = queue.SimpleQueue()
        self.stopped = False

    def run(self) -> None:
        piece, error = None, None
        while error is None and piece is not _END:
            piece, error = self.inbox.get()
            if error is None and piece is not _END and not self.stopped:
                try:
                    piece = self.stage(piece)
                except BaseException as raised:  # to be raised in the caller's thread
                    error = raised
            self.outbox.put((piece, error))
