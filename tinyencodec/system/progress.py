"""A progress bar on stderr, by `tqdm` (the extra `cli`); without it there is none.

Nothing is shown when stderr is no terminal or when the work takes less than a second, and no trace of it stays.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Progress = Callable[[int, int | None], None]  # called with what is done, and all there is to do, if that is known

_DELAY = 1.0  # seconds before anything is shown


@contextmanager
def progress(label: str, unit: Literal["samples", "bytes"] = "samples") \
        -> Iterator[Progress | None]:
    """Give the block a function to call with (done, total), or None if there is no bar.

    A total of None is unknown: what is done is shown instead, in samples, or in megabytes of bytes.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is None or sys.stderr is None or not sys.stderr.isatty():  # None: closed before the program began
        yield None
        return
    with tqdm(desc=label, delay=_DELAY, leave=False, file=sys.stderr, unit="B", unit_scale=unit == "bytes") as bar:

        def update(done: int, total: int | None) -> None:
            if unit == "samples":
                bar.bar_format = "{l_bar}{bar}| {elapsed}<{remaining}" if total else \
                    "{desc}: {n_fmt} samples, {elapsed}"
            elif not bar.n:
                bar.initial = bar.n = bar.last_print_n = done  # a download resumed: this is not part of the speed
            bar.total = total
            bar.update(done - bar.n)

        yield update
