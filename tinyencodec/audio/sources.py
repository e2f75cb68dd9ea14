"""What reads a sound file: found by what the file holds, so that a file and a pipe obey one rule.

    plain samples behind a header    `pcm`, to the end of the samples, whatever the header says
    Ogg, FLAC, MPEG                  libsndfile, each of joined files by itself; where its length would be wrong,
                                     bytes without that length
    anything else                    libsndfile

Each source has `sample_rate` (Hz), `channels`, `length` (samples, if that is certain, else None), `read` and `close`.
Once it has been read, `missing` is the number of samples that a header promised and that were not there, and `remark`
is what else the user should know.
"""

import io
import itertools
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import BinaryIO, Protocol, cast

import numpy as np

from tinyencodec.audio import flac_frames, mpeg_frames, ogg_pages
from tinyencodec.audio.headers import Header, read_header
from tinyencodec.audio.library import BLOCK, UNENDED, Fed, LibraryReader, shorter
from tinyencodec.audio.pcm import PcmReader

PIPED = 1 << 14  # samples in a block from a pipe, at most; samples are taken as they come
_COPIED = 1 << 20  # bytes at once


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


def piped_source(fo: BinaryIO, header: Header) -> PcmReader:
    """The samples that follow a header in a pipe. `fo` stands behind the header."""
    assert header.pcm is not None
    return PcmReader(fo, header.pcm, header.size, header.size, PIPED, header.peeked if header.size is None else b"")


def sources(fo: BinaryIO, path: str | os.PathLike | None = None) -> Iterator[Source]:
    """What is in a file that can seek, read from its beginning: one source, or several one behind the other.

    `path`: its name, if it has one; some old formats are known by their suffix only.
    """
    fo.seek(0)
    header = read_header(fo)
    if header is not None and header.pcm is not None:
        start = fo.tell() - len(header.peeked)
        there = fo.seek(0, os.SEEK_END) - start
        fo.seek(start)
        yield PcmReader(fo, header.pcm, there if header.size is None else min(there, header.size), header.size,
                        shorter(BLOCK, header.pcm.channels))
        return
    if header is not None:
        yield from _compressed(fo, header)
        return
    start = _skip_tags(fo)
    fo.seek(start)
    magic = fo.read(4)
    if magic == b"OggS":
        yield from _ogg(fo, start)
    elif magic == b"fLaC":
        yield from _flac(fo, start)
    elif start or magic[:1] == b"\xff" and magic[1:2] >= b"\xe0":
        yield from _mpeg(fo, start) or _any(fo, path)
    else:
        yield from _any(fo, path)


def _any(fo: BinaryIO, path: str | os.PathLike | None) -> Iterator[Source]:
    """By libsndfile. What it does not know may begin in the midst of an MPEG frame, or be known by its name."""
    try:
        source = LibraryReader(_handle(fo))
    except ValueError:
        found = _mpeg(fo, 0)
        if found is None and path is None:
            raise
        yield from [LibraryReader(cast(str, path))] if found is None else found
    else:
        if source.guesses:  # frames that `mpeg_frames` does not know, of free bit rate, which is constant
            source.length = source.promised = None
        yield source


def _handle(fo: BinaryIO) -> BinaryIO | int:
    """The file for libsndfile, from its beginning: by number if it has one, as calls back into Python lose Ctrl-C."""
    fo.seek(0)
    if type(fo) is not io.FileIO:  # a buffer would not know that its file has moved
        return fo
    number = os.dup(fo.fileno())
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _skip_tags(fo: BinaryIO) -> int:
    """Where the sound begins, behind ID3v2 tags: 10 bytes each, of which the last four tell the length in 7 bits."""
    at = 0
    while True:
        fo.seek(at)
        head = fo.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return at
        at += 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) + 10 * (head[5] >> 4 & 1)


# ---- the formats that tell their length in vain ------------------------------------------------------


def _compressed(fo: BinaryIO, header: Header) -> Iterator[Source]:
    """Compressed samples in WAV, CAF, ...: if the length is unknown or too much, with that of what is there."""
    there = fo.seek(0, os.SEEK_END) - header.start
    if header.size is not None and header.size <= there:
        yield LibraryReader(_handle(fo))
        return
    with spooled(_bytes(fo, 0, header.start + there)) as copy:
        copy.seek(header.length_at)
        copy.write(struct.pack(header.length_form, there + header.counted))
        source = LibraryReader(_handle(copy))
        source.cut = 0.0 if header.size is None else header.size / max(1, there) - 1
        source.length = None
        yield source


def _ogg(fo: BinaryIO, start: int) -> Iterator[Source]:
    fo.seek(start)
    found = ogg_pages.parts(fo)
    part, following, before = next(found, None), next(found, None), None
    whole = following is None
    while part is not None:
        with nullcontext(fo) if whole or part.odd else spooled(_bytes(fo, part.start, part.end)) as file:
            source = _tried(before, Fed, _bytes(fo, part.start, part.end)) if part.odd else \
                _tried(before, LibraryReader, _handle(file))
            if not (whole and part.complete):
                source.length = None
            if following is None and not part.ended:
                source.remark = source.remark or UNENDED
            yield source
        part, following, before = following, next(found, None), source


def _flac(fo: BinaryIO, start: int) -> Iterator[Source]:
    fo.seek(start)
    found = flac_frames.parts(fo)
    part, following, before = next(found, None), next(found, None), None
    whole = following is None and part is not None and (part.least <= part.samples or not part.samples)
    while part is not None:
        with nullcontext(fo) if whole else spooled(_bytes(fo, part.start, part.end)) as file:
            if not whole and part.least > part.samples:
                file.seek(21)
                bits = file.read(1)[0] & 0xF0  # of something else
                file.seek(21)
                file.write(bytes([bits, 0, 0, 0, 0]))
            source = _tried(before, LibraryReader, _handle(file), part.last if part.least else None, part.least)
            if not (whole and part.whole) or part.least < part.samples:
                source.length = None
            yield source
        part, following, before = following, next(found, None), source


def _mpeg(fo: BinaryIO, start: int) -> Iterator[Source] | None:
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
        source = _tried(before, LibraryReader, _handle(fo)) if found.plain else _tried(before, Fed, sound)
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
        return _LeftOut(before.sample_rate, before.channels)


class _LeftOut:
    """No samples."""

    length: int | None = 0
    missing = 0

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self.remark = "one of its parts is unreadable, and left out"

    def read(self) -> np.ndarray:
        return np.zeros((self.channels, 0), np.float32)

    def close(self) -> None:
        pass


def _bytes(fo: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Bytes `start` to `end`."""
    for at in range(start, end, _COPIED):
        fo.seek(at)
        yield fo.read(min(_COPIED, end - at))


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
