"""How every hot loop of the codec is compiled.

A hot loop exists twice: a Numba *kernel* that runs, and a naive NumPy *twin* of a few obvious
lines that says what it computes. `kernel` ties the two together. Tests compare them, and with
`NUMBA_DISABLE_JIT=1` the twin runs in the kernel's place, so the whole codec also works as plain
NumPy.

Kernels are compiled once per machine and cached on disk (beside the module, or in the user's cache
folder when the installation is read-only; in memory only when neither can be written, or the disk is full).

Chapter 2 of the tutorials walks through it.
"""

from collections.abc import Callable
from typing import TypeVar

import numba

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
        try:
            compiled = numba.njit(signature, nogil=True, cache=True, error_model="numpy")(loop)
        except (RuntimeError, OSError):  # no writable place for a cache, or no room there
            compiled = numba.njit(signature, nogil=True, error_model="numpy")(loop)
        compiled.twin = twin
        return compiled

    return decorate
