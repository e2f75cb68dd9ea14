"""Codes to blocks and back. What is lost is reported, and replaced if that is wanted.

Several blocks go to the coder together, since a language model is quicker with them side by side: of equally many
frames, so that the last block, if it is shorter, goes alone. A coder begins anew in each block, so the bytes do not
depend on that.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.ecdc.block_layout import CHECK, Layout, block_bytes, codes_check, end_bytes
from tinyencodec.ecdc.block_search import MOST_MISSING, Block, BlockSearch
from tinyencodec.ecdc.coders import CodesCoder
from tinyencodec.ecdc.header import EcdcHeader
from tinyencodec.ecdc.packets import checked_scale, pack_scale
from tinyencodec.system.errors import require

if TYPE_CHECKING:
    from tinyencodec.entropy.rate import RateSearch

AT_ONCE = 16  # blocks that are coded together, of a file


class BlockWriter:
    """Write codes in blocks, each as soon as it is complete, or with up to `at_once` - 1 later ones.

    search : what is written are latents float32 [D, F], whose codes the coder chooses so; None: codes
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig, coder: CodesCoder, at_once: int,
                 search: "RateSearch | None" = None) -> None:
        self._search = search
        self._fo, self._layout, self._coder, self._at_once = fo, _layout(header, config), coder, at_once
        self._codes: list[np.ndarray] = []  # [K, F] or [D, F] each, of the current block: segments, or pieces of one
        self._scales: list[float] = []  # of the same
        self._frames = 0  # in them
        self._complete: list[tuple[np.ndarray, bytes]] = []  # codes and scales of blocks to be coded
        self._number = 0  # blocks written

    def write(self, codes: np.ndarray, scale: float | None) -> None:
        """Take integer codes [K, F] below 2**bits_per_code: a segment, or the next frames of a model without any."""
        block, n_segments = self._layout.block, self._layout.n_segments
        if scale is not None and (n_segments or not self._scales):
            self._scales.append(scale)
        while codes.shape[1]:
            part, codes = np.split(codes, [codes.shape[1] if n_segments else block - self._frames], axis=1)
            self._codes.append(part)
            self._frames += part.shape[1]
            if self._frames == block and (not n_segments or len(self._codes) <= n_segments):
                self._close()
            if len(self._complete) >= self._at_once:
                self._flush()

    def _close(self) -> None:
        """Complete the current block."""
        head = bytes([len(self._codes)]) if self._layout.n_segments else b""
        head += b"".join(pack_scale(scale) for scale in self._scales)
        self._complete.append((np.concatenate(self._codes, axis=1), head))
        self._codes, self._frames = [], 0
        if self._layout.n_segments:  # else the scale is that of all blocks
            self._scales = []

    def _flush(self) -> None:
        if not self._complete:
            return
        blocks, heads = zip(*self._complete)
        coded = self._coder.choose(blocks, self._search) if self._search else zip(blocks, self._coder.encode(blocks))
        for (codes, data), head in zip(coded, heads, strict=True):
            content = head + data + (codes_check(codes) if self._layout.coded else b"")
            self._fo.write(block_bytes(self._number, codes.shape[1], content))
            self._number += 1
        self._complete = []

    def finish(self, audio_length: int) -> None:
        """Write what is left, and the end block."""
        self._flush()
        if self._codes:
            self._close()
            self._flush()
        self._fo.write(end_bytes(self._number, audio_length))


class BlockReader:
    """Iterate, once, over pairs (codes int64 [K, F], scale or None): segments, or blocks of a model without segments.

    Parameters
    ----------
    fo : binary file object, after the header
    keep_going : None: `ValueError` or `EOFError` at the first block that is not as written, naming it; "repeat" or
        "silence": put the last frame before a hole into all frames of it, so that length and timing stay exact
    at_once : blocks read before the first is decoded

    Attributes
    ----------
    audio_length : samples; of a streamed file None until all is read
    lost : (first sample, sample after the last) of each hole, known before what fills it is yielded
    cut : whether the end is missing, and the length is a guess

    With `keep_going` it raises `ValueError` only if no block is undamaged, or more than MOST_MISSING in a row are lost.
    """

    def __init__(self, fo: BinaryIO, header: EcdcHeader, config: CodecConfig, coder: CodesCoder,
                 keep_going: str | None = None, at_once: int = AT_ONCE) -> None:
        self.layout = _layout(header, config)
        self.audio_length = None if header.stream else header.audio_length
        self.lost: list[tuple[int, int]] = []
        self.cut = False
        self.search = BlockSearch(fo, self.layout, self.audio_length, keep_going is not None)
        self._config, self._coder, self._at_once = config, coder, at_once
        self._keep_going, self._n_codebooks = keep_going is not None, header.n_codebooks
        self._next = 0  # number of the block to come
        self._frame: np.ndarray | None = None  # the last good one, [K, 1]
        self._scale: float | None = None
        self._sizes: list[int] = []  # frames of the segments in the last good block

    def __iter__(self) -> Iterator[tuple[np.ndarray, float | None]]:
        for block, sizes, scales, codes in self.undamaged():
            if self._frame is None:
                self._frame, self._scale = codes[:, :1], scales[0]
            yield from self._fill(block.number)
            self._next, self._sizes = block.number + 1, sizes
            self._frame, self._scale = codes[:, -1:], scales[-1]
            yield from zip(np.split(codes, np.cumsum(sizes)[:-1], axis=1), scales)
        length = self.search.audio_length
        if length is None and self.audio_length is None:
            self.cut, length = True, self._least_length()
        self.audio_length = self.audio_length or length
        yield from self._fill(self.layout.count(self.audio_length or 0))

    def undamaged(self) -> Iterator[tuple[Block, list[int], list, np.ndarray]]:
        """Only the blocks that decode: (block, frames of its segments, their scales, codes [K, F])."""
        for group in self._groups():
            yield from self._decoded(group)

    def _groups(self) -> Iterator[list[Block]]:
        """Undamaged blocks of equally many frames, in lists of up to `at_once`."""
        group: list[Block] = []
        try:
            for block in self.search:
                if group and block.frames != group[0].frames:
                    yield group
                    group = []
                group.append(block)
                if len(group) == self._at_once:
                    yield group
                    group = []
            failure = None
        except (ValueError, EOFError) as error:  # what came before it goes first
            failure = error
        if group:
            yield group
        if failure is not None:
            raise failure

    def _decoded(self, group: list[Block]) -> Iterator[tuple[Block, list[int], list, np.ndarray]]:
        try:
            parts = [self._parse(block) for block in group]
            frames = [block.frames for block in group]
            decoded = self._coder.decode([(data, n) for (_, _, data, _), n in zip(parts, frames)], self._n_codebooks)
            for codes, (_, _, _, check) in zip(decoded, parts, strict=True):
                require(not self.layout.coded or codes_check(codes) == check, "check of the codes", check.hex(),
                        codes_check(codes).hex())
        except (ValueError, EOFError) as error:
            if len(group) > 1:  # one of them
                for block in group:
                    yield from self._decoded([block])
            elif not self._keep_going:
                name = self.layout.name(group[0].number, self.audio_length)
                raise ValueError(f"{name}: its codes do not come out as they went in: {error}") from None
            return
        for block, (sizes, scales, _, _), codes in zip(group, parts, decoded):
            yield block, sizes, scales or [None] * len(sizes), codes

    def _parse(self, block: Block) -> tuple[list[int], list[float], bytes, bytes]:
        """Frames of the segments, scales, coded frames, check."""
        content, at = block.content, int(self.layout.n_segments > 0)
        sizes = self.layout.split(block.frames, content[0] if at else 1)
        n, check = len(sizes) if self._config.normalize else 0, CHECK.size if self.layout.coded else 0
        require(len(content) >= at + 4 * n + check, "block", f"at least {at + 4 * n + check} bytes", len(content))
        scales = [checked_scale(scale) for scale in struct.unpack_from(f"!{n}f", content, at)]
        end = len(content) - check
        return sizes, scales, content[at + 4 * n:end], content[end:]

    def _fill(self, upto: int) -> Iterator[tuple[np.ndarray, float | None]]:
        """Make up the blocks before number `upto`."""
        if upto <= self._next:
            return
        if self._frame is None:
            raise ValueError("blocks: expected at least one that is undamaged, got 'none'")
        require(upto - self._next <= MOST_MISSING, "missing", f"at most {MOST_MISSING} blocks in a row",
                upto - self._next)
        self.lost.append((self.layout.start(self._next), self.layout.end(upto - 1, self.audio_length)))
        for number in range(self._next, upto):
            for size in self.layout.sizes(number, self.audio_length):
                yield np.repeat(self._frame, size, axis=1), self._scale
        self._next = upto

    def _least_length(self) -> int:
        """Samples that a signal has, at least, which has the segments up to the last good block."""
        require(self._next, "blocks", "at least one that is undamaged", "none")
        start, hop = self.layout.start(self._next - 1), self._config.hop_length
        if self._config.segment_stride is None:
            return start + sum(self._sizes) * hop
        return start + (len(self._sizes) - 1) * self._config.segment_stride + (self._sizes[-1] - 1) * hop + 1


def _layout(header: EcdcHeader, config: CodecConfig) -> Layout:
    return Layout(config, header.n_codebooks, header.block or 0, coded=header.coder_kind != "none")
