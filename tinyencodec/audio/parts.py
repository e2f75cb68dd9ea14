"""The parts of a sound file that may be several: Ogg, FLAC and MPEG streams, each read by itself.

libsndfile reads them; where its length would be wrong, it gets the bytes without that length.
"""

import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import BinaryIO, Protocol, cast

import numpy as np

from tinyencodec.audio import flac_frames, mpeg_frames, ogg_pages
from tinyencodec.audio.library import UNENDED, Fed, LibraryReader

COPIED = 1 << 20  # bytes at once


class Source(Protocol):
    """See above."""

    sample_rate: int
    channels: int
    length: int | None
    missing: int
    remark: str

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n]; n = 0 at the end."""

    def close(self) -> None:
        """Close what was opened."""


def ogg(fo: BinaryIO, start: int) -> Iterator[Source]:
    fo.seek(start)
    found = ogg_pages.parts(fo)
    part, following, before = next(found, None), next(found, None), None
    whole = following is None
    while part is not None:
        with nullcontext(fo) if whole or part.odd else spooled(stretch(fo, part.start, part.end)) as file:
            source = _tried(before, Fed, stretch(fo, part.start, part.end)) if part.odd else \
                _tried(before, LibraryReader, handle(file))
            if not (whole and part.complete):
                source.length = None
            if following is None and not part.ended:
                source.remark = source.remark or UNENDED
            yield source
        part, following, before = following, next(found, None), source


def flac(fo: BinaryIO, start: int) -> Iterator[Source]:
    fo.seek(start)
    found = flac_frames.parts(fo)
    part, following, before = next(found, None), next(found, None), None
    whole = following is None and part is not None and (part.least <= part.samples or not part.samples)
    while part is not None:
        with nullcontext(fo) if whole else spooled(stretch(fo, part.start, part.end)) as file:
            if not whole and part.least > part.samples:
                file.seek(21)
                bits = file.read(1)[0] & 0xF0  # of something else
                file.seek(21)
                file.write(bytes([bits, 0, 0, 0, 0]))
            source = _tried(before, LibraryReader, handle(file), part.last if part.least else None, part.least)
            if not (whole and part.whole) or part.least < part.samples:
                source.length = None
            yield source
        part, following, before = following, next(found, None), source


def mpeg(fo: BinaryIO, start: int) -> Iterator[Source] | None:
    """None if there are no frames."""
    fo.seek(start)
    found = mpeg_frames.survey(fo)
    return None if found is None else _mpeg_streams(fo, start, found)


def _mpeg_streams(fo: BinaryIO, start: int, found: mpeg_frames.Survey) -> Iterator[Source]:
    fo.seek(start)
    before, streams = None, itertools.groupby(mpeg_frames.streams(fo), lambda frame: frame.stream)
    for number, frames in [(0, iter(()))] if found.plain else streams:
        first = list(itertools.islice(frames, 2))
        if first and all(frame.counted is not None for frame in first):  # a table without sound
            continue
        sound = (frame.data for frame in itertools.chain(first, frames)
                 if not (frame.misleads or frame.counted is not None and number in found.liars))
        source = _tried(before, LibraryReader, handle(fo)) if found.plain else _tried(before, Fed, sound)
        source.length = source.length if found.plain and found.exact else None
        if isinstance(source, LibraryReader):
            source.promised, source.missing = None, found.missing if before is None else 0
        yield source
        before = source


def _tried(before: Source | None, make: Callable[..., LibraryReader], *arguments: object) -> Source:
    """A source; or, if it is unreadable and not the first, one that says so."""
    try:
        return make(*arguments)
    except ValueError:
        if before is None:
            raise
        return LeftOut(before)


class LeftOut:
    """No samples."""

    length: int | None = 0
    missing = 0

    def __init__(self, before: Source, remark: str = "one of its parts is unreadable, and left out") -> None:
        self.sample_rate, self.channels, self.remark = before.sample_rate, before.channels, remark

    def read(self) -> np.ndarray:
        return np.zeros((self.channels, 0), np.float32)

    def close(self) -> None:
        pass


def stretch(fo: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Bytes `start` to `end`."""
    for at in range(start, end, COPIED):
        fo.seek(at)
        yield fo.read(min(COPIED, end - at))


def spooled(pieces: Iterable[bytes]) -> BinaryIO:
    """The bytes in a temporary file, unbuffered."""
    copy = cast(BinaryIO, tempfile.TemporaryFile(buffering=0))
    try:
        for piece in pieces:
            while piece:
                piece = piece[copy.write(piece):]
    except BaseException:
        copy.close()
        raise
    return copy


def handle(fo: BinaryIO) -> BinaryIO | int:
    """The file for libsndfile, from its beginning: by number if it has one, as calls back into Python lose Ctrl-C."""
    fo.seek(0)
    if type(fo) is not io.FileIO:  # a buffer would not know that its file has moved
        return fo
    number = os.dup(fo.fileno())
    os.lseek(number, 0, os.SEEK_SET)
    return number
