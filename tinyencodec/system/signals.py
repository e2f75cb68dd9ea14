"""Ctrl-C, SIGTERM and SIGHUP deferred to a moment when an exception can be raised.

Python answers a signal by an exception, raised wherever the program is. A C library that calls back into Python cannot
pass it on: the exception is printed and dropped, and the library goes on as if its write had happened.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def deferred() -> Iterator[None]:
    """Defer these signals until the end of the block. (Only the main thread ever gets them.)"""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *arrived: waiting.append(arrived)) for number in _SIGNALS
              if signal.getsignal(number) is not None}  # None: set by a program around Python
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for arrived, frame in waiting:
            answer = before[signal.Signals(arrived)]
            if callable(answer):
                answer(arrived, frame)
            elif answer != signal.SIG_IGN:
                os.kill(os.getpid(), arrived)
