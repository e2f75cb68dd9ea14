"""Which files are meant by names of files, names of folders, and glob patterns such as `songs/**/*.flac`.

Patterns are expanded here too, since not every shell knows `**`, and none takes a million names. As in a shell,
`*`, `?` and `[...]` match within one name, but no leading dot; `**` matches any folders in between. A name that exists
as it is written is taken literally, even with brackets in it. The `glob` of the standard library would follow links
that go round.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# What folders are searched for: the usual ones of those that libsndfile reads.
AUDIO = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64")
_EVERYTHING = ("**", "*")  # all files below a folder, as a pattern


class Found(NamedTuple):
    """A file, and what to call it among the outputs."""

    path: Path  # to open
    name: PurePosixPath  # relative to the folder searched, or to where the pattern begins; of a single file, its own


def find_inputs(patterns: Iterable[str], suffixes: Collection[str]) -> list[Found]:
    """All files that the patterns mean, in their order, and for each in the order of their names.

    Parameters
    ----------
    patterns : files, which are taken whatever their suffix; folders, all of whose files are; patterns. The names
        of two files may be the same if they come from two patterns.
    suffixes : lower case, such as ".wav": those of files wanted from folders and patterns, in any case

    Links are followed, and a file that is reached in several ways comes once, under its first name. A link that
    leads nowhere is among the files, so that whoever opens it learns of it. Hidden files and folders are not.

    Raises
    ------
    ValueError : a pattern that means no file.
    OSError : a folder that cannot be read.
    """
    found: dict[str, Found] = {}  # by real path
    for pattern in patterns:
        files = dict(_find(os.fspath(pattern), suffixes))
        if not files:
            wanted = f"files ending in {', '.join(suffixes)}"
            raise ValueError(f"{pattern}: expected a file, or a folder or pattern of {wanted}, found none")
        for file in sorted(files, key=lambda file: file.name.parts):
            found.setdefault(files[file], file)
    return list(found.values())


def _find(pattern: str, suffixes: Collection[str]) -> Iterator[tuple[Found, str]]:
    """The files of one pattern, each with its real path, in no order."""
    base, rest = _split(pattern)
    if not os.path.isdir(base):
        if os.path.lexists(base) and not rest:
            yield Found(base, PurePosixPath(base.name)), os.path.realpath(base)
        return
    for path, real in _matching(base, rest or _EVERYTHING):
        if path.suffix.lower() in suffixes:
            yield Found(path, PurePosixPath(*path.relative_to(base).parts)), real


def _split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The part of a pattern that is a path, and what follows it, name by name."""
    if not pattern:
        raise ValueError("expected the name of a file or folder, or a pattern, got an empty one")
    base, parts = Path(), Path(pattern).parts
    for i, part in enumerate(parts):
        if any(letter in part for letter in "*?[") and not os.path.lexists(base / part):
            return base, parts[i:]
        base /= part
    return base, ()


def _matching(base: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Files (path, real path) that match below `base`; all files of folders that do."""
    pending, seen = [(base, parts)], set[tuple[str, tuple[str, ...]]]()
    while pending:
        folder, parts = pending.pop()
        real = os.path.realpath(folder)
        if (real, parts) in seen:  # links may go round
            continue
        seen.add((real, parts))
        first, rest = parts[0], parts[1:] or _EVERYTHING
        below = [(folder, rest)] if first == "**" else []
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        for entry in entries:
            if first != "**" and not fnmatchcase(entry.name, first) or entry.name[0] == "." != first[0]:
                continue
            path, link = folder / entry.name, entry.is_symlink()
            if os.path.isdir(path) if link else entry.is_dir():
                below.append((path, parts if first == "**" else rest))
            elif first != "**" and len(parts) == 1 and (link or entry.is_file()):
                yield path, os.path.realpath(path) if link else os.path.join(real, entry.name)
        pending += reversed(below)
