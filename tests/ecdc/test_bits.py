"""Packing against a twin that handles one bit at a time."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.ecdc.bits import BitReader, BitWriter
from tinyencodec.system.files import read_exactly


def pack_bit_by_bit(values, width):
    """The definition: bit j of number i is bit i * width + j of the stream, padded to a byte with zeros."""
    stream = [(value >> j) & 1 for value in values for j in range(width)]
    stream += [0] * (-len(stream) % 8)
    return bytes(sum(bit << j for j, bit in enumerate(stream[i:i + 8])) for i in range(0, len(stream), 8))


def pack(values, width):
    fo = io.BytesIO()
    writer = BitWriter(fo, width)
    writer.write(values)
    writer.flush()
    return fo.getvalue()


class Dribble(io.RawIOBase):
    """A file that returns one to three bytes at a time, cannot seek, and remembers the largest request."""

    def __init__(self, data):
        self.data, self.position, self.largest = data, 0, 0

    def read(self, size=-1):
        assert size > 0
        self.largest = max(self.largest, size)
        piece = self.data[self.position:self.position + min(size, 1 + self.position % 3)]
        self.position += len(piece)
        return piece


@st.composite
def numbers(draw):
    width = draw(st.integers(1, 16))
    return width, draw(st.lists(st.integers(0, (1 << width) - 1), max_size=80))


@given(numbers())
def test_bytes_equal_the_twin_and_come_back(case):
    width, values = case
    data = pack(values, width)
    assert data == pack_bit_by_bit(values, width)
    back = BitReader(io.BytesIO(data), width).read(len(values))
    assert back.dtype == np.int64 and back.tolist() == values


@given(numbers(), st.lists(st.integers(0, 20), max_size=12))
def test_any_partition_gives_the_same_stream(case, sizes):
    width, values = case
    fo, start = io.BytesIO(), 0
    writer = BitWriter(fo, width)
    for size in sizes:
        writer.write(values[start:start + size])
        start += size
    writer.write(np.array(values[start:], np.uint16))
    writer.flush()
    assert fo.getvalue() == pack_bit_by_bit(values, width)

    reader, back = BitReader(Dribble(fo.getvalue()), width), []
    for size in sizes:
        back += reader.read(min(size, len(values) - len(back))).tolist()
    back += reader.read(len(values) - len(back)).tolist()
    assert back == values


@given(numbers(), numbers())
def test_flush_and_a_new_reader_separate_sections(first, second):
    width, values = first
    more = [value & ((1 << width) - 1) for value in second[1]]
    fo = io.BytesIO()
    writer = BitWriter(fo, width)
    for section in (values, more):
        writer.write(section)
        writer.flush()
    assert fo.getvalue() == pack_bit_by_bit(values, width) + pack_bit_by_bit(more, width)

    fo.seek(0)
    assert BitReader(fo, width).read(len(values)).tolist() == values
    assert BitReader(fo, width).read(len(more)).tolist() == more


@given(numbers())
def test_every_truncation_is_an_eof_error(case):
    width, values = case
    data = pack(values, width)
    for size in range(len(data)):
        with pytest.raises(EOFError, match=rf"expected {len(data)} bytes of packed codes, got {size}"):
            BitReader(io.BytesIO(data[:size]), width).read(len(values))


@pytest.mark.parametrize("width", range(1, 17))
def test_more_than_one_block(width):
    values = np.random.default_rng(width).integers(0, 1 << width, 70_001)
    values[-1] = (1 << width) - 1
    assert np.array_equal(BitReader(io.BytesIO(pack(values, width)), width).read(len(values)), values)


def test_worked_example():
    # 1 = 0000000001, 1023 = 1111111111, 512 = 1000000000; the stream, first bit left:
    # 10000000 00|111111 1111|0000 000001|00
    assert pack([1, 1023, 512], 10) == bytes([0b00000001, 0b11111100, 0b00001111, 0b00100000])


def test_arrays_are_written_in_c_order():
    values = np.arange(12).reshape(3, 4)
    assert pack(values.T, 4) == pack_bit_by_bit(values.T.ravel().tolist(), 4)


def test_reader_takes_no_byte_too_many():
    fo = io.BytesIO(pack([1, 2, 3, 4], 4) + b"next")
    assert BitReader(fo, 4).read(4).tolist() == [1, 2, 3, 4]
    assert fo.read() == b"next"


def test_huge_count_ends_after_the_data():
    fo = Dribble(b"\xff" * 100)
    with pytest.raises(EOFError):
        BitReader(fo, 16).read(1 << 60)
    assert fo.position == 100 and fo.largest <= 1 << 20


@pytest.mark.parametrize("values, got", [([0, 8], "8"), ([-1, 9], "-1"), ([2**40], str(2**40)),
                                         ([1.5], "float64"), ([True], "bool"), ([2**70], "object")])
def test_bad_values_write_nothing(values, got):
    fo = io.BytesIO()
    with pytest.raises(ValueError, match=rf"expected .*, got {got}"):
        BitWriter(fo, 3).write(values)
    assert fo.getvalue() == b""


@pytest.mark.parametrize("width", [-1, 0, 17])
@pytest.mark.parametrize("end", [BitReader, BitWriter])
def test_bad_width(end, width):
    with pytest.raises(ValueError, match=f"expected 1 to 16 bits, got {width}"):
        end(io.BytesIO(), width)


def test_bad_count():
    with pytest.raises(ValueError, match="expected 0 or more, got -1"):
        BitReader(io.BytesIO(), 3).read(-1)


def test_read_exactly_retries_short_reads():
    assert read_exactly(Dribble(b"abcdefgh"), 7, "letters") == b"abcdefg"
    with pytest.raises(EOFError, match="expected 9 bytes of letters, got 8"):
        read_exactly(Dribble(b"abcdefgh"), 9, "letters")
