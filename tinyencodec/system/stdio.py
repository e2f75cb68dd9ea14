"""Standard input and output as unbuffered bytes, and standard error without the remarks of C libraries."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from tinyencodec.system.files import atomic_write, named

_standard_error = 2  # its descriptor


@contextmanager
def standard_input() -> Iterator[BinaryIO]:
    """Standard input without a buffer, which would read ahead and so wait for more bytes than are needed."""
    try:
        fo = open(0, "rb", buffering=0, closefd=False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard input") from None
    with fo:
        yield fo


def peek(fo: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """The next `size` bytes (fewer at the end), and a file that begins with them."""
    start = b""
    while len(start) < size and (piece := fo.read(size - len(start))):
        start += piece
    if not fo.seekable():
        return start, cast(BinaryIO, _Unread(start, fo))
    fo.seek(-len(start), os.SEEK_CUR)
    return start, fo


@contextmanager
def output(dest: Path | None, force: bool) -> Iterator[BinaryIO]:
    """`dest`, by an atomic write; or standard output if it is None."""
    if dest is not None:
        with atomic_write(dest, force) as fo:
            yield fo
    else:
        with named("standard output"), open(1, "wb", closefd=False) as fo:
            yield fo


class _Unread:
    """A pipe, and before it the bytes `start` that were read from it."""

    def __init__(self, start: bytes, fo: BinaryIO) -> None:
        self._start, self._fo = start, fo
        self.name = getattr(fo, "name", None)

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some."""
        piece, self._start = self._start[:size], self._start[size:]
        return piece or self._fo.read(size)

    def seekable(self) -> bool:
        return False


def quietly(blocks: Iterable) -> Iterator:
    """The same blocks, each made within `quiet_libraries`."""
    blocks = iter(blocks)
    while True:
        with quiet_libraries():
            block = next(blocks, None)
        if block is None:
            return
        yield block


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Discard what C libraries print on standard error: libmpg123 comments on every flaw of an MP3 file."""
    global _standard_error
    before = _standard_error
    try:
        terminal = _standard_error = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        _standard_error = before
        os.dup2(terminal, 2)
        os.close(terminal)


def say(line: str) -> None:
    """Print a line on standard error, also within `quiet_libraries`; not if it is closed."""
    with suppress(OSError):
        os.write(_standard_error, f"{line}\n".encode(errors="backslashreplace"))
