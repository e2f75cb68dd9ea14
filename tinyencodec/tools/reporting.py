"""What the tools' reports share: versions of libraries, tables in plain text, and JSON files."""

import json
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from tinyencodec.system.files import atomic_write
from tinyencodec.system.version import __version__


def versions(*packages: str) -> dict[str, str]:
    """Of this package, of Python, and of those `packages` that are installed."""
    found = {"tinyencodec": __version__, "python": platform.python_version()}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def text_table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """A line for each row of cells, the first `left` columns aligned to the left, the others (numbers) to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def write_json(path: str | os.PathLike, figures: object, force: bool = False) -> None:
    """Write a JSON file, atomically. Raises `OSError` as `atomic_write`."""
    with atomic_write(path, force) as fo:
        fo.write(json.dumps(figures, indent=1).encode() + b"\n")
