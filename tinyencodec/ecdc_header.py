"""The beginning of an `.ecdc` file: `ecdc` describes it byte by byte."""

import json
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from tinyencodec.bits import read_exactly

MAGIC, VERSION = b"ECDC", 0
MAX_LENGTH = 1 << 62  # samples
MAX_METADATA = 1 << 16  # bytes; real ones have about 60

_FIXED = struct.Struct("!4sBI")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class EcdcHeader:
    """What an `.ecdc` file says about itself. Raises `ValueError` for a wrong type or value."""

    model: str  # 1 to 100 of A-Z a-z 0-9 . _ -, no dot first: also a safe folder name
    audio_length: int  # samples per channel, 1 to 2**62; in the streamed form 0
    n_codebooks: int  # 1 to 1024
    lm: bool = False  # coded with the help of a language model
    stream: bool = False  # in packets, with the length at the end

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
        require(not (self.lm and self.stream), "language model (lm)", "false in a streamed file", self.lm)


def header_bytes(header: EcdcHeader, room: int = 0) -> bytes:
    """The magic, the version and the metadata; spaces follow the length in it up to `room` characters."""
    fields = {"m": header.model, "al": header.audio_length, "nc": header.n_codebooks, "lm": header.lm}
    if header.stream:
        fields["stream"] = True
    text = json.dumps(fields)  # key order and default spacing are part of the format
    length = str(header.audio_length)
    text = text.replace(f'"al": {length},', f'"al": {length.ljust(room)},', 1)  # a name has no quotes
    return _FIXED.pack(MAGIC, VERSION, len(text)) + text.encode("ascii")


def write_header(fo: BinaryIO, header: EcdcHeader) -> None:
    """Write the magic, the version and the metadata."""
    fo.write(header_bytes(header))


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
    require(magic == MAGIC, "first bytes", repr(MAGIC), magic)
    _, version, size = _FIXED.unpack(magic + read_exactly(fo, _FIXED.size - len(MAGIC), "header"))
    require(version == VERSION, "version", str(VERSION), version)
    require(size <= MAX_METADATA, "metadata length", f"at most {MAX_METADATA} bytes", size)
    text = read_exactly(fo, size, "metadata")
    try:
        fields = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or nested without end
        fields = None
    require(isinstance(fields, dict), "metadata", "a JSON object", text)
    require({"m", "al", "nc", "lm"} <= fields.keys(), "metadata", "the keys m, al, nc, lm", sorted(fields))
    return EcdcHeader(fields["m"], fields["al"], fields["nc"], fields["lm"], fields.get("stream", False))


def require(ok: object, what: str, expected: str, got: object) -> None:
    """Raise a `ValueError` in this format's words unless `ok`."""
    if not ok:
        raise ValueError(f"{what}: expected {expected}, got {got!r:.80}")
