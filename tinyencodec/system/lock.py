"""One process at a time, by a lock of the operating system: it ends with its process, however that ends."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # on some network file systems


@contextmanager
def exclusive(path: str | os.PathLike, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Let the block run while no other process has the lock on `path`, an empty file that stays.

    waiting : called once if another process has it now

    Where the file system knows no locks, the block runs without. Raises `OSError` if the file cannot be made.
    """
    with open(path, "ab") as fo:  # closing it gives the lock back
        if not _try(fo.fileno()):
            waiting()
            while not _try(fo.fileno()):
                time.sleep(0.1)
        yield


def _try(fd: int) -> bool:
    """Take the lock if it is free; whether it is ours now."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(fd, 0, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _UNSUPPORTED
    return True
