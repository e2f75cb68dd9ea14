"""The `.ecdc` container: a header, then the codes of each segment.

Here is version 0, the official one. Version 1 is ours: blocks with checksums, entropy-coded or not (`block_layout`).

    offset  size  content
    0       4     the letters ECDC
    4       1     version, 0
    5       4     n, the length of the metadata in bytes, big-endian
    9       n     metadata, JSON: {"m": model name, "al": audio length in samples,
                                   "nc": codebooks, "lm": entropy-coded with a language model}
    9 + n         the segments, one after the other

A segment is its scale, a big-endian float32, if the model normalises its input; then its codes in `bits_per_code`
bits each (`bits`), time-major: every codebook of frame 0, every codebook of frame 1, and so on; then zero bits up
to a byte. How much there is follows from the audio length: segment i begins at sample i * stride and has n =
min(segment length, samples left) samples and ceil(n / hop) frames. (The official reader computes that in floating
point and asks for one frame too many at some lengths, such as 53 760 samples at 24 kHz; here all is integers.)

Bytes equal those of the official package (`encodec` 0.1.1, binary.py and compress.py) for the same codes. Its files
coded with a language model ("lm": true) are neither written nor read (`header.check_decodable` tells why).

**A length that is not known beforehand**, of a sound from a pipe. If the output is a file, the length is
written when all is done; as many spaces follow it in the metadata as 2**62 needs digits, which JSON allows,
so that the official reader accepts the file too. If the output is a pipe, only tinyencodec can read what is
written: the streamed form, with "stream": true in its metadata and packets in place of the segments (`packets`).

Reader and writer take any binary file object; the reader never seeks, nor takes a byte before it is needed.
Chapter 11 of the tutorials walks through it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.bits import BitReader, BitWriter
from tinyencodec.ecdc.block_io import AT_ONCE, BlockReader, BlockWriter
from tinyencodec.ecdc.block_layout import frames_per_block
from tinyencodec.ecdc.coders import ARITHMETIC, CodesCoder, FixedCoder, check_coder
from tinyencodec.ecdc.header import MAX_LENGTH, EcdcHeader, check_decodable, header_bytes
from tinyencodec.ecdc.packets import PacketReader, PacketWriter, check_frames, checked_scale, pack_scale, read_scale
from tinyencodec.system.errors import check_codes, require
from tinyencodec.system.files import is_rewritable

if TYPE_CHECKING:
    from tinyencodec.entropy.rate import RateSearch

BLOCK_FRAMES = 1024  # frames that the reader returns at once, at most, of a model without segments
_UNKNOWN = MAX_LENGTH - 1  # what a header says until the length is known


class PlainWriter:
    """Write the segments of a file of version 0."""

    def __init__(self, fo: BinaryIO, config: CodecConfig) -> None:
        self._fo, self._segmented, self._begun = fo, config.segment_length is not None, False
        self._bits = BitWriter(fo, config.bits_per_code)

    def write(self, codes: np.ndarray, scale: float | None) -> None:
        """Append a segment of integer codes [K, F]; of a model without segments, the next frames of the only one."""
        if scale is not None and (self._segmented or not self._begun):
            self._fo.write(pack_scale(scale))
        self._begun = True
        self._bits.write(codes.T)  # [K, F] -> [F, K]
        if self._segmented:
            self._bits.flush()

    def finish(self, audio_length: int) -> None:
        """Complete the last byte."""
        self._bits.flush()


class PlainReader:
    """Iterate, once, over pairs (codes int64 [K, F], scale or None) of a file of version 0 whose length is known."""

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig, block_frames: int) -> None:
        self.audio_length = header.audio_length
        self._fo, self._config, self._n_codebooks, self._block_frames = fo, config, header.n_codebooks, block_frames

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None]]:
        for n_frames in segment_frames(self._config, self.audio_length):
            scale = read_scale(self._fo) if self._config.normalize else None
            bits = BitReader(self._fo, self._config.bits_per_code)  # a new one: segments begin at a byte
            block = n_frames if self._config.segment_length is not None else self._block_frames
            for start in range(0, n_frames, block):
                codes = bits.read(min(block, n_frames - start) * self._n_codebooks)
                yield np.ascontiguousarray(codes.reshape(-1, self._n_codebooks).T), scale  # [F, K] -> [K, F]


class EcdcWriter:
    """Write an `.ecdc` file to `fo`: the header at once; then `write` any number of times; at last `finish`.

    Parameters
    ----------
    fo : binary file object; its `flush` is called after each `write`
    model : name of the model
    config : of the model
    n_codebooks : K
    audio_length : samples per channel; None: told at the end
    coder : None: a file of version 0; else one of version 1, and what codes its blocks (`coders`)
    block : frames in a block of version 1; None: as many as are usual
    search : with a coder: it is given latents, and chooses their codes so (`entropy.rate`); None: it is given codes

    Raises `ValueError` for every call that would not give a valid file.
    """

    def __init__(self, fo: BinaryIO, model: str, config: CodecConfig, n_codebooks: int,
                 audio_length: int | None = None, coder: CodesCoder | None = None, block: int | None = None,
                 search: "RateSearch | None" = None) -> None:
        self._fo, self._config, self._search = fo, config, search
        self._start = fo.tell() if is_rewritable(fo) else None
        self._most = _UNKNOWN if audio_length is None else audio_length  # samples
        self.streamed = audio_length is None and (self._start is None or coder is not None)
        header = EcdcHeader(model, 0 if self.streamed else self._most, n_codebooks, stream=self.streamed)
        _check_codebooks(header, config)
        self._payload: BlockWriter | PacketWriter | PlainWriter
        if coder is not None:
            lm = coder.kind == "lm"
            block = frames_per_block(config, n_codebooks) if block is None else block
            header = replace(header, lm=lm, entropy=coder.kind, block=block, coder=coder.id,
                             arithmetic=ARITHMETIC if lm else None)
            self._payload = BlockWriter(fo, header, config, coder, 1 if self._start is None else AT_ONCE, search)
        elif self.streamed:
            self._payload = PacketWriter(fo, config)
        else:
            self._payload = PlainWriter(fo, config)
        self._header = header
        self._allowed = segment_frames(config, self._most)  # frames of segments to come, at most
        self._sizes: list[int] = []  # frames of the segments so far
        self._left = 0  # frames that the latest segment may still get
        fo.write(header_bytes(header))

    def write(self, codes: ArrayLike, scale: float | None = None) -> None:
        """Append codes, integers [K, F] below 2**bits_per_code: a whole segment, or, of a model without segments,
        the next frames; or latents float32 [D, F]. `scale`: finite and not negative if the model normalises, else None.
        """
        codes = np.asarray(codes)
        what, rows = ("latents", self._config.hidden_size) if self._search else ("codes", self._header.n_codebooks)
        require(codes.ndim == 2 and codes.shape[0] == rows, what, f"shape [{rows}, F]", list(codes.shape))
        if not codes.size:
            return
        if not self._search:
            check_codes(codes, self._header.n_codebooks, self._config.codebook_size)
        if self._config.segment_length is not None or not self._sizes:
            self._left = next(self._allowed, 0)
            require(self._left, "segments", f"those of {self._most} samples", "more")
            self._sizes.append(0)
        require(codes.shape[1] <= self._left, "codes", f"at most {self._left} more frames", codes.shape[1])
        require(self._config.normalize or scale is None, "scale", "None, since the model does not normalise", scale)
        self._payload.write(codes, checked_scale(scale) if self._config.normalize else None)
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
        self._payload.finish(length)
        if length != self._most and not self.streamed:
            require(self._start is not None, "audio length", f"{self._most} samples as announced", length)
            end = self._fo.tell()
            self._fo.seek(self._start or 0)
            self._fo.write(header_bytes(replace(self._header, audio_length=length), room=len(str(self._most))))
            self._fo.seek(end)
        self._fo.flush()


class EcdcReader:
    """Iterate, once, over pairs (codes int64 [K, F], scale or None) of the file `fo`, whose `header` has been read.

    A pair is a segment, or of a model without segments as many frames as `block_frames` or a packet have, the
    scale being the same in all. Memory is that of a pair, whatever length the header claims; in version 1 that of
    `at_once` blocks.

    coder : what made an entropy-coded file (`coders`)
    keep_going, at_once : of a file of version 1, see `BlockReader`
    audio_length : samples; of a streamed file, None until all has been read
    blocks : the `BlockReader` of a file of version 1, which tells what was lost; else None

    Raises `ValueError` for a header that does not fit the model or the coder, a bad scale, a damaged block, or in a
    streamed file frames that do not fit the length, and as `check_decodable`; `EOFError` when the file ends early.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig, block_frames: int = BLOCK_FRAMES,
                 coder: CodesCoder | None = None, keep_going: str | None = None, at_once: int = AT_ONCE) -> None:
        check_decodable(header)
        _check_codebooks(header, config)
        self.blocks: BlockReader | None = None
        self._payload: BlockReader | PacketReader | PlainReader
        if header.block is not None:
            coder = FixedCoder(config.bits_per_code) if header.coder_kind == "none" else check_coder(coder, header)
            self._payload = self.blocks = BlockReader(fo, header, config, coder, keep_going, at_once)
        elif header.stream:
            self._payload = PacketReader(fo, header, config)
        else:
            self._payload = PlainReader(fo, header, config, block_frames)

    @property
    def audio_length(self) -> int | None:
        return self._payload.audio_length

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None]]:
        return iter(self._payload)


def write_ecdc(fo: BinaryIO, model: Any, frames: Iterable[tuple], audio_length: int, coder: CodesCoder | None = None,
               block: int | None = None) -> None:
    """Write `frames`, pairs (codes [K, F], scale or None) as `model.encode` returns them, with their header.

    Only `name` and `config` of the model are used. Raises `ValueError` as `EcdcWriter`, which tells the rest.
    """
    frames = list(frames)
    require(frames, "frames", "at least one segment", "none")
    writer = EcdcWriter(fo, model.name, model.config, len(frames[0][0]), audio_length, coder, block)
    for codes, scale in frames:
        writer.write(codes, scale)
    writer.finish()


def read_ecdc(fo: BinaryIO, model: Any, header: EcdcHeader, coder: CodesCoder | None = None,
              keep_going: str | None = None) -> list[tuple[np.ndarray, float | None]]:
    """Read all segments after `header`: pairs (codes int64 [K, F], scale or None) for `model.decode`.

    Raises `ValueError` when the header does not belong to this model, else as `EcdcReader`.
    """
    require(header.model == model.name, "model", repr(model.name), header.model)
    pairs = list(EcdcReader(fo, header, model.config, coder=coder, keep_going=keep_going))
    if model.config.segment_length is not None:
        return pairs
    return [(np.concatenate([codes for codes, _ in pairs], axis=1), pairs[0][1])]


def _check_codebooks(header: EcdcHeader, config: CodecConfig) -> None:
    require(header.n_codebooks <= config.n_codebooks, f"codebooks (nc) of model {header.model}",
            f"1 to {config.n_codebooks}", header.n_codebooks)
