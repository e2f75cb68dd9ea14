"""Reuse of large temporary arrays.

Memory fresh from the operating system is not in any cache and costs a page fault every 4 KiB:
at these sizes, more time than the arithmetic done on it. A stream therefore keeps the arrays that its
layers have finished with and hands them out again, the last one first, which is still warm.
"""

import numpy as np


class Scratch:
    """A heap of float32 arrays to borrow. Not thread-safe: each stream has its own."""

    def __init__(self) -> None:
        self._free: list[np.ndarray] = []  # flat, the latest at the end

    def take(self, rows: int, columns: int) -> np.ndarray:
        """An uninitialised float32 [rows, columns], C-contiguous. It need not be given back."""
        size = rows * columns
        for i in reversed(range(len(self._free))):
            if self._free[i].size >= size:
                return self._free.pop(i)[:size].reshape(rows, columns)
        return np.empty(size, np.float32).reshape(rows, columns)

    def give(self, array: np.ndarray) -> None:
        """Hand over an array (or a view of one) that nobody will read again."""
        while array.base is not None:
            array = array.base
        if array.dtype == np.float32 and array.ndim == 1 and not any(array is known for known in self._free):
            self._free = [*self._free[-7:], array]
