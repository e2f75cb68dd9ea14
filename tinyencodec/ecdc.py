"""The `.ecdc` container: a header, then the codes of each segment.

    offset  size  content
    0       4     the letters ECDC
    4       1     version, 0
    5       4     n, the length of the metadata in bytes, big-endian
    9       n     metadata, JSON: {"m": model name, "al": audio length in samples,
                                   "nc": codebooks, "lm": entropy-coded with a language model}
    9 + n         the segments, one after the other

A segment is its scale, a big-endian float32, if the model normalises its input; then its codes in
`bits_per_code` bits each (`bits`), time-major: every codebook of frame 0, every codebook of frame 1,
and so on; then zero bits up to a byte. How much there is follows from the audio length: segment i
begins at sample i * stride and has n = min(segment length, samples left) samples and ceil(n / hop)
frames. (The official reader computes that in floating point and asks for one frame too many at some
lengths, such as 53 760 samples at 24 kHz; here all is integers.)

Bytes equal those of the official package (`encodec` 0.1.1, binary.py and compress.py) for the same codes.

**A length that is not known beforehand**, of a sound from a pipe. If the output is a file, the length is
written when all is done; as many spaces follow it in the metadata as 2**62 needs digits, which JSON allows,
so that the official reader accepts the file too. If the output is a pipe, only tinyencodec can read what is
written: the streamed form. Its metadata are

    {"m": model name, "al": 0, "nc": codebooks, "lm": false, "stream": true}

and packets take the place of the segments. A packet is the number n of frames in it (1 to 65535) as a
big-endian 16-bit integer, the scale if the model normalises, and the codes of n frames, packed as above and
filled up to a byte. It holds one segment, or in a model of one segment any number of frames (and the same
scale as the packet before). Sixteen zero bits end the packets, and the length in samples follows as a
big-endian 64-bit integer. (`packets`)

Reader and writer work block by block on any binary file object; the reader never seeks, nor takes a byte before
it is needed. But: no files coded with the language model ("lm": true), and bytes after the payload stay unread.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from tinyencodec.bits import BitReader, BitWriter
from tinyencodec.config import CodecConfig
from tinyencodec.ecdc_header import MAGIC, MAX_LENGTH, EcdcHeader, header_bytes, read_header, require, write_header
from tinyencodec.files import is_rewritable
from tinyencodec.packets import (
    MOST_FRAMES,
    PacketReader,
    check_frames,
    pack_scale,
    read_scale,
    write_end,
    write_packets,
)
from tinyencodec.segments import segment_frames

__all__ = ["MAGIC", "EcdcHeader", "EcdcReader", "EcdcWriter", "payload_size", "read_ecdc", "read_header", "write_ecdc",
           "write_header"]

BLOCK_FRAMES = 1024  # frames that the reader returns at once, at most, of a model without segments
_UNKNOWN = MAX_LENGTH - 1  # what a header says until the length is known


class EcdcWriter:
    """Write an `.ecdc` file to `fo`: the header at once; then `write` any number of times; at last `finish`.

    Parameters
    ----------
    fo : binary file object; its `flush` is called after each `write`
    model : name of the model
    config : of the model
    n_codebooks : K
    audio_length : samples per channel; None: told at the end

    Raises `ValueError` for every call that would not give a valid file: wrong number of codebooks, frames or
    segments, a code that does not fit, a scale where the model has none.
    """

    def __init__(self, fo: BinaryIO, model: str, config: CodecConfig, n_codebooks: int,
                 audio_length: int | None = None) -> None:
        self._fo, self._config = fo, config
        self._start = fo.tell() if is_rewritable(fo) else None
        self._most = _UNKNOWN if audio_length is None else audio_length  # samples
        self.streamed = audio_length is None and self._start is None
        self._header = EcdcHeader(model, 0 if self.streamed else self._most, n_codebooks, stream=self.streamed)
        _check_readable(self._header, config)
        if self.streamed and config.segment_length is not None:
            frames = _ceil_div(config.segment_length, config.hop_length)
            require(frames <= MOST_FRAMES, "streamed file", f"segments of at most {MOST_FRAMES} frames", frames)
        self._bits = BitWriter(fo, config.bits_per_code)
        self._allowed = segment_frames(config, self._most)  # frames of segments to come, at most
        self._sizes: list[int] = []  # frames of the segments so far
        self._left = 0  # frames that the latest segment may still get
        fo.write(header_bytes(self._header))

    def write(self, codes, scale: float | None = None) -> None:
        """Append codes, integers [K, F] below 2**bits_per_code: a whole segment, or, of a model without segments,
        the next frames. `scale`: finite and not negative if the model normalises, else None.
        """
        codes = np.asarray(codes)
        require(codes.ndim == 2 and codes.shape[0] == self._header.n_codebooks, "codes",
                f"shape [{self._header.n_codebooks}, F]", list(codes.shape))
        if not codes.size:
            return
        segmented = self._config.segment_length is not None
        begins = segmented or not self._sizes
        if begins:
            frames = next(self._allowed, None)
            require(frames is not None, "segments", f"those of {self._most} samples", "more")
            self._left = frames
            self._sizes.append(0)
        require(codes.shape[1] <= self._left, "codes", f"at most {self._left} more frames", codes.shape[1])
        require(self._config.normalize or scale is None, "scale", "None, since the model does not normalise", scale)
        packed = pack_scale(scale) if self._config.normalize else b""
        if self.streamed:
            write_packets(self._fo, codes, scale, self._config.bits_per_code)
        else:
            self._fo.write(packed if begins else b"")
            self._bits.write(codes.T)  # [K, F] -> [F, K]
            if segmented:
                self._bits.flush()
        self._fo.flush()
        self._left -= codes.shape[1]
        self._sizes[-1] += codes.shape[1]

    def finish(self, audio_length: int | None = None) -> None:
        """Complete the file, which stays open.

        audio_length : samples per channel; None: as many as announced. Fewer can be corrected in a file that
            can be rewritten only.
        """
        length = self._most if audio_length is None else audio_length
        require(1 <= length <= self._most, "audio length", f"1 to {self._most} samples", length)
        check_frames(self._config, self._sizes, length)
        if self.streamed:
            write_end(self._fo, length)
        else:
            self._bits.flush()
            if length != self._most:
                require(self._start is not None, "audio length", f"{self._most} samples as announced", length)
                header = EcdcHeader(self._header.model, length, self._header.n_codebooks)
                end = self._fo.tell()
                self._fo.seek(self._start)
                self._fo.write(header_bytes(header, room=len(str(self._most))))
                self._fo.seek(end)
        self._fo.flush()


class EcdcReader:
    """Iterate, once, over pairs (codes int64 [K, F], scale or None) of the file `fo`, whose `header` has been read.

    A pair is a segment, or of a model without segments as many frames as `block_frames` or a packet have, the
    scale being the same in all. Memory is that of a pair, whatever length the header claims.

    audio_length : samples; of a streamed file, None until all has been read

    Raises `ValueError` for a header that does not fit the model, a bad scale, or in a streamed file frames
    that do not fit the length; `EOFError` when the file ends early.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig, block_frames: int = BLOCK_FRAMES) -> None:
        _check_readable(header, config)
        self.audio_length = None if header.stream else header.audio_length
        self._fo, self._header, self._config, self._block_frames = fo, header, config, block_frames

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None]]:
        n_codebooks, width = self._header.n_codebooks, self._config.bits_per_code
        if self._header.stream:
            packets = PacketReader(self._fo, self._header, self._config)
            for packet in packets:
                yield packet.codes(n_codebooks, width), packet.scale
            self.audio_length = packets.audio_length
            return
        for n_frames in segment_frames(self._config, self.audio_length):
            scale = read_scale(self._fo) if self._config.normalize else None
            bits = BitReader(self._fo, width)  # a new one: segments begin at a byte
            block = n_frames if self._config.segment_length is not None else self._block_frames
            for start in range(0, n_frames, block):
                codes = bits.read(min(block, n_frames - start) * n_codebooks)
                yield np.ascontiguousarray(codes.reshape(-1, n_codebooks).T), scale  # [F, K] -> [K, F]


def payload_size(config: CodecConfig, header: EcdcHeader) -> int:
    """Bytes after the header in a file without language model or packets, found without a walk over its segments."""

    def size(frames: int) -> int:
        bits = frames * header.n_codebooks * config.bits_per_code
        return _ceil_div(bits, 8) + (len(pack_scale(0)) if config.normalize else 0)

    stride, length = config.segment_stride or header.audio_length, config.segment_length or header.audio_length
    full = max(0, (header.audio_length - length) // stride + 1)  # segments of full length; then a few short ones
    tail = header.audio_length - full * stride  # <= 0 when the last full one reaches the end, and no segment begins
    return full * size(_ceil_div(length, config.hop_length)) + sum(map(size, segment_frames(config, tail)))


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def write_ecdc(fo: BinaryIO, model, frames: Iterable[tuple], audio_length: int) -> None:
    """Write `frames`, pairs (codes [K, F], scale or None) as `model.encode` returns them, with their header.

    `audio_length` is in samples per channel. Raises `ValueError` when the frames do not belong to that
    length or to this model, of which only `name` and `config` are used.
    """
    frames = list(frames)
    require(frames, "frames", "at least one segment", "none")
    writer = EcdcWriter(fo, model.name, model.config, len(frames[0][0]), audio_length)
    for codes, scale in frames:
        writer.write(codes, scale)
    writer.finish()


def read_ecdc(fo: BinaryIO, model, header: EcdcHeader) -> list[tuple[np.ndarray, float | None]]:
    """Read all segments after `header`: pairs (codes int64 [K, F], scale or None) for `model.decode`.

    Raises `ValueError` when the header does not belong to this model, `EOFError` when the file ends early.
    """
    require(header.model == model.name, "model", repr(model.name), header.model)
    pairs = list(EcdcReader(fo, header, model.config))
    if model.config.segment_length is not None:
        return pairs
    return [(np.concatenate([codes for codes, _ in pairs], axis=1), pairs[0][1])]


def _check_readable(header: EcdcHeader, config: CodecConfig) -> None:
    if header.lm:
        raise ValueError("files coded with the language model cannot be read or written by this version: "
                         "expected lm false, got lm true")
    require(header.n_codebooks <= config.n_codebooks, f"codebooks (nc) of model {header.model}",
            f"1 to {config.n_codebooks}", header.n_codebooks)
