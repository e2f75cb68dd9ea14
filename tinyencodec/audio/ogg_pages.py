"""The pages of an Ogg file: where one part ends and the next begins.

An Ogg file is a row of pages. Each begins with the letters OggS, flags for the first and the last page of a stream,
the time of its end in samples, and the lengths of what it holds. Files one behind the other are an Ogg file too, called
chained, and so is what an internet radio sends: a part for each title.

But: no checksums, which the decoder looks at. Streams of the same time, as sound and pictures, stay together.

Source: RFC 3533.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_HEAD = struct.Struct("<4sxBqII4xB")  # letters, flags, time, stream, number of the page, of lengths that follow
_READ = 1 << 18
_LONGEST = _HEAD.size + 255 + 255 * 255  # bytes of a page
_FIRST, _LAST = 2, 4


class Part(NamedTuple):
    """Streams of the same time."""

    start: int  # bytes
    end: int
    odd: bool  # times do not grow, or are missing: they do not tell the length
    ended: bool  # by a page that says so
    complete: bool  # no page is missing in between


def pages(fo: BinaryIO) -> Iterator[tuple[int, int, int, int, int]]:
    """Each whole page from where `fo` stands: where it begins, flags, time, stream, number. `fo` may be moved."""
    data, start, at, ended = b"", fo.tell(), 0, False  # `data` begins at `start` in the file
    while True:
        if len(data) - at < _LONGEST and not ended:
            fo.seek(start + len(data))
            piece = fo.read(_READ)
            data, start, at, ended = data[at:] + piece, start + at, 0, not piece
            continue
        found = data.find(b"OggS", at)
        at = found if found >= 0 else max(at, len(data) - 3)
        if found < 0 or len(data) - at < _HEAD.size:
            if ended:
                return
            continue
        _, flags, time, stream, number, count = _HEAD.unpack_from(data, at)
        size = _HEAD.size + count + sum(data[at + _HEAD.size:at + _HEAD.size + count])
        inner = data.find(b"OggS", at + 4, at + size + 3)
        if inner > 0 and data[at + size:at + size + 4] != b"OggS":  # the page breaks off, and another follows
            at = inner
            continue
        if at + size <= len(data):
            yield start + at, flags, time, stream, number
        at += size if at + size <= len(data) else 4


def parts(fo: BinaryIO) -> Iterator[Part]:
    """The parts of an Ogg file, from where `fo` stands."""
    start, seen = fo.tell(), _Seen()
    for at, flags, time, stream, number in pages(fo):
        if flags & _FIRST and seen.begun:
            yield seen.part(start, at)
            start, seen = at, _Seen()
        seen.add(flags, time, stream, number)
    yield seen.part(start, fo.seek(0, 2))


class _Seen:
    """What the pages of a part tell together."""

    def __init__(self) -> None:
        self.begun, self._ended, self._alone, self._complete = False, False, True, True
        self._last = self._latest = 0  # samples
        self._stream = self._number = -1

    def add(self, flags: int, time: int, stream: int, number: int) -> None:
        self._alone = self._alone and self._stream in (-1, stream)
        self._complete = self._complete and number == self._number + 1
        self._stream, self._number, self._last, self._latest = stream, number, time, max(time, self._latest)
        self.begun, self._ended = self.begun or not flags & _FIRST, bool(flags & _LAST)

    def part(self, start: int, end: int) -> Part:
        odd = self._last <= 0 or self._last < self._latest
        return Part(start, end, self._alone and odd, self._ended, self._complete or not self._alone)
