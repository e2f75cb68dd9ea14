"""Blocks: the payload of an `.ecdc` file of version 1, which loses no more than a block to a damaged place.

    offset  size  content                                                        (all big-endian)
    0       4     the letters ECDC
    4       1     version, 1
    5       4     n, the length of the metadata in bytes, at most 1024
    9       n     metadata, JSON: {"m": model name, "al": audio length in samples, "nc": codebooks,
                                   "lm": whether entropy is "lm", "entropy": "none", "table" or "lm",
                                   "block": frames in each block but the last}
    9 + n   4     CRC-32 of all before it
    13 + n        the blocks, one after the other

Metadata go on with "coder", 16 hex digits that name the tables or the language model by their content, unless
entropy is "none"; with "arithmetic", the version of the arithmetic that the language model is computed in, if
it is "lm"; with "stream": true, and al is 0, if the length is told at the end only.

    size    content of a block
    4       CRC-32 of the rest of the block
    2       number of the block, from 0, modulo 2**16
    2       frames n in it, 1 to 65535
    2       length of what follows in bytes
    0 or 1  number of segments, if the model has segments
    4 s     s scales, float32, if the model normalises: one for each segment; one for a model without segments
    ...     the coded frames, by "entropy": fixed width as everywhere (`bits`), then zero bits up to a byte; or what
            the tables or the language model make of them, which begin anew in each block
    2       unless entropy is "none": the low half of the CRC-32 of the codes as they should come out, each a
            little-endian 16-bit integer, every codebook of frame 0, every codebook of frame 1, and so on

An end block follows the last: its number, no frames, length 8, and the audio length in samples as a 64-bit integer.

Each block can be decoded on its own. A model without segments puts exactly `block` frames into each, and the rest into
the last one. A model with segments puts whole segments there, block / (frames of a full segment) of them; the short
segments that end a signal all come into the last block. So the number of a block tells where it belongs, its frames
and segments how long it is, and a hole between two blocks what is missing. Checksums find every burst of up to
32 bits, and miss other damage once in 2**32 times. `block_search` finds the next block after a damaged place.

A block costs 10 bytes, an entropy-coded one 12, with segments 1 more; the end block 18. In 4 s blocks that is 24 bit/s.

Chapter 11 of the tutorials walks through it.
"""

import struct
import zlib
from bisect import bisect_left

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames, split_frames
from tinyencodec.ecdc.header import BLOCK_SECONDS, MAX_FRAMES
from tinyencodec.system.errors import require

HEAD = struct.Struct("!IHHH")
LENGTH = struct.Struct("!Q")  # what an end block holds
CHECK = struct.Struct("!H")

_MOST_BYTES = 0xFFFF  # in a block, after its head
_CODE_BITS = 25  # that entropy coding may take for one code, at most, when it is very improbable
_ROOM = 16  # bytes: the check, and what a coder adds at its end


def block_bytes(number: int, frames: int, content: bytes) -> bytes:
    """A whole block."""
    require(len(content) <= _MOST_BYTES, "block", f"at most {_MOST_BYTES} bytes", len(content))
    data = HEAD.pack(0, number & 0xFFFF, frames, len(content))[4:] + content
    return zlib.crc32(data).to_bytes(4, "big") + data


def end_bytes(number: int, audio_length: int) -> bytes:
    """The end block after so many blocks."""
    return block_bytes(number, 0, LENGTH.pack(audio_length))


def codes_check(codes: np.ndarray) -> bytes:
    """The check of integer codes [K, F]."""
    return CHECK.pack(zlib.crc32(codes.T.astype("<u2").tobytes()) & 0xFFFF)


class Layout:
    """How a signal lies in blocks.

    Parameters
    ----------
    config : of the model
    n_codebooks : K
    block : frames in each block but the last
    coded : whether by tables or a language model

    Attributes
    ----------
    n_segments : segments in each block but the last; 0 for a model without segments
    most_frames : that a block may have

    Raises `ValueError` when a block does not hold whole segments, or what it may hold does not fit.
    """

    def __init__(self, config: CodecConfig, n_codebooks: int, block: int, coded: bool) -> None:
        full, stride = config.frames_per_segment or 0, config.segment_stride or 0
        require(not full or block % full == 0, "frames per block (block)",
                f"a multiple of the {full} frames of a segment", block)
        self.block, self.coded, self.n_segments = block, coded, block // full if full else 0
        self.most_frames = _most_frames(config, block)
        self._config, self._full, self._stride = config, full, stride
        self._step = self.n_segments * stride or block * config.hop_length  # samples from one block to the next
        self._full_sizes = [full] * self.n_segments or [block]  # frames of each segment in all blocks but the last
        self._extra = [bool(full) + 4 * n * config.normalize for n in (1, (self.n_segments or -1) + 2)]  # bytes
        self._frame_bits, self._coded_bits = n_codebooks * config.bits_per_code, n_codebooks * _CODE_BITS
        require(_fits(config, n_codebooks, block), "frames per block (block)",
                f"at most the {_largest_block(config, n_codebooks)} that surely fit {_MOST_BYTES} bytes", block)

    def start(self, number: int) -> int:
        """The sample at which a block begins."""
        return number * self._step

    def end(self, number: int, audio_length: int | None) -> int:
        """The sample before which a block ends: where the next one begins, or the signal ends."""
        if audio_length is not None and number + 1 >= self.count(audio_length):
            return audio_length
        return self.start(number + 1)

    def count(self, audio_length: int) -> int:
        """How many blocks there are."""
        full = self._full_blocks(audio_length)
        return full + (self.start(full) < audio_length)

    def _full_blocks(self, audio_length: int) -> int:
        if not self._full:
            return audio_length // self._step
        shortest = (self._full - 1) * self._config.hop_length + 1  # samples that fill a segment
        full_segments = max(0, -(-(audio_length - shortest + 1) // self._stride))
        return full_segments // self.n_segments

    def sizes(self, number: int, audio_length: int | None) -> list[int]:
        """Frames of each segment in a block; [] after the last. With the length unknown, those of a block before it."""
        if audio_length is None or number < self._full_blocks(audio_length):
            return self._full_sizes
        if number > self._full_blocks(audio_length):
            return []
        return list(segment_frames(self._config, max(0, audio_length - self.start(number))))

    def split(self, frames: int, n_segments: int) -> list[int]:
        """Frames of each segment in a block of so many frames and segments; `ValueError` if there is no such block."""
        if not self._full:
            return [frames]
        if (frames, n_segments) == (self.block, self.n_segments):
            return self._full_sizes
        sizes = split_frames(self._config, frames)
        require(len(sizes) == n_segments and sizes.count(self._full) < self.n_segments, "segments",
                f"{len(sizes)}, and less than a block, of {frames} frames", n_segments)
        return sizes

    def plausible(self, frames: int, length: int) -> bool:
        """Whether a block of so many frames may have so many bytes, told quickly and generously."""
        if not frames:
            return length == LENGTH.size
        if frames > self.most_frames:
            return False
        packed = -(-frames * self._frame_bits // 8)
        least, most = (CHECK.size, frames * self._coded_bits // 8 + _ROOM) if self.coded else (packed, packed)
        return least + self._extra[0] <= length <= most + self._extra[1]

    def name(self, number: int, audio_length: int | None, after: int | None = None) -> str:
        """How to speak of a block, or of all from this one to the one before number `after`."""
        after = number + 1 if after is None else after
        start, end, rate = self.start(number), self.end(after - 1, audio_length), self._config.sampling_rate
        if audio_length is not None and number >= self.count(audio_length):
            return f"end block (at {audio_length / rate:.3f} s)"
        which = f"block {number}" if after == number + 1 else f"blocks {number} to {after - 1}"
        return f"{which} ({start / rate:.3f} s to {end / rate:.3f} s)"


def frames_per_block(config: CodecConfig, n_codebooks: int, seconds: float | None = None) -> int:
    """The frames in a block of about so many seconds, whole segments and at least one of them or one frame.

    None: BLOCK_SECONDS, or less where that could not fit. Raises `ValueError` for what cannot fit.
    """
    wanted = BLOCK_SECONDS if seconds is None else seconds
    require(0 < wanted < float("inf"), "block", "a positive number of seconds", seconds)
    unit, step = config.frames_per_segment or 1, config.segment_stride or config.hop_length  # frames, samples
    most = _largest_block(config, n_codebooks)
    require(most, "block", f"a segment that surely fits {_MOST_BYTES} bytes", f"{unit} frames of {n_codebooks} codes")
    longest = 100 * (most // unit) * step // config.sampling_rate / 100  # seconds, rounded down
    block = unit * max(1, round(min(wanted * config.sampling_rate / step, MAX_FRAMES)))
    require(block <= most or seconds is None, "block",
            f"at most {longest:g} s, which fit {_MOST_BYTES} bytes", seconds)
    return min(block, most)


def _most_frames(config: CodecConfig, block: int) -> int:
    return block + (config.frames_per_segment or 0)  # two short segments may follow all but one full ones


def _fits(config: CodecConfig, n_codebooks: int, block: int) -> bool:
    frames, full = _most_frames(config, block), config.frames_per_segment
    segments = block // full + 2 if full else 1
    size = 1 + 4 * segments + frames * n_codebooks * _CODE_BITS // 8 + _ROOM
    return frames <= MAX_FRAMES and segments <= 0xFF and size <= _MOST_BYTES


def _largest_block(config: CodecConfig, n_codebooks: int) -> int:
    """Frames; 0 if not even one segment fits."""
    unit = config.frames_per_segment or 1
    units = range(1, MAX_FRAMES // unit + 1)
    return unit * bisect_left(units, True, key=lambda n: not _fits(config, n_codebooks, n * unit))
