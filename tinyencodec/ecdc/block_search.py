"""Reading blocks, one after the other, from a file that may be damaged: `block_layout` describes them byte by byte.

If the checksum of a block does not fit, nothing is known about it, not even where it ends. The next block is searched
for. Each byte might begin one; if the frames and length there are possible, the checksum is compared as soon as the
last byte has come. The first block that fits is taken; by chance, one in 2**32 does.

What that may cost. Memory: four times the largest block, 262 180 bytes. Work: in a hostile file, every byte could begin
something possible, and each would cost a checksum of up to 65 535 bytes. So the search may take checksums of 64 MiB,
and of 2048 bytes more for each byte that it has looked at; after that it gives up, as if the file ended there. A hole
of more than 4096 blocks is not believed, which limits how much must be made up.

The reader never seeks. It takes no byte before it is needed; after damage, it takes up to 64 at a time.

Chapter 11 of the tutorials uses it.
"""

import heapq
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from tinyencodec.ecdc.block_layout import HEAD, LENGTH, Layout
from tinyencodec.ecdc.header import MAX_LENGTH
from tinyencodec.system.errors import blame, require

MOST_MISSING = 4096  # blocks, in one hole

_LARGEST = HEAD.size + 0xFFFF
_PIECE = 64  # bytes read at once while looking
_WORK, _WORK_PER_BYTE = 1 << 26, 1 << 11  # bytes that checksums are taken of while looking


class Block(NamedTuple):
    """An undamaged block."""

    number: int
    frames: int
    content: bytes


class BlockSearch:
    """Iterate, once, over the undamaged blocks that follow the header, numbers rising.

    Parameters
    ----------
    fo : binary file object, after the header
    layout : of the blocks
    announced : samples in all, if the header tells
    keep_going : pass over what is damaged, missing or out of place; else `ValueError` for it, or `EOFError` where
        the file ends early, naming the block

    Attributes
    ----------
    audio_length : samples, when the end block has come; None if it does not
    """

    def __init__(self, fo: BinaryIO, layout: Layout, announced: int | None, keep_going: bool) -> None:
        self.audio_length: int | None = None
        self._fo, self._layout, self._announced, self._keep_going = fo, layout, announced, keep_going
        self._held = bytearray()  # read, but not used
        self._number = 0  # of the next block
        self._frames = layout.block  # in the block before; if it is another number, that was the last one
        self._work, self._looked_at = 0, 0

    def __iter__(self) -> Iterator[Block]:
        while self.audio_length is None:
            try:
                block = self._take()
                self._check_place(block)
            except (ValueError, EOFError) as error:
                if not self._keep_going:
                    with blame(self._layout.name(self._number, self._announced)):
                        raise
                if not isinstance(error, _OutOfPlace) and not self._find():
                    return
                continue
            self._number = block.number + 1
            if block.frames:
                self._frames = block.frames
                yield block
            else:
                self.audio_length = LENGTH.unpack(block.content)[0]

    def _take(self) -> Block:
        """The current block; if it is damaged, its bytes are kept."""
        self._fill(HEAD.size, "a block's head")
        checksum, low, frames, size = HEAD.unpack_from(self._held)
        require(self._layout.plausible(frames, size), "damaged", "frames and bytes of a block", f"{frames} in {size}")
        self._fill(HEAD.size + size, "a block")
        found = zlib.crc32(self._held[4:HEAD.size + size])
        require(found == checksum, "damaged", f"checksum {checksum:08x}", f"{found:08x}")
        content = bytes(self._held[HEAD.size:HEAD.size + size])
        del self._held[:HEAD.size + size]
        return Block(self._number + (low - self._number & 0xFFFF), frames, content)

    def _fill(self, size: int, what: str) -> None:
        while len(self._held) < size:
            piece = self._fo.read(size - len(self._held))
            if not piece:
                raise EOFError(f"file ends early: expected {size} bytes of {what}, got {len(self._held)}")
            self._held += piece

    def _check_place(self, block: Block) -> None:
        """Raise `_OutOfPlace` unless an undamaged block can come here."""
        number, frames = block.number, block.frames
        if not frames:
            length = LENGTH.unpack(block.content)[0]
            ok = length == self._announced if self._announced else 1 <= length <= MAX_LENGTH
            ok = ok and number == self._layout.count(length)
            if number == self._number > 0:
                ok = ok and self._frames == sum(self._layout.sizes(number - 1, length))
            else:
                ok = ok and self._frames == self._layout.block
        elif self._announced:
            ok = frames == sum(self._layout.sizes(number, self._announced))
        else:
            ok = self._frames == self._layout.block
        ahead = number - self._number
        number -= 0x10000 if ahead > 0x8000 else 0  # behind, rather
        what = f"block {number}" if frames else f"the end after {number} blocks"
        if not ok or ahead > MOST_MISSING:
            raise _OutOfPlace(f"out of place: expected block {self._number}, got {what}")
        if number != self._number and not self._keep_going:
            raise ValueError(f"missing: expected block {self._number}, got {what}")

    def _find(self) -> bool:
        """Drop bytes until an undamaged block begins; whether there is one."""
        held = self._held
        gone, at = 0, 1  # bytes dropped before `held`; where a block might begin, counted from the same place
        waiting: list[tuple[int, int]] = []  # (end, beginning) of what might be a block
        while True:
            while at + HEAD.size <= gone + len(held):
                _, _, frames, size = HEAD.unpack_from(held, at - gone)
                if self._layout.plausible(frames, size):
                    heapq.heappush(waiting, (at + HEAD.size + size, at))
                at += 1
                self._looked_at += 1
            while waiting and waiting[0][0] <= gone + len(held):
                end, start = heapq.heappop(waiting)
                self._work += end - start
                if self._work > _WORK + _WORK_PER_BYTE * self._looked_at:
                    held.clear()
                    return False
                if zlib.crc32(held[start - gone + 4:end - gone]) == HEAD.unpack_from(held, start - gone)[0]:
                    del held[:start - gone]
                    return True
            if len(held) > 3 * _LARGEST:  # whatever began so long ago has ended
                gone += len(held) - 2 * _LARGEST
                del held[:len(held) - 2 * _LARGEST]
            piece = self._fo.read(_PIECE)
            if not piece:
                held.clear()
                return False
            held += piece


class _OutOfPlace(ValueError):
    """An undamaged block that cannot come here: old, repeated, or of another recording."""
