"""FLAC files: where joined ones begin, and whether the number of samples in front is right.

A FLAC file begins with the letters fLaC and a block STREAMINFO, in which 36 bits tell the number of samples: 0 if the
encoder did not know it, as in a pipe. Each frame begins with a head that tells its number, or that of its first sample:

    111111111111110s bbbbrrrr ccccwww0   number, coded as in UTF-8   block size, rate (if not in the codes)   CRC-8

But: frames are not walked through, since only a decoder knows their lengths: the last head in the file is looked for.

Source: RFC 9639.
"""

import functools
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_BEGIN = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_READ, _TAIL = 1 << 18, 1 << 20  # bytes read at once, and in which the last frame begins
_STREAMINFO = 42  # bytes up to its end


class Part(NamedTuple):
    """One of joined files."""

    start: int  # bytes
    end: int
    samples: int  # that STREAMINFO tells; 0: unknown
    last: int  # the first sample of the last frame; 0 if there is none
    least: int  # samples that there are at least, if the last frame is whole
    whole: bool  # by its checksum


def parts(fo: BinaryIO) -> Iterator[Part]:
    """The parts of a file from where `fo` stands, at the first's beginning. `fo` may be moved meanwhile."""
    start = at = fo.tell()
    data = b""
    while True:
        fo.seek(at)
        piece = fo.read(_READ)
        at += len(piece)
        data = data[-7:] + piece  # the letters may lie across
        for found in _BEGIN.finditer(data):
            here = at - len(data) + found.start()
            if here > start:
                yield _part(fo, start, here)
                start = here
        if not piece:
            break
    yield _part(fo, start, at)


def _part(fo: BinaryIO, start: int, end: int) -> Part:
    fo.seek(start)
    head = fo.read(_STREAMINFO)
    begin = max(start + _STREAMINFO, end - _TAIL)
    fo.seek(begin)
    tail, samples = fo.read(end - begin), int.from_bytes(head[21:26], "big") & (1 << 36) - 1
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        frame = _frame(tail[at:at + 16], int.from_bytes(head[10:12], "big"), (head[20] >> 1 & 7) + 1)
        if frame is not None:
            tag = 128 * (tail[-128:-125] == b"TAG")  # of MP3 files, but some have it
            whole = _crc16(tail[at:len(tail) - tag]) == 0
            return Part(start, end, samples, *frame, whole)
    return Part(start, end, samples, 0, 0, False)


_CRC16 = [functools.reduce(lambda crc, _: crc << 1 ^ (0x18005 if crc & 0x8000 else 0), range(8), byte << 8)
          for byte in range(256)]


def _crc16(data: bytes) -> int:
    """0 for a whole frame, which ends in it."""
    crc = 0
    for byte in data:
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
    return crc


def _frame(head: bytes, block_size: int, channels: int) -> tuple[int, int] | None:
    """The first sample of a frame, and that behind its last; None if this is no head of a frame of such a file."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 not in (channels - 1, *((8, 9, 10) if channels == 2 else ())):
        return None
    more = max(0, 8 - (head[4] ^ 0xFF).bit_length() - 1)  # bytes that follow the first of the number
    at = 5 + more
    number = head[4] & (0x7F >> more + (more > 0))
    for byte in head[5:at]:
        number = number << 6 | byte & 0x3F
    sizes = {6: 1, 7: 2}.get(size_code, 0)
    told = int.from_bytes(head[at:at + sizes], "big") + 1
    at += sizes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc = 0
    for byte in head[:at]:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    if head[at:at + 1] != bytes([crc]):
        return None
    size = told if sizes else 192 if size_code == 1 else 144 << size_code if size_code < 6 else 1 << size_code
    first = number if head[1] & 1 else number * block_size
    return (first, first + size) if size <= block_size or head[1] & 1 else None
