"""Samples as plain bytes: how they lie, how they are read, and the WAV header that goes before ours.

Raw PCM is nothing but samples, the channels of one instant side by side. `headers` reads the containers that put
something in front.

But: of the compressed encodings only u-law and A-law, which are tables of 256 values; libsndfile decodes the others.

Chapter 1 of the tutorials uses it.
"""

import struct
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from tinyencodec.audio.resample import checked_rate

RAW = ("s16le", "f32le")  # encodings of raw PCM
MAX_WAV_DATA = (1 << 32) - 1024  # bytes: a WAV file counts them in 32 bits

# Encoding: what NumPy calls it, bytes of a sample, and full scale. Samples of 24 bits have no NumPy type.
_ENCODINGS = {
    "u8": ("u1", 1, 1 << 7), "s8": ("i1", 1, 1 << 7), "ulaw": ("u1", 1, 1), "alaw": ("u1", 1, 1),
    "s16le": ("<i2", 2, 1 << 15), "s24le": ("<i4", 3, 1 << 31), "s32le": ("<i4", 4, 1 << 31),
    "s16be": (">i2", 2, 1 << 15), "s24be": (">i4", 3, 1 << 31), "s32be": (">i4", 4, 1 << 31),
    "f32le": ("<f4", 4, 1), "f64le": ("<f8", 8, 1), "f32be": (">f4", 4, 1), "f64be": (">f8", 8, 1)}
_UNKNOWN = 0xFFFFFFFF  # a length in a WAV header: until the end
_CHUNK, _FMT = struct.Struct("<4sI"), struct.Struct("<HHIIHH")


class Pcm(NamedTuple):
    """How samples lie in a row of bytes. `check` it when it comes from outside."""

    encoding: str  # u8, s8, ulaw, alaw; s16, s24, s32, f32, f64 with le or be
    sample_rate: int  # Hz
    channels: int

    @property
    def width(self) -> int:
        """Bytes of one instant, all channels."""
        return _ENCODINGS[self.encoding][1] * self.channels

    def check(self) -> "Pcm":
        """Itself, or a `ValueError` for an unknown encoding or a number out of range."""
        if self.encoding not in _ENCODINGS:
            raise ValueError(f"raw samples: expected one of {', '.join(_ENCODINGS)}, got {self.encoding!r}")
        checked_rate(self.sample_rate)
        if not 1 <= self.channels <= 1024:
            raise ValueError(f"channels: expected 1 to 1024, got {self.channels}")
        return self

    def decode(self, data: bytes) -> np.ndarray:
        """Whole instants as float32 [C, n], integers scaled to -1 ... 1."""
        dtype, size, full_scale = _ENCODINGS[self.encoding]
        if self.encoding in ("ulaw", "alaw"):
            values = _law(self.encoding)[np.frombuffer(data, dtype)]
        elif self.encoding == "u8":
            values = (np.frombuffer(data, dtype) ^ 0x80).view("i1")
        elif size == 3:  # as the upper bytes of 32 bits: times 256
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)[:, ::1 if dtype[0] == "<" else -1]
            values = wide.view("<i4")[:, 0]
        else:
            values = np.frombuffer(data, dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold is infinite, and refused later
            wav = values.reshape(-1, self.channels).T.astype(np.float32, order="C")  # [n, C] -> [C, n]
        if full_scale != 1:
            wav *= np.float32(1 / full_scale)
        return wav


@lru_cache(maxsize=2)
def _law(encoding: str) -> np.ndarray:
    """The 256 values of u-law or A-law (ITU-T G.711): a sign, 3 bits of exponent, 4 of mantissa."""
    code = np.arange(256) ^ (0xFF if encoding == "ulaw" else 0x55)
    exponent, mantissa = code >> 4 & 7, code & 15
    if encoding == "ulaw":
        size, negative = ((2 * mantissa + 33 << exponent) - 33) * 4, code >= 128
    else:
        size, negative = (2 * mantissa + np.where(exponent > 0, 33, 1) << np.maximum(exponent, 1) - 1) * 8, code < 128
    return (np.where(negative, -size, size) / 32768).astype(np.float32)


def encode(wav: np.ndarray, encoding: str) -> bytes:
    """Samples [C, n] as "s16le" (they must be below 1 in size) or "f32le"."""
    if encoding == "s16le":
        wav = np.rint(wav * np.float32(32768))
    return wav.T.astype(_ENCODINGS[encoding][0], order="C").tobytes()


class PcmReader:
    """Samples from a binary file object that need not seek, as they arrive.

    Parameters
    ----------
    size : bytes to read, at most; None: up to the end
    promised : bytes that a header promises; None: no promise
    at_once : samples in a block, at most
    start : bytes of samples that have been read from `fo` already

    Attributes
    ----------
    length : samples, if `size` is told
    missing : promised samples that were not there; holds at the end
    rest : at the end, the bytes of a part of an instant
    remark : what else is to be told
    """

    def __init__(self, fo: BinaryIO, pcm: Pcm, size: int | None, promised: int | None, at_once: int,
                 start: bytes = b"") -> None:
        self.sample_rate, self.channels, self.missing, self.remark = pcm.sample_rate, pcm.channels, 0, ""
        self.length = None if size is None else size // pcm.width
        self._pcm, self._left, self._at_once = pcm, size, at_once * pcm.width
        self._promised = 0 if promised is None else promised // pcm.width
        self._read_some = getattr(fo, "read1", fo.read)  # what has come, rather than wait for more
        self.rest = start
        self._taken = 0

    def read(self) -> np.ndarray:
        """The next samples, float32 [C, n], as soon as one has come; n = 0 at the end, where part of one is dropped."""
        data = self.rest
        while len(data) < self._pcm.width:
            piece = self._read_some(self._at_once if self._left is None else min(self._left, self._at_once))
            if not piece:
                self.rest, self.missing = data, max(0, self._promised - self._taken)
                return self._pcm.decode(b"")
            self._left = None if self._left is None else self._left - len(piece)
            data += piece
        whole = len(data) // self._pcm.width * self._pcm.width
        self.rest = data[whole:]
        self._taken += whole // self._pcm.width
        return self._pcm.decode(data[:whole])

    def close(self) -> None:
        """Nothing to be done: the file object is not ours."""


def wav_header(sample_rate: int, channels: int, length: int | None) -> bytes:
    """The 44 bytes before the samples of a 16-bit WAV file. `length` in samples; None: not known (yet)."""
    width = 2 * channels
    if width * sample_rate > _UNKNOWN or width > 0xFFFF:
        raise ValueError(f"expected a signal that WAV can hold, got {channels} channels at {sample_rate} Hz")
    size = _UNKNOWN if length is None else length * width
    fmt = _FMT.pack(1, channels, sample_rate, sample_rate * width, width, 16)
    return (_CHUNK.pack(b"RIFF", min(size + 36, _UNKNOWN)) + b"WAVE" + _CHUNK.pack(b"fmt ", len(fmt)) + fmt
            + _CHUNK.pack(b"data", size))
