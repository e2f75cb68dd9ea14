"""What stands before plain samples in a file: WAV, RF64, W64, AIFF, AU and CAF.

All but AU are chunks, each with its name and its length; two of them matter:

    container    length      the form of the samples      the samples
    RIFF, RIFX   32 bits     "fmt "                       "data"
    RF64, BW64   32 bits     "fmt "                       "data", its length in "ds64"
    W64          64 bits     names are GUIDs, lengths with the 24 bytes of the chunk's own head
    AIFF, AIFC   32 bits     "COMM"                       "SSND", after 8 bytes
    CAF          64 bits     "desc"                       "data", after 4 bytes

A program that writes into a pipe does not know the length when it writes the header, and one that crashes never tells
it: 0, all bits set, and numbers around 2^31 and 2^32 mean: until the end. Any other length is a promise.

But: of the encodings only those of `pcm.Pcm`; libsndfile reads the others.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from tinyencodec.audio.pcm import Pcm
from tinyencodec.system.files import read_exactly

_MAX_HEADER = 1 << 20  # bytes before the samples; a longer header is left to libsndfile
_MADE_UP = ((1 << 31) - 0x1000, (1 << 31) + 0x1000), ((1 << 32) - 0x1000, (1 << 32) + 1), (1 << 62, 1 << 64)
_BEHIND = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"smpl", b"inst", b"fact", b"PEAK", b"JUNK", b"iXML")
_GUID = bytes.fromhex("000000001000800000aa00389b71")  # the rest of an encoding in WAVE_FORMAT_EXTENSIBLE
_W64 = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # behind the four letters of each other name
_WAV_ENCODINGS = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32", (3, 64): "f64",
                  (6, 8): "alaw", (7, 8): "ulaw"}
_AU_ENCODINGS = {1: "ulaw", 2: "s8", 3: "s16", 4: "s24", 5: "s32", 6: "f32", 7: "f64", 27: "alaw"}
_AIFC_ENCODINGS = {b"fl32": "f32", b"FL32": "f32", b"fl64": "f64", b"FL64": "f64", b"ulaw": "ulaw", b"ULAW": "ulaw",
                   b"alaw": "alaw", b"ALAW": "alaw"}


class Header(NamedTuple):
    """What a header tells. The file object it was read from stands at the samples, behind `peeked`."""

    pcm: Pcm | None  # the samples; None: not plain ones
    size: int | None  # bytes of samples; None: until the end
    start: int  # bytes before the samples
    length_at: int  # where the length is written
    length_form: str  # and how, for `struct`
    counted: int = 0  # bytes that it counts in addition to the samples
    peeked: bytes = b""  # samples that have been read
    chunk: str = ""  # how a chunk begins: its name and its length, for `struct`; "": there are no chunks
    own: int = 0  # bytes of that beginning that the length counts
    align: int = 1  # chunks begin at multiples of it


def read_header(fo: BinaryIO) -> Header | None:
    """Read a file up to its samples; `fo` need not seek. None for another file, even an incomplete one of these.

    Where the result, or its `pcm`, is None, `fo` has been read in part.
    """
    file = _Counted(fo)
    try:
        return _read(file)
    except EOFError:
        return None


class _Counted:
    """Reads exactly, and knows where it stands."""

    def __init__(self, fo: BinaryIO) -> None:
        self._fo, self.at = fo, 0

    def take(self, size: int) -> bytes:
        if self.at + size > _MAX_HEADER:
            raise EOFError
        data = read_exactly(self._fo, size, "")
        self.at += size
        return data

    def unpack(self, form: str) -> tuple:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def some(self, size: int) -> bytes:
        """Fewer only at the end."""
        data = b""
        while len(data) < size and (piece := self._fo.read(size - len(data))):
            data += piece
        return data


def _read(file: _Counted) -> Header | None:
    name = file.take(4)
    if name in (b".snd", b"dns."):
        return _read_au(file, ">" if name == b".snd" else "<")
    if name == b"caff":
        file.take(4)
        return _read_chunks(file, ">4sQ", b"desc", b"data", _parse_caf, skip=4, align=1)
    if name == b"riff" and file.take(36)[:12] == _W64[4:]:
        return _read_chunks(file, "<16sQ", b"fmt " + _W64_WAVE, b"data" + _W64_WAVE, _parse_fmt, own=24, align=8)
    if name in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        order = ">" if name == b"RIFX" else "<"
        riff_size, kind = file.unpack(order + "I4s")
        if kind == b"WAVE":
            return _read_chunks(file, order + "4sI", b"fmt ", b"data", _parse_fmt, riff_size=riff_size)
    if name == b"FORM":
        kind = file.take(8)[4:]
        if kind in (b"AIFF", b"AIFC"):
            return _read_chunks(file, ">4sI", b"COMM", b"SSND", _parse_comm, skip=8)
    return None


def _read_chunks(file: _Counted, head: str, form: bytes, samples: bytes,
                 parse: Callable[[bytes, str], Pcm | None], skip: int = 0, own: int = 0,
                 align: int = 2, riff_size: int = 0) -> Header | None:
    """Walk over chunks to the samples; `skip`: bytes before them in theirs; `own`: bytes of a head that are counted."""
    pcm, known, long_size, long_at = None, False, None, 0
    length_form = head[0] + head[-1]
    while True:
        name, size = file.unpack(head)
        length_at = file.at - struct.calcsize(length_form)
        if name == samples:
            if not known:  # the form comes later
                return None
            if size == 0xFFFFFFFF and long_size is not None:
                size, length_at, length_form = long_size, long_at, "<Q"
            if samples == b"SSND":
                skip += int.from_bytes(file.take(8)[:4], "big")
                file.take(skip - 8)
            else:
                file.take(skip)
            told = None if size <= own + skip or any(a <= size < b for a, b in _MADE_UP) else size - own - skip
            start, peeked = file.at, b""
            if size == 0 and riff_size > file.at:
                peeked = file.some(4)
                told = 0 if peeked in _BEHIND else None
            return Header(pcm, told, start, length_at, length_form, own + skip, peeked, head, own, align)
        body = file.take(size - own if size >= own else _MAX_HEADER)
        if name == form:
            pcm, known = parse(body, head[0]), True
        elif name == b"ds64" and len(body) >= 16:
            long_size, long_at = struct.unpack_from("<8xQ", body)[0], file.at - len(body) + 8
        file.take(-size % align)


def _checked(encoding: str | None, order: str, rate: int, channels: int, width: int | None = None) -> Pcm | None:
    """The form of samples, if it is one of ours; `width`: what the header says of an instant."""
    if encoding is None:
        return None
    if encoding[1:].isdigit() and encoding[1:] != "8":
        encoding += "be" if order == ">" else "le"
    pcm = Pcm(encoding, rate, channels)
    try:
        return pcm.check() if width in (None, pcm.width) else None
    except ValueError:
        return None


def _parse_fmt(body: bytes, order: str) -> Pcm | None:
    if len(body) < 16:
        return None
    code, channels, rate, _, width, bits = struct.unpack_from(order + "HHIIHH", body)
    if code == 0xFFFE and body[26:40] == _GUID:
        code = struct.unpack_from(order + "H", body, 24)[0]
    return _checked(_WAV_ENCODINGS.get((code, bits)), order, rate, channels, width)


def _parse_comm(body: bytes, order: str) -> Pcm | None:
    if len(body) < 18:
        return None
    channels, _, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", body)
    rate = mantissa >> max(0, 16446 - exponent)  # a float of 80 bits
    if not 16383 <= exponent <= 16446 or rate << 16446 - exponent != mantissa:
        return None
    kind = body[18:22] or b"NONE"
    if kind == b"sowt":
        order = "<"
    encoding = f"s{bits}" if kind in (b"NONE", b"twos", b"sowt") and bits in (8, 16, 24, 32) else \
        _AIFC_ENCODINGS.get(kind)
    return _checked(encoding, order, rate, channels)


def _parse_caf(body: bytes, _: str) -> Pcm | None:
    if len(body) < 32:
        return None
    rate, kind, flags, width, _, channels, bits = struct.unpack_from(">d4sIIIII", body)
    encoding = f"{'f' if flags & 1 else 's'}{bits}" if kind == b"lpcm" else kind.decode("latin1")
    if encoding not in ("s8", "s16", "s24", "s32", "f32", "f64", "ulaw", "alaw") or not rate.is_integer():
        return None
    return _checked(encoding, "<" if flags & 2 else ">", int(rate), channels, width)


def _read_au(file: _Counted, order: str) -> Header | None:
    start, size, code, rate, channels = file.unpack(order + "IIIII")
    file.take(start - file.at if start >= file.at else _MAX_HEADER)
    told = None if size == 0 or any(a <= size < b for a, b in _MADE_UP) else size
    return Header(_checked(_AU_ENCODINGS.get(code), order, rate, channels), told, start, 8, order + "I")
