"""One process at a time, by a lock of the operating system: it ends with its process, however that ends."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # on some network file systems


@contextmanager
def exclusive(path: str | os.PathLike, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Let the block run while no other process has the lock on `path`, an empty file that stays.

    waiting : called once if another process has it now

    Where the file system knows no locks, the block runs without. Raises `OSError` if the file cannot be made.
    """
    fd = os.open(Path(path), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _try(fd):
            if waiting is not None:
                waiting()
            while not _try(fd):
                time.sleep(0.1)
        yield
    finally:
        os.close(fd)  # gives the lock back


def _try(fd: int) -> bool:
    """Take the lock if it is free; whether it is ours now."""
    try:
        _lock(fd)
    except OSError as error:
        return error.errno in _UNSUPPORTED
    return True


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
