"""Machine code on disk, so that each machine compiles a kernel once.

A kernel's file lies beside its module, or in the user's cache folder when the installation is read-only, or nowhere
when neither can be written or the disk is full; `NUMBA_CACHE_DIR` names another folder. It holds an object file and a
checksum of that: machine code with one wrong bit could crash the process. The file's name ends in a hash of all that
the code depends on: source, versions, processor. What is damaged is compiled anew and replaced.
"""

import hashlib
import importlib.util
import os
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tinyencodec.system.folders import cache_folder

ENDING = ".kernel"
compiled: list[str] = []  # names of the kernels that this process has compiled
announce: Callable[[], None] | None = None  # called before the first of them
_loaded: dict[str, int] = {}  # the address of each function
_one_at_a_time = threading.RLock()


def symbol(name: str, modules: set[str], numbers: set[str]) -> str:
    """What the machine code of a kernel is called, which is made of the source of these modules and these numbers."""
    digest = hashlib.sha256(_surroundings() + repr(sorted(numbers)).encode())
    for source in map(_file_of, sorted(modules)):
        digest.update(b"" if source is None else source.read_bytes())
    return f"{name.replace('.', '_')}_{digest.hexdigest()[:16]}"


def load(name: str, symbol: str, compile: Callable[[], bytes]) -> int:
    """The address of a kernel: from the cache, or made by `compile` and put there."""
    home = _file_of(name.rpartition(".")[0])
    files = [] if home is None else [place / f"{symbol}{ENDING}" for place in _places(home)]
    with _one_at_a_time:
        if symbol not in _loaded:
            code = next(filter(None, map(_read, files)), None) or _compiled(name, compile, files)
            _loaded[symbol] = _run(code, symbol)
    return _loaded[symbol]


def _compiled(name: str, compile: Callable[[], bytes], files: list[Path]) -> bytes:
    if announce is not None and not compiled:
        announce()
    compiled.append(name)
    code = compile()
    any(_write(file, code) for file in files)  # to the first that can be written
    return code


def _read(file: Path) -> bytes | None:
    with suppress(OSError):
        data = file.read_bytes()
        if len(data) > 4 and zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "big"):
            return data[:-4]
    return None


def _write(file: Path, code: bytes) -> bool:
    """Whether it worked. Another process that does the same at the same time does no harm."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(code + zlib.crc32(code).to_bytes(4, "big"))
        new.replace(file)
    except OSError:
        with suppress(OSError):
            new.unlink()
        return False
    return True


def _places(module: Path) -> Iterator[Path]:
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(chosen)
        return
    yield module.parent / "__pycache__"
    with suppress(OSError):
        yield cache_folder() / "kernels"


def _file_of(module: str) -> Path | None:
    """The source of a module, which need not be imported; None if it is in no file."""
    if module in sys.modules:
        file = getattr(sys.modules[module], "__file__", None)
    else:
        spec = importlib.util.find_spec(module) if module else None
        file = None if spec is None else spec.origin
    return Path(file) if file and file.endswith(".py") else None


@cache
def _surroundings() -> bytes:
    """What else the code depends on: versions and the processor."""
    import llvmlite
    import llvmlite.binding as llvm

    numba = _file_of("numba")
    version = b"" if numba is None else (numba.parent / "_version.py").read_bytes()
    chosen = [os.environ.get(name) for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")]
    return repr((version, llvmlite.__version__, sys.implementation.cache_tag, llvm.get_process_triple(),
                 llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), chosen)).encode()


def _run(code: bytes, symbol: str) -> int:
    """Bring an object file into memory; the address of the function of that name."""
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine.get_function_address(symbol)


@cache
def _engine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
