"""What reads a sound file: found by what the file holds, so that a file and a pipe obey one rule.

    plain samples behind a header    `pcm`, and what is behind them (`behind`)
    Ogg, FLAC, MPEG                  `parts`
    anything else                    libsndfile

Each source has `sample_rate` (Hz), `channels`, `length` (samples, if that is certain, else None), `read` and `close`.
Once it has been read, `missing` is the number of samples that a header promised and that were not there, and `remark`
is what else the user should know.
"""

import itertools
import os
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from typing import BinaryIO, cast

from tinyencodec.audio.behind import Behind, look_behind
from tinyencodec.audio.headers import Header, read_header
from tinyencodec.audio.library import BLOCK, LibraryReader, shorter
from tinyencodec.audio.parts import COPIED, LeftOut, Source, flac, handle, mpeg, ogg, spooled, stretch
from tinyencodec.audio.pcm import PcmReader

_HEAD = 1024  # bytes, of a NIST file
PIPED = 1 << 14  # samples in a block from a pipe, at most; samples are taken as they come
GOES_ON = "goes on behind the end that its header tells"  # a remark


def piped_sources(fo: BinaryIO, header: Header) -> Iterator[Source]:
    """Plain samples in a pipe, as they come, and what is behind them, which is copied first.

    `fo` stands behind the header.
    """
    assert header.pcm is not None
    reader = PcmReader(fo, header.pcm, header.size, header.size, PIPED, header.peeked if header.size is None else b"")
    reader.length = None  # nobody can look ahead
    yield reader
    if header.size is None or reader.missing:
        return
    with spooled(itertools.chain([reader.rest], iter(lambda: fo.read(COPIED), b""))) as copy:
        header = header._replace(start=len(reader.rest) - header.size)
        yield from _following(copy, look_behind(copy, header), header, reader)


def sources(fo: BinaryIO, path: str | os.PathLike | None = None, begin: int = 0) -> Iterator[Source]:
    """What is in a file that can seek, read from `begin`: one source, or several one behind the other.

    `path`: its name, if it has one; some old formats are known by their suffix only.
    """
    header = _header_at(fo, begin)
    if header is not None and header.pcm is not None:
        yield from _plain(fo, header)
    elif begin:
        with spooled(stretch(fo, begin, fo.seek(0, os.SEEK_END))) as copy:
            yield from sources(copy)
    elif header is not None:
        yield from _compressed(fo, header)
    else:
        yield from _other(fo, path)


def _other(fo: BinaryIO, path: str | os.PathLike | None) -> Iterator[Source]:
    start = _skip_tags(fo)
    fo.seek(start)
    magic = fo.read(4)
    if magic == b"OggS":
        yield from ogg(fo, start)
    elif magic == b"fLaC":
        yield from flac(fo, start)
    elif start or magic[:1] == b"\xff" and magic[1:2] >= b"\xe0":
        yield from mpeg(fo, start) or _any(fo, path)
    else:
        yield from _any(fo, path)


def _any(fo: BinaryIO, path: str | os.PathLike | None) -> Iterator[Source]:
    """By libsndfile. What it does not know may begin in the midst of an MPEG frame, or be known by its name."""
    try:
        fo.seek(0)
        head = fo.read(_HEAD)
        source = LibraryReader(handle(fo), head=head)
    except ValueError:
        found = mpeg(fo, 0)
        if found is None and path is None:
            raise
        yield from [LibraryReader(cast(str, path))] if found is None else found
    else:
        if source.guesses:  # frames that `mpeg_frames` does not know, of free bit rate, which is constant
            source.length = source.promised = None
        yield source


def _skip_tags(fo: BinaryIO) -> int:
    """Where the sound begins, behind ID3v2 tags: 10 bytes each, of which the last four tell the length in 7 bits."""
    at = 0
    while True:
        fo.seek(at)
        head = fo.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
            return at
        at += 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) + 10 * (head[5] >> 4 & 1)


# ---- samples behind a header, and what is behind them ------------------------------------------------


def _header_at(fo: BinaryIO, at: int) -> Header | None:
    fo.seek(at)
    header = read_header(fo)
    return header and header._replace(start=at + header.start)


def _plain(fo: BinaryIO, header: Header | None) -> Iterator[Source]:
    """Plain samples, those of plain files behind them, and then what follows."""
    while header is not None and header.pcm is not None:
        this, behind = header, look_behind(fo, header)
        there = fo.seek(0, os.SEEK_END) - header.start
        fo.seek(header.start)
        reader = PcmReader(fo, header.pcm, there if header.size is None else min(there, header.size), header.size,
                           shorter(BLOCK, header.pcm.channels))
        if behind.kind in ("file", "samples"):
            reader.length = None
        yield reader
        header = _header_at(fo, behind.start) if behind.kind == "file" else None
    yield from _following(fo, behind, this, reader)


def _following(fo: BinaryIO, behind: Behind, header: Header, before: Source) -> Iterator[Source]:
    """What is behind the samples of `before`."""
    size = behind.end - behind.start
    if behind.kind == "file":
        try:
            yield from sources(fo, begin=behind.start)
        except (ValueError, RecursionError):
            yield LeftOut(before)
    elif behind.kind == "samples" and header.pcm is not None:
        fo.seek(behind.start)
        more = PcmReader(fo, header.pcm, size, None, shorter(BLOCK, header.pcm.channels))
        more.remark = GOES_ON
        yield more
    elif behind.kind:
        yield LeftOut(before, f"{size} bytes behind its samples are left out")


def _compressed(fo: BinaryIO, header: Header) -> Iterator[Source]:
    """Compressed samples in WAV, CAF, ...: if the length is unknown or wrong, with that of what is there."""
    there, behind = fo.seek(0, os.SEEK_END) - header.start, look_behind(fo, header)
    if behind.kind == "file":
        there = behind.start - header.start
    patched = header.size is None or header.size > there or behind.kind == "samples"
    with spooled(stretch(fo, 0, header.start + there)) if patched or behind.kind == "file" else nullcontext(fo) as file:
        if patched:
            file.seek(header.length_at)
            file.write(struct.pack(header.length_form, there + header.counted))
        source = LibraryReader(handle(file))
        if patched:
            source.cut = 0.0 if header.size is None else max(0.0, header.size / max(1, there) - 1)
            source.remark = GOES_ON if behind.kind == "samples" else ""
        if file is not fo:
            source.length = None
        yield source
    if behind.kind != "samples":
        yield from _following(fo, behind, header, source)
