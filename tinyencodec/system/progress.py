"""How far long work has come, on stderr, for somebody who watches.

A bar by `tqdm` where that is installed (the extra `cli`), else a plain percentage or count. Nothing is shown
when stderr is no terminal or when the work takes less than a second.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

_DELAY = 1.0  # seconds before anything is shown


@contextmanager
def progress(label: str, unit: Literal["samples", "bytes"] = "samples") \
        -> Iterator[Callable[[int, int | None], None] | None]:
    """Give the block a function to call with (done, total), or None if nobody watches.

    A total of None is one that nobody knows: what is done is shown instead, in samples, or in megabytes of bytes.
    """
    if sys.stderr is None or not sys.stderr.isatty():  # None: closed before the program began
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        meter: _Percentage | _Bar = _Percentage(label, unit)
    else:
        meter = _Bar(tqdm(desc=label, delay=_DELAY, leave=False, file=sys.stderr, unit="B" if unit == "bytes" else "it",
                          unit_scale=unit == "bytes"), unit)
    try:
        yield meter.update
    finally:
        meter.close()


class _Percentage:
    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit, self._start, self._shown = label, unit, time.monotonic(), ""

    def update(self, done: int, total: int | None) -> None:
        amount = f"{done / 1e6:.1f} MB" if self._unit == "bytes" else f"{done} samples"
        text = f"{self._label} " + (amount if total is None else f"{100 * done // max(total, 1):3d} %")
        if text != self._shown and time.monotonic() - self._start >= _DELAY:
            print(f"\r{text}", end="", file=sys.stderr, flush=True)
            self._shown = text

    def close(self) -> None:
        if self._shown:
            print(f"\r{' ' * len(self._shown)}\r", end="", file=sys.stderr, flush=True)


class _Bar:
    def __init__(self, bar: Any, unit: str) -> None:
        self._bar, self._bytes = bar, unit == "bytes"

    def update(self, done: int, total: int | None) -> None:
        if self._bytes and not self._bar.n:
            self._bar.initial = self._bar.n = self._bar.last_print_n = done  # resumed: this is not part of the speed
        amounts = "{n_fmt}B of {total_fmt}B, {rate_fmt}, " if self._bytes else ""
        counts = "{n_fmt}B" if self._bytes else "{n_fmt} samples"
        self._bar.total = total
        self._bar.bar_format = f"{{l_bar}}{{bar}}| {amounts}{{elapsed}}<{{remaining}}" if total else \
            f"{{desc}}: {counts}, {{elapsed}}"
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
