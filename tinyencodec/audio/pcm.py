"""Samples as plain bytes: raw PCM, and WAV files that come and go through pipes.

Raw PCM is nothing but samples, the channels of one instant side by side, little-endian. A WAV file puts
two chunks in front, each with its length:

    RIFF <size> WAVE
    fmt  <16 or more>   encoding, channels, rate, bytes per second, bytes per instant, bits per sample
    data <size>         the samples

A program that writes to a pipe does not know the sizes when it writes the header: ffmpeg puts 0xFFFFFFFF or
0 there, sox and arecord a number around 2**31. Such a length means: until the end.

But: of the encodings, only PCM of 16, 24 and 32 bits and floats; libsndfile reads the others, from disk.

Chapter 1 of the tutorials uses it.
"""

import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from tinyencodec.audio.resample import checked_rate
from tinyencodec.system.files import read_exactly

RAW = ("s16le", "f32le")  # encodings of raw PCM
MAX_WAV_DATA = (1 << 32) - 1024  # bytes: a WAV file counts them in 32 bits

_DTYPES = {"s16le": "<i2", "s24le": "u1", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
_WIDTHS = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
_ENCODINGS = {(1, 16): "s16le", (1, 24): "s24le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le"}
_EXTENSIBLE = 0xFFFE  # the encoding is then the beginning of a GUID that ends so:
_GUID = bytes.fromhex("000000001000800000aa00389b71")
_UNKNOWN, _DOUBTFUL = 0xFFFFFFFF, 0x7FFFF000  # lengths of data; from the second on a program may have made it up
_MAX_HEADER = 1 << 20  # bytes before the samples; a longer header is left to libsndfile
_CHUNK, _FMT = struct.Struct("<4sI"), struct.Struct("<HHIIHH")


class Pcm(NamedTuple):
    """How samples lie in a row of bytes. `check` it when it comes from outside."""

    encoding: str  # s16le, s24le, s32le, f32le, f64le
    sample_rate: int  # Hz
    channels: int

    @property
    def width(self) -> int:
        """Bytes of one instant, all channels."""
        return _WIDTHS[self.encoding] * self.channels

    def check(self) -> "Pcm":
        """Itself, or a `ValueError` for an unknown encoding or a number out of range."""
        if self.encoding not in _WIDTHS:
            raise ValueError(f"raw samples: expected one of {', '.join(_WIDTHS)}, got {self.encoding!r}")
        checked_rate(self.sample_rate)
        if not 1 <= self.channels <= 1024:
            raise ValueError(f"channels: expected 1 to 1024, got {self.channels}")
        return self

    def decode(self, data: bytes) -> np.ndarray:
        """Whole instants as float32 [C, n], integers scaled to -1 ... 1."""
        if self.encoding == "s24le":
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = wide.view("<i4")[:, 0]  # times 256
        else:
            values = np.frombuffer(data, _DTYPES[self.encoding])
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and refused later
            wav = values.reshape(-1, self.channels).T.astype(np.float32, order="C")  # [n, C] -> [C, n]
        if self.encoding[0] == "s":
            wav *= np.float32(2.0 ** -(15 if self.encoding == "s16le" else 31))
        return wav


def encode(wav: np.ndarray, encoding: str) -> bytes:
    """Samples [C, n] as "s16le" (they must be below 1 in size) or "f32le"."""
    if encoding == "s16le":
        wav = np.rint(wav * np.float32(32768))
    return wav.T.astype(_DTYPES[encoding], order="C").tobytes()


class PcmReader:
    """Samples from a binary file object that need not seek, as they arrive.

    Parameters
    ----------
    size : bytes to read; None: up to the end
    certain : whether fewer bytes than `size` are an error (`EOFError`)
    at_once : samples in a block, at most
    """

    def __init__(self, fo: BinaryIO, pcm: Pcm, size: int | None, certain: bool, at_once: int) -> None:
        self.sample_rate, self.channels = pcm.sample_rate, pcm.channels
        self.length = size // pcm.width if certain and size is not None else None  # samples, if known
        self._pcm, self._left, self._certain, self._at_once = pcm, size, certain, at_once * pcm.width
        self._read_some = getattr(fo, "read1", fo.read)  # what has come, rather than wait for more
        self._rest = b""  # of an instant
        self._taken = 0

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n], as soon as one has come; n = 0 at the end, where part of one is dropped."""
        data = self._rest
        while len(data) < self._pcm.width:
            piece = self._read_some(self._at_once if self._left is None else min(self._left, self._at_once))
            if not piece:
                if self._certain and self._left:
                    raise EOFError(f"file ends early: expected {self.length} samples, got {self._taken}")
                return self._pcm.decode(b"")
            self._left = None if self._left is None else self._left - len(piece)
            data += piece
        whole = len(data) // self._pcm.width * self._pcm.width
        self._rest = data[whole:]
        self._taken += whole // self._pcm.width
        return self._pcm.decode(data[:whole])

    def close(self) -> None:
        """Nothing to be done: the file object is not ours."""


def read_wav_header(fo: BinaryIO) -> tuple[Pcm, int | None, bool] | None:
    """Read a WAV file up to its samples: their form, their size in bytes (None: to the end), and whether it is certain.

    None for anything but a WAV file of the encodings above, even an incomplete one: `fo` has then been read in part.
    """
    try:
        if read_exactly(fo, 4, "") != b"RIFF" or read_exactly(fo, 8, "")[4:] != b"WAVE":
            return None
        pcm, room = None, _MAX_HEADER
        while True:
            name, size = _CHUNK.unpack(read_exactly(fo, _CHUNK.size, ""))
            if name == b"data":
                if pcm is None:
                    return None
                return pcm, None if size in (0, _UNKNOWN) else size, 0 < size < _DOUBTFUL
            room -= size
            if room < 0:
                return None
            body = read_exactly(fo, size + size % 2, "")  # chunks begin at even places
            if name == b"fmt ":
                pcm = _parse_fmt(body)
    except EOFError:
        return None


def _parse_fmt(body: bytes) -> Pcm | None:
    if len(body) < _FMT.size:
        return None
    code, channels, rate, _, width, bits = _FMT.unpack_from(body)
    if code == _EXTENSIBLE and body[26:40] == _GUID:
        code = int.from_bytes(body[24:26], "little")
    if (code, bits) not in _ENCODINGS:
        return None
    pcm = Pcm(_ENCODINGS[code, bits], rate, channels)
    try:
        return pcm.check() if width == pcm.width else None
    except ValueError:
        return None


def wav_header(sample_rate: int, channels: int, length: int | None) -> bytes:
    """The 44 bytes before the samples of a 16-bit WAV file. `length` in samples; None: not known (yet)."""
    width = 2 * channels
    if width * sample_rate > _UNKNOWN or width > 0xFFFF:
        raise ValueError(f"expected a signal that WAV can hold, got {channels} channels at {sample_rate} Hz")
    size = _UNKNOWN if length is None else length * width
    fmt = _FMT.pack(1, channels, sample_rate, sample_rate * width, width, 16)
    return (_CHUNK.pack(b"RIFF", min(size + 36, _UNKNOWN)) + b"WAVE" + _CHUNK.pack(b"fmt ", len(fmt)) + fmt
            + _CHUNK.pack(b"data", size))
