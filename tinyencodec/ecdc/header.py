"""The header of an `.ecdc` file: `container` describes version 0 byte by byte, `block_layout` version 1.

A header of version 1 ends with its CRC-32. Headers of up to 1 KiB that the checksum accepts differ in at least four
bits. So a single flipped bit can be found, and is corrected; `EcdcHeader.mended` names it. Only a flipped bit in the
length field is an error, since then the end of the header is unknown.

Chapter 11 of the tutorials uses it.
"""

import json
import re
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from tinyencodec.codec.config import CodecConfig
from tinyencodec.system.errors import require
from tinyencodec.system.files import read_exactly

SUFFIX = ".ecdc"
MAGIC, VERSION, BLOCK_VERSION = b"ECDC", 0, 1
MAX_LENGTH = 1 << 62  # samples
MAX_METADATA = 1 << 16  # bytes; real ones have about 60
MAX_BLOCK_METADATA = 1 << 10  # the same in version 1; real ones have about 150
MAX_FRAMES = 0xFFFF  # in a block
ENTROPY = ("none", "table", "lm")
BLOCK_SECONDS = 4.0  # of sound in a block, unless something else is asked for
KEEP_GOING = ("repeat", "silence")  # what stands in for lost sound

_FIXED, _CRC = struct.Struct("!4sBI"), struct.Struct("!I")
_START = MAGIC + bytes([BLOCK_VERSION])
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class EcdcHeader:
    """What an `.ecdc` file says about itself. Raises `ValueError` for a wrong type or value."""

    model: str  # 1 to 100 of A-Z a-z 0-9 . _ -, no dot first: also a safe folder name
    audio_length: int  # samples per channel, 1 to 2**62; in the streamed form 0
    n_codebooks: int  # 1 to 1024
    lm: bool = False  # coded with the help of a language model
    stream: bool = False  # the length is told at the end
    entropy: str = "none"  # what follows is of version 1
    block: int | None = None  # frames in each block but the last; None: version 0
    coder: str | None = None  # 16 hex digits: which tables or which language model
    arithmetic: int | None = None  # version of the arithmetic that the language model is computed in
    mended: str | None = field(default=None, compare=False)  # the bit that was wrong in the file, for people

    def __post_init__(self) -> None:
        require(isinstance(self.model, str) and _NAME.fullmatch(self.model), "model name (m)",
                "1 to 100 letters, digits, '.', '_', '-', no dot first", self.model)
        require(type(self.stream) is bool, "streamed form (stream)", "true or false", self.stream)
        low, high = (0, 0) if self.stream else (1, MAX_LENGTH)
        require(type(self.audio_length) is int and low <= self.audio_length <= high, "audio length (al)",
                "0 in a streamed file" if self.stream else "an integer from 1 to 2**62", self.audio_length)
        require(type(self.n_codebooks) is int and 1 <= self.n_codebooks <= 1024, "codebooks (nc)",
                "an integer from 1 to 1024", self.n_codebooks)
        require(type(self.lm) is bool, "language model (lm)", "true or false", self.lm)
        if self.block is None:
            require(not (self.lm and self.stream), "language model (lm)", "false in a streamed file", self.lm)
            return
        require(type(self.block) is int and 1 <= self.block <= MAX_FRAMES, "frames per block (block)",
                f"an integer from 1 to {MAX_FRAMES}", self.block)
        require(self.entropy in ENTROPY, "entropy coding (entropy)", ", ".join(ENTROPY), self.entropy)
        require(self.lm == (self.entropy == "lm"), "language model (lm)", f"{self.entropy == 'lm'}".lower(), self.lm)
        named = isinstance(self.coder, str) and _ID.fullmatch(self.coder)
        require(self.coder is None if self.entropy == "none" else named, "coder (coder)",
                "none" if self.entropy == "none" else "16 hex digits", self.coder)
        require(type(self.arithmetic) is int and self.arithmetic >= 1 if self.lm else self.arithmetic is None,
                "arithmetic (arithmetic)", "an integer from 1" if self.lm else "none", self.arithmetic)

    @property
    def version(self) -> int:
        """0: as the official program writes it; 1: in blocks with checksums."""
        return VERSION if self.block is None else BLOCK_VERSION

    @property
    def coder_kind(self) -> str:
        """The kind of coder that wrote the codes: "none", "table" or "lm"."""
        return "lm" if self.lm else self.entropy


def header_bytes(header: EcdcHeader, room: int = 0) -> bytes:
    """The whole header; spaces follow the length in the metadata up to `room` characters."""
    fields = {"m": header.model, "al": header.audio_length, "nc": header.n_codebooks, "lm": header.lm}
    if header.block is not None:
        fields |= {"entropy": header.entropy, "block": header.block}
        fields |= {name: value for name, value in (("coder", header.coder), ("arithmetic", header.arithmetic))
                   if value is not None}
    if header.stream:
        fields["stream"] = True
    text = json.dumps(fields)  # key order and default spacing are part of the format
    length = str(header.audio_length)
    text = text.replace(f'"al": {length},', f'"al": {length.ljust(room)},', 1)  # a name has no quotes
    data = _FIXED.pack(MAGIC, header.version, len(text)) + text.encode("ascii")
    return data if header.block is None else data + _CRC.pack(zlib.crc32(data))


def is_ecdc(start: bytes) -> bool:
    """Whether a file that begins with these 4 bytes is meant to be an `.ecdc` file: all but one bit are right."""
    return len(start) == len(MAGIC) and _distance(start, MAGIC) <= 1


def read_header(fo: BinaryIO, to_decode: bool = True) -> EcdcHeader:
    """Read a header; `fo` then stands at the payload. Unknown keys in the metadata are ignored.

    to_decode : refuse what `check_decodable` refuses

    Raises `ValueError` when this is no `.ecdc` file of version 0 or 1, `EOFError` when it ends early.
    """
    try:
        header = _parse_header(fo)
    except ValueError as error:
        raise ValueError(f"not an .ecdc file: {error}") from None
    if to_decode:
        check_decodable(header)
    return header


def check_decodable(header: EcdcHeader) -> None:
    """Raise `ValueError` for a file that the official program has coded with its language model.

    Its probabilities are sums of floats in an order that changes with the machine, the number of threads and the
    version of PyTorch. Where one of them comes out differently, all that follows is noise.
    """
    if header.lm and header.block is None:
        raise ValueError("coded with the official language model, which rounds differently on every machine: decode "
                         "it with the official program where it was written, in the same set-up, then code the sound "
                         "again")


def _parse_header(fo: BinaryIO) -> EcdcHeader:
    magic = read_exactly(fo, len(MAGIC), "header")  # apart: a short file of another kind is that, not truncated
    require(is_ecdc(magic), "first bytes", repr(MAGIC), magic)
    start = magic + read_exactly(fo, _FIXED.size - len(MAGIC), "header")
    _, version, size = _FIXED.unpack(start)
    if magic == MAGIC and version == VERSION:
        require(size <= MAX_METADATA, "metadata length", f"at most {MAX_METADATA} bytes", size)
        start += read_exactly(fo, size, "metadata")
        fields = _fields(start[_FIXED.size:])
        if "entropy" not in fields:
            return EcdcHeader(fields["m"], fields["al"], fields["nc"], fields["lm"], fields.get("stream", False))
        start += read_exactly(fo, _CRC.size, "checksum")  # version 1, but for one bit
    else:
        near = _distance(start[:5], _START) <= 1
        require(near or magic == MAGIC, "first bytes", repr(MAGIC), magic)
        require(near, "version", f"{VERSION} or {BLOCK_VERSION}", version)
        require(size <= MAX_BLOCK_METADATA, "metadata length", f"at most {MAX_BLOCK_METADATA} bytes", size)
        start += read_exactly(fo, size + _CRC.size, "metadata and checksum")
    whole, mended = _mend(start)
    fields = _fields(whole[_FIXED.size:-_CRC.size])
    require({"entropy", "block"} <= fields.keys(), "metadata", "the keys entropy, block", sorted(fields))
    header = EcdcHeader(fields["m"], fields["al"], fields["nc"], fields["lm"], fields.get("stream", False),
                        fields["entropy"], fields["block"], fields.get("coder"), fields.get("arithmetic"))
    return replace(header, mended=mended)


def _fields(text: bytes) -> dict:
    try:
        fields = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        fields = None
    require(isinstance(fields, dict), "metadata", "a JSON object", text)
    require({"m", "al", "nc", "lm"} <= fields.keys(), "metadata", "the keys m, al, nc, lm", sorted(fields))
    return fields


def _mend(data: bytes) -> tuple[bytes, str | None]:
    """A header of version 1 with a wrong bit corrected, and which bit that was; `ValueError` if it has more."""
    if _holds(data):
        return data, None
    for i in range(8 * len(data)):
        tried = bytearray(data)
        tried[i >> 3] ^= 1 << (i & 7)
        if _holds(tried):
            return bytes(tried), f"bit {i & 7} of byte {i >> 3}"
    raise ValueError(f"header: expected at most one wrong bit, got more (checksum {zlib.crc32(data):08x})")


def _holds(data: bytes | bytearray) -> bool:
    return data.startswith(_START) and zlib.crc32(data[:-_CRC.size]) == _CRC.unpack(data[-_CRC.size:])[0]


def _distance(a: bytes, b: bytes) -> int:
    """In how many bits they differ."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def payload_size(config: CodecConfig, header: EcdcHeader) -> int:
    """Bytes after the header in a file of version 0 without language model or packets, found without a walk."""
    from tinyencodec.codec.segments import segment_frames  # brings NumPy, which the command line loads with care

    def size(frames: int) -> int:
        bits = frames * header.n_codebooks * config.bits_per_code
        return -(-bits // 8) + (4 if config.normalize else 0)

    stride, length = config.segment_stride or header.audio_length, config.segment_length or header.audio_length
    full = max(0, (header.audio_length - length) // stride + 1)  # segments of full length; then a few short ones
    tail = header.audio_length - full * stride  # <= 0 when the last full one reaches the end, and no segment begins
    return full * size(-(-length // config.hop_length)) + sum(map(size, segment_frames(config, tail)))
