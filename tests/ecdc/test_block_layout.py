"""How signals lie in blocks, and finding blocks again among damage."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.codec.config import ENCODEC_24KHZ, ENCODEC_48KHZ, CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.block_layout import Layout, block_bytes, codes_check, end_bytes, frames_per_block
from tinyencodec.ecdc.block_search import BlockSearch

SMALL = {"sampling_rate": 800, "upsampling_ratios": (4, 2), "codebook_size": 16, "target_bandwidths": (0.4, 1.6)}
SEGMENTS = SMALL | {"use_causal_conv": False, "audio_channels": 2, "normalize": True}
CONFIGS = {
    "one": CodecConfig(**SMALL), "scaled": CodecConfig(**SMALL, normalize=True),
    "segments": CodecConfig(**SEGMENTS, chunk_length_s=0.2, overlap=0.05),
    "half": CodecConfig(**SMALL, use_causal_conv=False, chunk_length_s=0.1, overlap=0.5),
    "tiny": CodecConfig(sampling_rate=100, upsampling_ratios=(1,), target_bandwidths=(6.0,), use_causal_conv=False,
                        chunk_length_s=0.03, overlap=0.5),
    "24 kHz": ENCODEC_24KHZ, "48 kHz": ENCODEC_48KHZ,
}
LAYOUT = Layout(CONFIGS["one"], 2, 10, coded=True)


def found(data, layout=LAYOUT, announced=None, keep_going=True):
    return list(BlockSearch(io.BytesIO(data), layout, announced, keep_going))


# ---- layout ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
@given(st.integers(1, 200_000), st.floats(0.02, 2.0))
def test_blocks_are_the_signal(name, audio_length, seconds):
    config = CONFIGS[name]
    audio_length = audio_length if "kHz" in name else 1 + audio_length % 2000
    layout = Layout(config, 1, frames_per_block(config, 1, seconds), coded=True)
    count, sizes = layout.count(audio_length), list(segment_frames(config, audio_length))
    blocks = [layout.sizes(number, audio_length) for number in range(count)]
    together = [size for block in blocks for size in block]
    assert together == sizes if config.segment_length else sum(together) == sum(sizes)
    assert layout.sizes(count, audio_length) == [] and all(blocks)
    assert all(block == layout.sizes(0, None) and sum(block) == layout.block for block in blocks[:-1])
    assert layout.split(sum(blocks[-1]), len(blocks[-1])) == blocks[-1]
    assert sum(blocks[-1]) <= layout.most_frames
    assert [layout.start(number) for number in (0, count)] <= [0, audio_length + layout.start(1)]
    for block in blocks:
        assert layout.plausible(sum(block), 2 + bool(config.segment_length) + 4 * len(block) * config.normalize)


def test_seconds():
    assert frames_per_block(ENCODEC_24KHZ, 32) == 300 and frames_per_block(ENCODEC_48KHZ, 16) == 600
    assert frames_per_block(ENCODEC_24KHZ, 8, 0.5) == 38 and frames_per_block(ENCODEC_48KHZ, 16, 0.5) == 150
    assert frames_per_block(ENCODEC_24KHZ, 32, 1e-9) == 1
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="block: expected a positive number of seconds, got"):
            frames_per_block(ENCODEC_24KHZ, 8, seconds)
    with pytest.raises(ValueError, match="block: expected at most 8.73 s, which fit 65535 bytes, got 9"):
        frames_per_block(ENCODEC_24KHZ, 32, 9)
    with pytest.raises(ValueError, match="at most the 655 that surely fit 65535 bytes, got 656"):
        Layout(ENCODEC_24KHZ, 32, 656, coded=True)
    with pytest.raises(ValueError, match="a multiple of the 150 frames of a segment, got 151"):
        Layout(ENCODEC_48KHZ, 16, 151, coded=True)
    long = CodecConfig(chunk_length_s=170.0, overlap=0.1, use_causal_conv=False)
    with pytest.raises(ValueError, match="block: expected a segment that surely fits 65535 bytes"):
        frames_per_block(long, 32)
    for config in (ENCODEC_24KHZ, ENCODEC_48KHZ):  # the usual one, or less where that could not fit
        for n_codebooks in (1, 2, 16, 32):
            Layout(config, n_codebooks, frames_per_block(config, n_codebooks), coded=True)


# ---- exact bytes -------------------------------------------------------------------------------------


def test_golden_blocks():
    assert block_bytes(65_537, 3, b"abc") == bytes.fromhex("74e751a0 0001 0003 0003") + b"abc"
    assert zlib.crc32(b"\0\1\0\3\0\3abc") == 0x74E751A0
    assert end_bytes(2, 1000) == bytes.fromhex("8fc3571d 0002 0000 0008 00000000000003e8")
    codes = np.array([[1, 3], [2, 256]])
    assert codes_check(codes) == struct.pack("!H", zlib.crc32(b"\1\0\2\0\3\0\0\1") & 0xFFFF)
    with pytest.raises(ValueError, match="at most 65535 bytes, got 65536"):
        block_bytes(0, 1, bytes(65_536))


# ---- search ------------------------------------------------------------------------------------------

FILE = [block_bytes(number, 10, bytes([number]) * (5 + number)) for number in range(4)]
END = end_bytes(4, 320)


def test_search_of_a_whole_file():
    search = BlockSearch(io.BytesIO(b"".join(FILE) + END + b"more"), LAYOUT, None, False)
    assert [(block.number, block.frames, len(block.content)) for block in search] == [
        (number, 10, 5 + number) for number in range(4)]
    assert search.audio_length == 320 and search._fo.read() == b"more"


@given(st.lists(st.sampled_from(["keep", "drop", "garbage", "flip", "twice", "cut"]), min_size=4, max_size=4),
       st.randoms(use_true_random=False))
def test_search_finds_what_is_whole(fates, random):
    data, expected = b"", []
    for number, fate in enumerate(fates):
        block = bytearray(FILE[number])
        if fate == "flip":
            block[random.randrange(len(block))] ^= 1 << random.randrange(8)
        if fate == "garbage":
            data += random.randbytes(random.randrange(200))
        if fate in ("keep", "garbage", "twice"):
            expected.append(number)
        data += bytes(block)[:0 if fate == "drop" else 9 if fate == "cut" else None] * (2 if fate == "twice" else 1)
    assert [block.number for block in found(data + END)] == expected
    assert [block.number for block in found(data + END, announced=320)] == expected
    first = next((number for number, fate in enumerate(fates) if fate != "keep"), None)
    if first is None:
        assert len(found(data + END, keep_going=False)) == 4
    elif fates[first] != "garbage":  # of which there may be none
        with pytest.raises((ValueError, EOFError)) as caught:
            found(data + END, keep_going=False)
        first += fates[first] == "twice"
        assert str(caught.value).startswith(f"block {first} ({first / 10:.3f} s to {(first + 1) / 10:.3f} s): ")


def test_order():
    assert [block.number for block in found(FILE[0] + FILE[2] + FILE[1] + FILE[3] + END)] == [0, 2, 3]
    for data, message in [
        (FILE[1], r"block 0 \(0.000 s to 0.100 s\): missing: expected block 0, got block 1"),
        (FILE[0] * 2, r"block 1 \(0.100 s to 0.200 s\): out of place: expected block 1, got block 0"),
        (FILE[0] + END, r"block 1 \(.*\): missing: expected block 1, got the end after 4 blocks"),
        (b"".join(FILE) + end_bytes(4, 400), "block 4 .* out of place: .* got the end after 4 blocks"),
        (FILE[0] + block_bytes(1, 7, b"12345") + FILE[2], "block 2 .* out of place"),
        (FILE[0] + block_bytes(5001, 10, b"12345"), "block 1 .* out of place: .* got block 5001"),
    ]:
        with pytest.raises(ValueError, match=message):
            found(data, keep_going=False)
    with pytest.raises(ValueError, match=r"end block \(at 0.400 s\): .* got the end after 4"):
        found(b"".join(FILE) + end_bytes(4, 319), announced=320, keep_going=False)


def test_numbers_go_round():
    data = b"".join(block_bytes(number, 10, b"12345") for number in range(65_530, 65_545))
    search = BlockSearch(io.BytesIO(data), LAYOUT, None, False)
    search._number = 65_530
    with pytest.raises(EOFError, match=r"block 65545 \(6554.500 s .* file ends early: expected 10 bytes"):
        assert [block.number for block in search] == 0
    search = BlockSearch(io.BytesIO(data), LAYOUT, None, True)
    search._number = 65_530
    assert [block.number for block in search] == list(range(65_530, 65_545))


class Repeated:
    """A pipe of the same bytes again and again; it looks at how much the reader keeps."""

    def __init__(self, pattern, size):
        self.data, self.left, self.search = pattern * 7, size, None

    def read(self, size):
        assert size <= 1 << 16 and len(self.search._held) <= 4 * 65_545
        size = min(size, self.left)
        self.left -= size
        return (self.data * (size // len(self.data) + 1))[:size]


@pytest.mark.parametrize("pattern", [b"\0", b"\1", b"\x0b", b"\1\1\0\1\0\1\x40\0", FILE[1][:-1], FILE[3][1:]])
def test_hostile_bytes_cost_little(pattern):
    """Time and memory are bounded, whatever seems to begin at each byte."""
    layout, fo = Layout(CONFIGS["one"], 1, 20_000, coded=True), Repeated(pattern, 300_000)
    fo.search = BlockSearch(fo, layout, None, True)
    began = time.process_time()
    assert list(fo.search) == []
    assert fo.search._work <= (1 << 26) + (1 << 11) * fo.search._looked_at + 65_545
    assert time.process_time() - began < 10  # half a second, and more where all is slow


def test_a_pipe_gives_blocks_at_once():
    """Nothing is waited for that a block does not need, and after damage little."""
    class Live(io.BytesIO):
        def read(self, size):
            assert super().tell() < len(self.getvalue()), "it would have to wait"
            return super().read(size)

    blocks = iter(BlockSearch(Live(FILE[0] + FILE[1]), LAYOUT, None, False))
    assert next(blocks).number == 0 and next(blocks).number == 1
    broken = bytes([FILE[1][0] ^ 1]) + FILE[1][1:]
    blocks = iter(BlockSearch(Live(FILE[0] + broken + FILE[2] + bytes(64)), LAYOUT, None, True))
    assert next(blocks).number == 0 and next(blocks).number == 2
