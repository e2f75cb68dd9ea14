"""How every hot loop of the codec is compiled.

A hot loop exists twice: a Numba *kernel* that runs, and a naive NumPy *twin* of a few obvious
lines that says what it computes. `kernel` ties the two together. Tests compare them, and with
`NUMBA_DISABLE_JIT=1` the twin runs in the kernel's place, so the whole codec also works as plain
NumPy.

A kernel is compiled, or loaded from the cache on disk, when it is first called (`cache`). What kernels call is
another kernel, or written in Python as well (`inlined`), or in LLVM's instructions (`emitted`).

Chapter 2 of the tutorials walks through it.
"""

import ctypes
import importlib
import os
import re
from collections.abc import Callable
from functools import cached_property
from types import FunctionType
from typing import Any, TypeVar, cast

import numpy as np

from tinyencodec.system.compiler import cache

JIT = not int(os.environ.get("NUMBA_DISABLE_JIT") or 0)
F = TypeVar("F", bound=Callable)
_UNFIT = -(1 << 63)
_NUMBERS = {"i8": ctypes.c_int64, "b1": ctypes.c_bool}


def kernel(signature: str, twin: F) -> Callable[[Callable], F]:
    """Compile the decorated loop for `signature`, or put `twin` in its place when the JIT is off.

    signature : in Numba's words, such as "void(f4[::1], i8)"; arrays are C-contiguous, numbers are i8 or b1, and the
        result is void or i8. The loop allocates no memory.

    The compiled function releases the interpreter lock and never reorders floating-point
    operations (no fast-math). Its twin stays reachable as `.twin`.
    """
    return lambda loop: cast(F, Kernel(loop, signature, twin)) if JIT else twin


def inlined(function: F) -> F:
    """Let kernels call a Python function, which is compiled into them."""
    return cast(F, _Part(function.__module__, function)) if JIT else function


def emitted(module: str, name: str) -> Any:
    """What kernels call by this name: the Numba intrinsic of that name in a module, which is imported to compile."""
    return _Part(module, name)


def variant(function: Callable, name: str, **parts: Any) -> Callable:
    """The function by another name, which calls these instead of what it calls by their names."""
    return FunctionType(function.__code__, function.__globals__ | parts, name)


class _Part:
    """What kernels call. `what` : a function, or a name in the module."""

    def __init__(self, module: str, what: Callable | str) -> None:
        self.module, self.what = module, what

    @cached_property
    def compiled(self) -> Any:
        """In the form that Numba takes."""
        if isinstance(self.what, str):
            return getattr(importlib.import_module(self.module), self.what)
        return _compiler().inlined(_with_parts(self.what))


def _compiler() -> Any:
    """`object_file`, which imports Numba."""
    return importlib.import_module("tinyencodec.system.compiler.object_file")


def _parts(function: Any) -> dict[str, Any]:
    """The kernels and other parts that it calls, by name."""
    names = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    return {name: value for name, value in names.items() if isinstance(value, (_Part, Kernel))}


def _with_parts(function: Any) -> Callable:
    """The function, with its parts in the form that Numba takes."""
    parts = {name: part.compiled for name, part in _parts(function).items()}
    return FunctionType(function.__code__, function.__globals__ | parts, function.__name__, function.__defaults__)


def _sources(function: Any) -> tuple[set[str], set[str]]:
    """What the machine code of a function comes from: modules, and the numbers that it takes from any module."""
    here, names = __name__.rpartition(".")[0], function.__code__.co_names
    modules = {function.__module__ or "", f"{here}.object_file", f"{here}.processor"}
    known = {name: function.__globals__.get(name) for name in names}
    numbers = {f"{name}={value!r}" for name, value in known.items() if isinstance(value, (int, float, np.generic))}
    for part in _parts(function).values():
        more = ({part.module}, set()) if isinstance(part.what, str) else _sources(part.what)
        modules, numbers = modules | more[0], numbers | more[1]
    return modules, numbers


class Kernel:
    """A compiled loop. It is called with what its signature says; `TypeError` for other arguments."""

    def __init__(self, loop: Callable, signature: str, twin: Callable) -> None:
        self.what, self.signature, self.twin = loop, signature, twin
        self.name = f"{loop.__module__ or ''}.{loop.__name__}"
        arguments = re.findall(r"(\w\d)(\[[^]]*\])?", signature.partition("(")[2])
        self._dimensions = [array.count(":") - array.count("::") if array else None for _, array in arguments]
        self._dtypes = [np.dtype(kind) if array else None for kind, array in arguments]
        arrays = [np.ndarray, *(dtype for dtype in self._dtypes if dtype is not None)]
        self._table = (ctypes.c_void_p * len(arrays))(*map(id, arrays))
        forms: list[Any] = [ctypes.py_object if array else _NUMBERS[kind] for kind, array in arguments]
        self._form = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, *forms)

    def load(self) -> None:
        """Compile it, or load it from the cache, before it is first called."""
        self._native  # noqa: B018

    @cached_property
    def _native(self) -> Callable:
        for part in _parts(self.what).values():
            if isinstance(part, Kernel):
                part.load()  # what is called must be in memory first
        return self._form(cache.load(self.name, self._symbol, self._compile))

    @cached_property
    def _symbol(self) -> str:
        return cache.symbol(self.name, *_sources(self.what))

    @cached_property
    def compiled(self) -> Any:
        """In the form that Numba takes, for a kernel that calls this one."""
        return _compiler().linked(self.what, self.signature, self._symbol)

    def _compile(self) -> bytes:
        return _compiler().object_file(_with_parts(self.what), self.signature, self._symbol)

    def __call__(self, *args: Any) -> Any:
        result = self._native(self._table, *args)
        if result == _UNFIT:
            result = self._native(self._table, *map(self._fit, args, self._dtypes, self._dimensions))
            assert result != _UNFIT
        return result

    def _fit(self, argument: Any, dtype: np.dtype | None, dimensions: int | None) -> Any:
        """An array of another class, or with its own copy of the dtype, as a plain one."""
        if dtype is None:
            return argument
        if not (isinstance(argument, np.ndarray) and argument.dtype == dtype and argument.ndim == dimensions
                and argument.flags.carray):
            got = f"{argument.dtype} {list(argument.shape)}" if isinstance(argument, np.ndarray) else type(argument)
            raise TypeError(f"{self.name}: expected {self.signature} of writable, C-contiguous arrays, got {got}")
        return argument.view(dtype, np.ndarray)
