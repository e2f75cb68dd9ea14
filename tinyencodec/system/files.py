"""Atomic writes of files and folders, which appear whole or not at all, even when interrupted; hashes; exact reads."""

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tinyencodec.system.signals import deferred

_READ = 1 << 20  # bytes asked from a file at once: a wrong count must not become one huge buffer
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def atomic_write(path: str | os.PathLike, force: bool = False) -> Iterator[BinaryIO]:
    """Open `path` for writing, as an atomic write: nobody ever sees half a file.

    The bytes go to a hidden temporary file in the same folder, which is renamed to `path` when the
    block ends. If the block raises anything (an interruption included), the temporary file is removed
    and `path` is as before. Permissions are those of a plain `open`, or of the file replaced; a
    symbolic link stays one and its target is replaced. A device such as /dev/null, or a named pipe,
    is written directly.

    Raises `OSError` as `check_output`, at the start and again before an existing file would be lost.
    """
    path = Path(path)
    check_output(path, force)
    if is_special(path):
        number = _file_number(path)
        with named(str(path)), open(path if number is None else os.dup(number), "wb") as fo:
            yield fo
        return
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with named(str(path)), open(temporary, "xb") as fo:
            yield fo
            fo.flush()
            os.fsync(fo.fileno())
        check_output(path, force)  # somebody may have made it meanwhile
        if target.exists():
            os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    except BaseException:  # KeyboardInterrupt too
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(dest: Path, replace: bool = False) -> Iterator[Path]:
    """Make the folder `dest`, such that nobody ever sees half of it: the block fills the empty folder that it gets.

    That one has the same name, inside a hidden folder beside `dest`, and is moved when the block ends. If the block
    raises anything (an interruption included), it is removed and `dest` is as before.

    replace : remove what is at `dest` now; else that may be an empty folder at most

    Raises `OSError` if the folder cannot be written.
    """
    scratch = dest.with_name(f".{dest.name[:40]}.{secrets.token_hex(8)}.part")
    new, old = scratch / dest.name, scratch / f"{dest.name[:40]}.old"
    try:
        new.mkdir(parents=True)
        yield new
        for path in new.rglob("*"):
            if path.is_file():
                with path.open("rb+") as fo:
                    os.fsync(fo.fileno())
        if replace and os.path.lexists(dest):
            dest.rename(old)
        elif dest.exists():
            dest.rmdir()
        new.rename(dest)
    except OSError as error:
        if str(error.filename).startswith(str(scratch)):  # which nobody has heard of
            error.filename = str(dest)
        raise
    finally:
        with deferred():
            if os.path.lexists(old) and not os.path.lexists(dest):
                old.rename(dest)
            shutil.rmtree(scratch, ignore_errors=True)


def is_in_use(path: Path) -> bool:
    """Whether there is anything at `path` but an empty folder."""
    return path.is_symlink() or path.exists() and (not path.is_dir() or any(path.iterdir()))


def check_output(path: str | os.PathLike, force: bool = False) -> None:
    """Raise the `OSError` that says why `path` cannot be written; worth a call before long work.

    `FileExistsError` unless `force`, `FileNotFoundError` for a missing folder, `IsADirectoryError`,
    `PermissionError`.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a file to write to, got a folder", str(path))
    if is_special(path):
        return
    if path.exists() and not force:
        raise FileExistsError(errno.EEXIST, "file exists", str(path))
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "output folder does not exist", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "output folder is not writable", str(folder))


@contextmanager
def named(output: str) -> Iterator[None]:
    """Add the name of the output to errors about a full disk, which come without one."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and error.filename is None:
            raise OSError(error.errno, error.strerror, output) from None
        raise


def is_special(path: str | os.PathLike) -> bool:
    """Whether `path` is written to directly: a device, a pipe, a socket, or a name of a file that is open already."""
    path = Path(path)
    return path.exists() and not path.is_file() and not path.is_dir() or _file_number(path) is not None


def _file_number(path: Path) -> int | None:
    """N of /dev/fd/N, and of names that lead there, such as /dev/stdout; None for all other paths."""
    place = os.path.abspath(path)
    for _ in range(40):  # as many links as systems follow
        folder, name = os.path.split(place)
        if name.isdecimal() and os.path.realpath(folder) in ("/dev/fd", os.path.realpath("/proc/self/fd")):
            return int(name)
        if not os.path.islink(place):
            break
        place = os.path.join(folder, os.readlink(place))
    return None


def is_rewritable(fo: BinaryIO) -> bool:
    """Whether bytes already written to `fo` can be replaced: it can seek, and is not open for appending."""
    if not fo.seekable():
        return False
    try:
        import fcntl

        return not fcntl.fcntl(fo.fileno(), fcntl.F_GETFL) & os.O_APPEND
    except (ImportError, AttributeError, OSError):  # no such flags on this system; no system file behind `fo`
        return True


def sha256_of(*paths: str | os.PathLike) -> str:
    """The SHA-256 of a file, or of several one after another: 64 hex digits. Raises `OSError`."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as fo:
            while block := fo.read(_READ):
                digest.update(block)
    return digest.hexdigest()


def read_exactly(fo: BinaryIO, size: int, what: str) -> bytes:
    """Read `size` bytes from `fo`, again after each short read (pipes and sockets have those).

    Raises `EOFError`, naming `what` was being read, when the file ends before.
    """
    data = bytearray()
    while len(data) < size:
        piece = fo.read(min(size - len(data), _READ))
        if not piece:
            raise EOFError(f"file ends early: expected {size} bytes of {what}, got {len(data)}")
        data += piece
    return bytes(data)
