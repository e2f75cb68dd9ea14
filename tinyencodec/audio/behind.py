"""What stands behind the samples of a file: chunks, another file, or samples that the header does not count.

Files are joined by putting one behind the other. And a header may count too few samples: a recorder that loses its
power leaves the number of the last time it wrote one, and a WAV file, which counts bytes in 32 bits, begins again at 0
every 4 GiB. So if neither a chunk nor a file follows, many bytes are taken for samples; a few are left out, as tags
or padding. The user is told in both cases.
"""

import os
import struct
from typing import BinaryIO, NamedTuple

from tinyencodec.audio.headers import Header

_FILES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"riff", b"FORM", b"caff", b".snd", b"dns.", b"fLaC", b"OggS")
_MANY = 1 << 16  # bytes
_AT_ONCE = 1 << 20  # bytes


class Behind(NamedTuple):
    """Bytes `start` to `end` of a file."""

    kind: str  # "file"; "samples", which the header does not count; other "bytes"; "": nothing, or padding
    start: int
    end: int


def look_behind(fo: BinaryIO, header: Header) -> Behind:
    """What is behind the samples of a file that can seek, and behind the chunks that follow them."""
    end = fo.seek(0, os.SEEK_END)
    if header.size is None or header.start + header.size >= end:
        return Behind("", end, end)
    told = header.start + header.size
    for begin in (told + -(header.size + header.counted) % header.align, told, told + 1):  # some programs pad otherwise
        at = _skip_chunks(fo, header, begin, end)
        if at > begin or _read(fo, at, 4) in _FILES:
            break
    else:
        at = told
    if _read(fo, at, 4) in _FILES:
        return Behind("file", at, end)
    if not any(_read(fo, start, _AT_ONCE).strip(b"\0") for start in range(at, end, _AT_ONCE)):
        return Behind("", end, end)
    if at == told and end - at >= _MANY:
        return Behind("samples", told - header.size % header.pcm.width if header.pcm else told, end)
    return Behind("bytes", at, end)


def _skip_chunks(fo: BinaryIO, header: Header, at: int, end: int) -> int:
    """Where the last of the chunks that begin at `at` ends; a chunk that is cut short is none."""
    size = struct.calcsize(header.chunk)
    while header.chunk and len(head := _read(fo, at, size)) == size:
        name, length = struct.unpack(header.chunk, head)
        following = at + max(size, size - header.own + length)
        if name[:4] in _FILES or not all(32 <= byte < 127 for byte in name[:4]) or following > end:
            break
        at = min(end, following + -length % header.align)
    return at


def _read(fo: BinaryIO, at: int, size: int) -> bytes:
    fo.seek(at)
    return fo.read(size)
