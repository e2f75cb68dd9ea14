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
Reader and writer work block by block on any binary file object and never seek. But: no files coded with
the language model ("lm": true), and bytes after the payload stay unread.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from tinyencodec.bits import BitReader, BitWriter, read_exactly
from tinyencodec.config import CodecConfig
from tinyencodec.segments import segment_frames

MAGIC, VERSION = b"ECDC", 0
MAX_METADATA = 1 << 16  # bytes; real ones have about 60
BLOCK_FRAMES = 1024  # frames the reader returns at once, at most

_FIXED, _SCALE = struct.Struct("!4sBI"), struct.Struct("!f")
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class EcdcHeader:
    """What an `.ecdc` file says about itself. Raises `ValueError` for a wrong type or value."""

    model: str  # 1 to 100 of A-Z a-z 0-9 . _ -, no dot first: also a safe folder name
    audio_length: int  # samples per channel, 1 to 2**62
    n_codebooks: int  # 1 to 1024
    lm: bool = False  # coded with the help of a language model

    def __post_init__(self) -> None:
        _require(isinstance(self.model, str) and _NAME.fullmatch(self.model), "model name (m)",
                 "1 to 100 letters, digits, '.', '_', '-', no dot first", self.model)
        _require(type(self.audio_length) is int and 1 <= self.audio_length <= 1 << 62, "audio length (al)",
                 "an integer from 1 to 2**62", self.audio_length)
        _require(type(self.n_codebooks) is int and 1 <= self.n_codebooks <= 1024, "codebooks (nc)",
                 "an integer from 1 to 1024", self.n_codebooks)
        _require(type(self.lm) is bool, "language model (lm)", "true or false", self.lm)


def write_header(fo: BinaryIO, header: EcdcHeader) -> None:
    """Write the magic, the version and the metadata."""
    fields = {"m": header.model, "al": header.audio_length, "nc": header.n_codebooks, "lm": header.lm}
    metadata = json.dumps(fields).encode("utf-8")  # key order and default spacing are part of the format
    fo.write(_FIXED.pack(MAGIC, VERSION, len(metadata)) + metadata)


def read_header(fo: BinaryIO) -> EcdcHeader:
    """Read a header; `fo` then stands at the payload. Unknown keys in the metadata are ignored.

    Raises `ValueError` when this is no `.ecdc` file of version 0, `EOFError` when it ends early.
    """
    try:
        return _parse_header(fo)
    except ValueError as error:
        raise ValueError(f"not an .ecdc file: {error}") from None


def _parse_header(fo: BinaryIO) -> EcdcHeader:
    magic = read_exactly(fo, len(MAGIC), "header")  # apart: a short file of another kind is that, not truncated
    _require(magic == MAGIC, "first bytes", repr(MAGIC), magic)
    _, version, size = _FIXED.unpack(magic + read_exactly(fo, _FIXED.size - len(MAGIC), "header"))
    _require(version == VERSION, "version", str(VERSION), version)
    _require(size <= MAX_METADATA, "metadata length", f"at most {MAX_METADATA} bytes", size)
    text = read_exactly(fo, size, "metadata")
    try:
        fields = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        fields = None
    _require(isinstance(fields, dict), "metadata", "a JSON object", text)
    _require({"m", "al", "nc", "lm"} <= fields.keys(), "metadata", "the keys m, al, nc, lm", sorted(fields))
    return EcdcHeader(fields["m"], fields["al"], fields["nc"], fields["lm"])


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def payload_size(config: CodecConfig, header: EcdcHeader) -> int:
    """Bytes after the header in a file without language model, found without a walk over its segments."""

    def size(frames: int) -> int:
        bits = frames * header.n_codebooks * config.bits_per_code
        return _ceil_div(bits, 8) + (_SCALE.size if config.normalize else 0)

    stride, length = config.segment_stride or header.audio_length, config.segment_length or header.audio_length
    full = max(0, (header.audio_length - length) // stride + 1)  # segments of full length; then a few short ones
    tail = header.audio_length - full * stride  # <= 0 when the last full one reaches the end, and no segment begins
    return full * size(_ceil_div(length, config.hop_length)) + sum(map(size, segment_frames(config, tail)))


class EcdcWriter:
    """Write an `.ecdc` file to `fo`: the header at once; then for each segment `start_segment`, `write` any
    number of times, `end_segment`; at last `finish`.

    Raises `ValueError` for every call that would not give a valid file: wrong order, wrong number of
    codebooks, frames or segments, a code that does not fit, a scale where the model has none.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig) -> None:
        _check_readable(header, config)
        self._fo, self._header, self._config = fo, header, config
        self._bits = BitWriter(fo, config.bits_per_code)
        self._segments = segment_frames(config, header.audio_length)
        self._left: int | None = None  # frames to come in the open segment; None between segments
        write_header(fo, header)

    def start_segment(self, scale: float | None = None) -> None:
        """Begin a segment. `scale`: finite and not negative if the model normalises, else None."""
        _require(self._left is None, "segment", "the one before to be ended", f"{self._left} frames missing")
        frames = next(self._segments, None)
        _require(frames is not None, "segments", f"{self._header.audio_length} samples", "more")
        if self._config.normalize:
            self._fo.write(_SCALE.pack(_checked_scale(scale)))
        else:
            _require(scale is None, "scale", "None, since the model does not normalise", scale)
        self._left = frames

    def write(self, codes) -> None:
        """Append frames to the open segment: integer codes [K, F], each below 2**bits_per_code."""
        codes = np.asarray(codes)
        _require(codes.ndim == 2 and codes.shape[0] == self._header.n_codebooks, "codes",
                 f"shape [{self._header.n_codebooks}, F]", list(codes.shape))
        _require(self._left is not None, "codes", "an open segment", "none")
        _require(codes.shape[1] <= self._left, "codes", f"at most {self._left} more frames", codes.shape[1])
        self._bits.write(codes.T)  # [K, F] -> [F, K]
        self._left -= codes.shape[1]

    def end_segment(self) -> None:
        """Complete the last byte of the segment; all of its frames must have been written."""
        _require(self._left == 0, "segment", "an open one with all its frames",
                 "none" if self._left is None else f"{self._left} frames missing")
        self._bits.flush()
        self._left = None

    def finish(self) -> None:
        """Check that all segments were written. The file object stays open."""
        _require(self._left is None, "segment", "the last one to be ended", f"{self._left} frames missing")
        _require(next(self._segments, None) is None, "segments", f"{self._header.audio_length} samples", "fewer")


class Segment(NamedTuple):
    """One segment of a file being read. `blocks` can be walked once, before the next segment."""

    n_frames: int
    scale: float | None
    blocks: Iterator[np.ndarray]  # codes int64 [K, f] with 1 <= f <= BLOCK_FRAMES


class EcdcReader:
    """Iterate, once, over the segments of the `.ecdc` file `fo`, whose `header` has been read.

    Memory is one block of codes, whatever length the header claims; blocks not walked are skipped. `ValueError`
    for a header that does not fit the model or a bad scale, `EOFError` when the file ends early.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig) -> None:
        _check_readable(header, config)
        self._fo, self._header, self._config = fo, header, config

    def __iter__(self) -> Iterator[Segment]:
        for n_frames in segment_frames(self._config, self._header.audio_length):
            scale = None
            if self._config.normalize:
                scale = _checked_scale(*_SCALE.unpack(read_exactly(self._fo, _SCALE.size, "scale")))
            segment = Segment(n_frames, scale, self._blocks(n_frames))
            yield segment
            for _ in segment.blocks:
                pass

    def _blocks(self, n_frames: int) -> Iterator[np.ndarray]:
        bits = BitReader(self._fo, self._config.bits_per_code)  # a new one: segments begin at a byte
        for start in range(0, n_frames, BLOCK_FRAMES):
            frames = min(BLOCK_FRAMES, n_frames - start)
            codes = bits.read(frames * self._header.n_codebooks)
            yield np.ascontiguousarray(codes.reshape(frames, -1).T)  # [F, K] -> [K, F]


def write_ecdc(fo: BinaryIO, model, frames: Iterable[tuple], audio_length: int) -> None:
    """Write `frames`, pairs (codes [K, F], scale or None) as `model.encode` returns them, with their header.

    `audio_length` is in samples per channel. Raises `ValueError` when the frames do not belong to that
    length or to this model, of which only `name` and `config` are used.
    """
    frames = list(frames)
    _require(frames, "frames", "at least one segment", "none")
    writer = EcdcWriter(fo, EcdcHeader(model.name, audio_length, len(frames[0][0])), model.config)
    for codes, scale in frames:
        writer.start_segment(scale)
        writer.write(codes)
        writer.end_segment()
    writer.finish()


def read_ecdc(fo: BinaryIO, model, header: EcdcHeader) -> list[tuple[np.ndarray, float | None]]:
    """Read all segments after `header`: pairs (codes int64 [K, F], scale or None) for `model.decode`.

    Raises `ValueError` when the header does not belong to this model, `EOFError` when the file ends early.
    """
    _require(header.model == model.name, "model", repr(model.name), header.model)
    return [(np.concatenate(list(segment.blocks), axis=1), segment.scale)
            for segment in EcdcReader(fo, header, model.config)]


def _check_readable(header: EcdcHeader, config: CodecConfig) -> None:
    if header.lm:
        raise ValueError("files coded with the language model cannot be read or written by this version: "
                         "expected lm false, got lm true")
    _require(header.n_codebooks <= config.n_codebooks, f"codebooks (nc) of model {header.model}",
             f"1 to {config.n_codebooks}", header.n_codebooks)


def _checked_scale(scale: float | None) -> float:
    _require(scale is not None and 0 <= scale <= _MAX_FLOAT32, "scale", "a finite number of at least 0", scale)
    return scale


def _require(ok: object, what: str, expected: str, got: object) -> None:
    if not ok:
        raise ValueError(f"{what}: expected {expected}, got {got!r:.80}")
