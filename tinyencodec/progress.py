"""How far long work has come, on stderr, for somebody who watches.

A bar by `tqdm` where that is installed (the extra `cli`), else a plain percentage or count. Nothing is shown
when stderr is no terminal or when the work takes less than a second.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_DELAY = 1.0  # seconds before anything is shown


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Give the block a function to call with (done, total), or None if nobody watches.

    A total of None is one that nobody knows: the samples done are shown instead.
    """
    if sys.stderr is None or not sys.stderr.isatty():  # None: closed before the program began
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        meter = _Percentage(label)
    else:
        meter = _Bar(tqdm(desc=label, delay=_DELAY, leave=False, file=sys.stderr))
    try:
        yield meter.update
    finally:
        meter.close()


class _Percentage:
    def __init__(self, label: str) -> None:
        self._label, self._start, self._shown = label, time.monotonic(), ""

    def update(self, done: int, total: int | None) -> None:
        text = f"{self._label} " + (f"{done} samples" if total is None else f"{100 * done // max(total, 1):3d} %")
        if text != self._shown and time.monotonic() - self._start >= _DELAY:
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
            self._shown = text

    def close(self) -> None:
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bar) -> None:
        self._bar = bar

    def update(self, done: int, total: int | None) -> None:
        self._bar.total = total
        self._bar.bar_format = "{l_bar}{bar}| {elapsed}<{remaining}" if total else "{desc}: {n_fmt} samples, {elapsed}"
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
