"""How every hot loop of the codec is compiled.

A hot loop exists twice: a Numba *kernel* that runs, and a naive NumPy *twin* of a few obvious
lines that says what it computes. `kernel` ties the two together. Tests compare them, and with
`NUMBA_DISABLE_JIT=1` the twin runs in the kernel's place, so the whole codec also works as plain
NumPy.

Kernels are compiled once per machine and cached on disk: beside the module, or in the user's cache
folder when the installation is read-only, or in memory only when neither can be written or the disk is
full. Each file of the cache ends with a checksum. One that is damaged, of whatever kind the damage is,
is compiled anew and replaced.

Chapter 2 of the tutorials walks through it.
"""

import pickle
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numba
from numba.core import caching

JIT = not numba.config.DISABLE_JIT
F = TypeVar("F", bound=Callable)


def kernel(signature: str | list[str], twin: F) -> Callable[[Callable], F]:
    """Compile the decorated loop for `signature`, or put `twin` in its place when the JIT is off.

    The compiled function releases the interpreter lock and never reorders floating-point
    operations (no fast-math). Its twin stays reachable as `.twin`.
    """

    def decorate(loop: Callable) -> F:
        if not JIT:
            return twin
        signatures = [signature] if isinstance(signature, str) else signature
        compiled = _through_cache(loop, signatures)
        if compiled is None:
            compiled = _compile(_dispatcher(loop), signatures)
        compiled.twin = twin
        return compiled

    return decorate


def _dispatcher(loop: Callable) -> Any:
    return numba.njit(nogil=True, error_model="numpy")(loop)


def _compile(dispatcher: Any, signatures: list[str]) -> Any:
    for each in signatures:
        dispatcher.compile(each)
    dispatcher.disable_compile()
    return dispatcher


def _through_cache(loop: Callable, signatures: list[str]) -> Any:
    """The compiled loop from the disk cache, or compiled and put there; None if there can be no cache."""
    for _ in range(2):
        dispatcher = _dispatcher(loop)
        try:
            dispatcher.enable_caching()
        except (RuntimeError, OSError):  # no place that can be written
            return None
        file = dispatcher._cache._cache_file
        file.__class__ = _CheckedFile
        try:
            return _compile(dispatcher, signatures)
        except Exception:  # reading a damaged pickle can raise anything; a fault of the loop itself comes again
            with suppress(OSError):
                file.flush()
    return None


class _CheckedFile(caching.IndexDataCacheFile):
    """Numba's cache files with a checksum at the end: machine code with one wrong bit could crash the process."""

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return data + zlib.crc32(data).to_bytes(4, "big")

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as fo:
            data = fo.read()
        if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "big"):
            raise ValueError(f"{name}: expected the checksum of its bytes, got another")
        return pickle.loads(data[:-4])
