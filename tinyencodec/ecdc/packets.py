"""Packets: the payload of an `.ecdc` file in streamed form, whose length is unknown until it ends.

    size   content                                                      (all big-endian)
    2      frames n in this packet, 1 to 65535
    4      the scale, float32, if the model normalises
    ...    the codes of n frames as everywhere (`bits`), then zero bits up to a byte
    ...    further packets
    2      0: no more packets
    8      audio length in samples

A packet is one segment of a model with segments. Otherwise it has any number of frames, as many as were certain when
it was written, and the scale, if any, is the same in all packets. Reader and writer never seek, and the reader takes no
byte that it does not need: each packet can be decoded when its last byte has come.

Chapter 11 of the tutorials uses it.
"""

import struct
from collections.abc import Iterator
from itertools import zip_longest
from typing import BinaryIO, cast

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.bits import BitReader
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.ecdc.header import MAX_LENGTH, EcdcHeader
from tinyencodec.system.errors import require
from tinyencodec.system.files import read_exactly

MOST_FRAMES = 0xFFFF  # in a packet

_COUNT, _SCALE, _LENGTH = struct.Struct("!H"), struct.Struct("!f"), struct.Struct("!Q")
_MAX_FLOAT32 = float(np.finfo(np.float32).max)


class PacketWriter:
    """Write codes as packets, each at once.

    Raises `ValueError` for a model whose segments do not fit a packet.
    """

    def __init__(self, fo: BinaryIO, config: CodecConfig) -> None:
        frames = config.frames_per_segment or 0
        require(frames <= MOST_FRAMES, "streamed file", f"segments of at most {MOST_FRAMES} frames", frames)
        self._fo, self._coder = fo, FixedCoder(config.bits_per_code)

    def write(self, codes: np.ndarray, scale: float | None) -> None:
        """Write integer codes [K, F], each below 2**bits_per_code: a packet, or several if they are too many for one.
        """
        for start in range(0, codes.shape[1], MOST_FRAMES):
            part = codes[:, start:start + MOST_FRAMES]
            head = _COUNT.pack(part.shape[1]) + (b"" if scale is None else pack_scale(scale))
            self._fo.write(head + self._coder.encode([part])[0])

    def finish(self, audio_length: int) -> None:
        """Write what follows the last packet."""
        self._fo.write(_COUNT.pack(0) + _LENGTH.pack(audio_length))


class PacketReader:
    """Iterate, once, over pairs (codes int64 [K, F], scale or None), one for each packet of a streamed file.

    fo : binary file object, after the `header`
    audio_length : samples; None until all packets have been read

    Raises `ValueError` for a bad scale, a segment that is too long, or frames that are not those of the length;
    `EOFError` when the file ends early.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig) -> None:
        self.audio_length: int | None = None
        self._fo, self._config, self._n_codebooks = fo, config, header.n_codebooks
        self._sizes: list[int] = []  # frames of each segment

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None]]:
        full = self._config.frames_per_segment
        while n := _COUNT.unpack(read_exactly(self._fo, _COUNT.size, "packet length"))[0]:
            scale = read_scale(self._fo) if self._config.normalize else None
            require(full is None or n <= full, "packet", f"at most the {full} frames of a segment", n)
            codes = BitReader(self._fo, self._config.bits_per_code).read(n * self._n_codebooks)  # ends at a byte
            if full is None and self._sizes:
                self._sizes[0] += n
            else:
                self._sizes.append(n)
            yield np.ascontiguousarray(codes.reshape(n, -1).T), scale  # [F, K] -> [K, F]
        length = _LENGTH.unpack(read_exactly(self._fo, _LENGTH.size, "audio length"))[0]
        require(1 <= length <= MAX_LENGTH, "audio length", "1 to 2**62 samples", length)
        check_frames(self._config, self._sizes, length)
        self.audio_length = length


def check_frames(config: CodecConfig, sizes: list[int], audio_length: int) -> None:
    """Raise `ValueError` unless segments of `sizes` frames are those of a signal of `audio_length` samples."""
    fits = all(a == b for a, b in zip_longest(sizes, segment_frames(config, audio_length)))
    require(fits, "frames", f"those of {audio_length} samples",
            f"{sum(sizes)} in {len(sizes)} segment{'s' * (len(sizes) != 1)}")


def pack_scale(scale: float | None) -> bytes:
    """A scale as it is stored; `ValueError` unless it is a finite number of at least 0."""
    return _SCALE.pack(checked_scale(scale))


def read_scale(fo: BinaryIO) -> float:
    """The next scale."""
    return checked_scale(*_SCALE.unpack(read_exactly(fo, _SCALE.size, "scale")))


def checked_scale(scale: float | None) -> float:
    """`scale`, or a `ValueError` unless it is a finite number of at least 0."""
    require(scale is not None and 0 <= scale <= _MAX_FLOAT32, "scale", "a finite number of at least 0", scale)
    return cast(float, scale)
