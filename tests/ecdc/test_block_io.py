"""Files in blocks: exact bytes, whatever may befall them, and what comes out then."""

import io
import json
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.helpers import coders
from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.block_layout import block_bytes, end_bytes
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.ecdc.container import EcdcReader, EcdcWriter, read_ecdc, write_ecdc
from tinyencodec.ecdc.header import EcdcHeader, header_bytes, is_ecdc, read_header
from tinyencodec.entropy.tables import TableCoder

SMALL = {"sampling_rate": 800, "upsampling_ratios": (4, 2), "codebook_size": 16, "target_bandwidths": (0.4, 1.6)}
CONFIGS = {
    "one": CodecConfig(**SMALL), "scaled": CodecConfig(**SMALL, normalize=True),
    "segments": CodecConfig(**SMALL, use_causal_conv=False, audio_channels=2, normalize=True, chunk_length_s=0.1,
                            overlap=0.05),
    "half": CodecConfig(**SMALL, use_causal_conv=False, chunk_length_s=0.1, overlap=0.5),
}
LENGTHS = {"one": 170, "scaled": 170, "segments": 240, "half": 130}  # samples in a small file
BLOCKS = {"one": 10, "scaled": 10, "segments": 20, "half": 10}
TABLES = np.random.default_rng(0).integers(40, 90, (4, 16)).astype(np.uint8)
CODERS = {"none": FixedCoder(4), "table": TableCoder(TABLES), "lm": coders.PackedCoder()}
everywhere = pytest.mark.parametrize("name", CONFIGS)
by_all = pytest.mark.parametrize("entropy", CODERS)


class Pipe(io.BytesIO):
    """Cannot seek, and returns a few bytes at a time."""

    def read(self, size=-1):
        assert 0 < size <= 1 << 16
        return super().read(min(size, 1 + super().tell() % 7))

    def seekable(self):
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation("seek")

    tell = seek


def segments_of(name, length, n_codebooks=2, seed=0):
    rng, config = np.random.default_rng(seed), CONFIGS[name]
    return [(rng.integers(0, 16, (n_codebooks, n)), float(np.float32(rng.random())) if config.normalize else None)
            for n in segment_frames(config, length)]


def written(name, entropy, length, fo=None, told=True, parts=(), seed=0):
    """The bytes of a file. `told`: its length is known at the start; `parts`: where one segment is cut."""
    fo = io.BytesIO() if fo is None else fo
    writer = EcdcWriter(fo, name, CONFIGS[name], 2, length if told else None, CODERS[entropy], BLOCKS[name])
    for codes, scale in segments_of(name, length, seed=seed):
        for part in np.split(codes, parts, axis=1) if CONFIGS[name].segment_length is None else [codes]:
            writer.write(part, scale)
    writer.finish(length)
    return fo.getvalue()


def read(name, entropy, data, keep_going=None, pipe=True, at_once=16):
    """(header, codes [K, F], scales, reader)"""
    fo = (Pipe if pipe else io.BytesIO)(data)
    header = read_header(fo)
    reader = EcdcReader(fo, header, CONFIGS[name], coder=CODERS[entropy], keep_going=keep_going, at_once=at_once)
    pairs = list(reader)
    return header, np.concatenate([codes for codes, _ in pairs], axis=1), [scale for _, scale in pairs], reader


def header_size(data):
    return 13 + struct.unpack("!I", data[5:9])[0]


def spans(data):
    """(start, end) of each block of an undamaged file."""
    at, places = header_size(data), []
    while at < len(data):
        end = at + 10 + struct.unpack_from("!H", data, at + 8)[0]
        places.append((at, end))
        at = end
    return places


# ---- exact bytes -------------------------------------------------------------------------------------


def test_golden_file():
    """As the format is told in `block_layout`, by hand: three frames in blocks of two, codes of four bits."""
    fo = io.BytesIO()
    write_ecdc(fo, SimpleNamespace(name="one", config=CONFIGS["one"]), [(np.array([[1, 3, 5], [2, 4, 6]]), None)], 17,
               FixedCoder(4), 2)
    text = b'{"m": "one", "al": 17, "nc": 2, "lm": false, "entropy": "none", "block": 2}'
    start = b"ECDC\x01\0\0\0" + bytes([len(text)]) + text
    data = start + zlib.crc32(start).to_bytes(4, "big")
    for block in (b"\0\0\0\2\0\2" + b"\x21\x43", b"\0\1\0\1\0\1" + b"\x65", b"\0\2\0\0\0\x08" + bytes(7) + b"\x11"):
        data += zlib.crc32(block).to_bytes(4, "big") + block
    assert fo.getvalue() == data
    assert zlib.crc32(data) == GOLDEN["none"]


def test_golden_coded_file():
    data = written("segments", "table", 500, told=False)
    text = (b'{"m": "segments", "al": 0, "nc": 2, "lm": false, "entropy": "table", "block": 20, "coder": "%s", '
            b'"stream": true}' % CODERS["table"].id.encode())
    assert data[9:header_size(data) - 4] == text
    assert zlib.crc32(data) == GOLDEN["table"]
    header = EcdcHeader("x", 5, 1, True, entropy="lm", block=300, coder="0" * 16, arithmetic=1)
    assert header_bytes(header)[9:-4] == (
        b'{"m": "x", "al": 5, "nc": 1, "lm": true, "entropy": "lm", "block": 300, "coder": "0000000000000000", '
        b'"arithmetic": 1}')


GOLDEN = {"none": 0x74501b9d, "table": 0x9e62a3fd}  # CRC-32 of the files


# ---- there and back ----------------------------------------------------------------------------------


@everywhere
@by_all
@given(st.integers(1, 900), st.lists(st.integers(0, 112), max_size=6), st.booleans(), st.sampled_from([1, 3, 16]))
def test_round_trip(name, entropy, length, parts, told, at_once):
    data = written(name, entropy, length, told=told)
    fo = Pipe()
    assert written(name, entropy, length, fo, told, sorted(parts)) == data
    for pipe in (True, False):
        header, codes, scales, reader = read(name, entropy, data + b"tail", pipe=pipe, at_once=at_once)
        expected = segments_of(name, length)
        assert np.array_equal(codes, np.concatenate([codes for codes, _ in expected], axis=1))
        assert scales == [scale for _, scale in expected] if CONFIGS[name].segment_length else \
            set(scales) == {expected[0][1]}
        assert (reader.audio_length, reader.blocks.lost, reader.blocks.cut) == (length, [], False)
        assert io.BytesIO.read(reader.blocks.search._fo) == b"tail"
    assert header.stream != told and header.version == 1 and header.mended is None


@by_all
def test_blocks_go_out_when_they_are_complete(entropy):
    class Counted(Pipe):
        writes = 0

        def write(self, data):
            self.writes += 1
            return super().write(data)

    fo, codes = Counted(), np.zeros((2, 1), int)
    writer = EcdcWriter(fo, "one", CONFIGS["one"], 2, None, CODERS[entropy], 10)
    for n in range(35):
        assert fo.writes == 1 + n // 10
        writer.write(codes)
    fo = Counted()
    writer = EcdcWriter(fo, "segments", CONFIGS["segments"], 2, None, CODERS[entropy], 20)
    for n in range(7):
        assert fo.writes == 1 + n // 2
        writer.write(np.zeros((2, 10), int), 1.0)


def test_blocks_of_a_file_are_coded_together():
    coder, fo = coders.PackedCoder(), io.BytesIO()
    writer = EcdcWriter(fo, "one", CONFIGS["one"], 2, 8 * 403, coder, 10)
    for start in range(0, 403, 50):
        writer.write(np.zeros((2, min(50, 403 - start)), int))
    writer.finish()
    assert coder.calls == [[10] * 20, [10] * 20, [3]] or coder.calls == [[10] * 16, [10] * 16, [10] * 8, [3]]
    coder.calls.clear()
    fo.seek(0)
    list(EcdcReader(fo, read_header(fo), CONFIGS["one"], coder=coder))
    assert coder.calls == [[10] * 16, [10] * 16, [10] * 8, [3]]


def test_fewer_samples_than_announced():
    fo = io.BytesIO()
    writer = EcdcWriter(fo, "one", CONFIGS["one"], 2, 10_000, CODERS["lm"], 10)
    writer.write(np.ones((2, 25), int))
    writer.finish(199)
    assert b'"al": 199  , ' in fo.getvalue()
    header, codes, _, reader = read("one", "lm", fo.getvalue())
    assert codes.shape == (2, 25) and reader.audio_length == 199 and header.mended is None


@pytest.mark.parametrize("codes, message", [
    (np.full((2, 1), 16), r"codes: expected 0 ... 15, got \[16, 16\]"),
    (np.full((2, 1), -1), r"codes: expected 0 ... 15, got \[-1, -1\]"),
    (np.zeros((2, 1)), "codes: expected integers, got dtype"), (np.zeros((3, 1), int), r"shape \[2, F\]"),
    (np.zeros((2, 126), int), "at most 125 more frames"),
])
@by_all
def test_codes_that_do_not_fit(entropy, codes, message):
    writer = EcdcWriter(io.BytesIO(), "one", CONFIGS["one"], 2, 1000, CODERS[entropy], 10)
    with pytest.raises(ValueError, match=message):
        writer.write(codes)


# ---- damage ------------------------------------------------------------------------------------------


@everywhere
@by_all
@pytest.mark.parametrize("told", [True, False])
def test_every_truncation(name, entropy, told):
    length = LENGTHS[name]
    data = written(name, entropy, length, told=told)
    whole, start = read(name, entropy, data)[1], header_size(data)
    places = spans(data)
    for size in range(len(data)):
        with pytest.raises(EOFError, match="file ends early: expected .* got") as caught:
            read(name, entropy, data[:size])
        complete = sum(end <= size for _, end in places)
        assert size < start or str(caught.value).startswith((f"block {complete} (", "end block ("))
        if size >= start and not complete:
            with pytest.raises(ValueError, match="at least one that is undamaged"):
                read(name, entropy, data[:size], "repeat")
        elif size >= start:
            _, codes, _, reader = read(name, entropy, data[:size], "repeat")
            n = complete * BLOCKS[name]
            assert np.array_equal(codes[:, :n], whole[:, :n])
            assert reader.blocks.cut != told
            assert reader.audio_length == length if told else 0 < reader.audio_length < length + 8
            assert codes.shape[1] == sum(segment_frames(CONFIGS[name], reader.audio_length))


@pytest.mark.parametrize("name, entropy, told", [
    ("one", "none", True), ("one", "table", False), ("one", "lm", True), ("scaled", "none", False),
    ("segments", "none", True), ("segments", "table", True), ("segments", "lm", False), ("half", "none", True)])
def test_every_flipped_bit(name, entropy, told):
    """In the header: mended, and told, but for its length field, which is an error. Elsewhere: an error that names the
    block, and no other block suffers."""
    length = LENGTHS[name]
    data = written(name, entropy, length, told=told)
    whole, places, start = read(name, entropy, data), spans(data), header_size(data)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        if 5 <= bit >> 3 < 9:  # the length field
            with pytest.raises((ValueError, EOFError), match="^(not an .ecdc file: |file ends early: )[^\n]*$"):
                read(name, entropy, bytes(damaged))
            continue
        if bit >> 3 < start:
            if (name, entropy) == ("one", "none") or bit % 11 == 0:  # they are all alike
                header, codes, _, _ = read(name, entropy, bytes(damaged))
                assert header == whole[0] and header.mended and np.array_equal(codes, whole[1])
                assert is_ecdc(bytes(damaged[:4]))
            continue
        number = next(i for i, (_, end) in enumerate(places) if bit >> 3 < end)
        with pytest.raises((ValueError, EOFError)) as caught:
            read(name, entropy, bytes(damaged))
        assert str(caught.value).startswith((f"block {number} (", "end block (at")[told and number == len(places) - 1])
        _, codes, scales, reader = read(name, entropy, bytes(damaged), "silence")
        layout = reader.blocks.layout
        lost = [(layout.start(number), layout.end(number, length))]
        if number == len(places) - 1:
            assert reader.blocks.cut != told and codes[:, :whole[1].shape[1]].shape == codes.shape or not told
            n = min(codes.shape[1], whole[1].shape[1])
            assert np.array_equal(codes[:, :n - (0 if told else 1)], whole[1][:, :n - (0 if told else 1)])
            continue
        assert reader.blocks.lost == lost and reader.audio_length == length and codes.shape == whole[1].shape
        a = number * BLOCKS[name]
        b = a + sum(layout.sizes(number, length))
        assert np.array_equal(np.delete(codes, np.s_[a:b], 1), np.delete(whole[1], np.s_[a:b], 1))
        before = codes[:, a - 1] if a else codes[:, b]
        assert (codes[:, a:b] == before[:, None]).all()
        assert len(scales) == len(whole[2])


@by_all
@given(data=st.data())
def test_any_damage(entropy, data):
    """Whatever happens to the blocks: what is undamaged comes out exactly, and in its place."""
    name = data.draw(st.sampled_from(list(CONFIGS)))
    told, length = data.draw(st.booleans()), data.draw(st.integers(200, 900))
    whole = written(name, entropy, length, told=told)
    codes, pieces, places = read(name, entropy, whole)[1], [], spans(whole)
    good, cuts = [], []
    for number, (a, b) in enumerate(places):
        fate = data.draw(st.sampled_from(["keep"] * 4 + ["drop", "burst", "before", "cut"])) if number else "keep"
        block = bytearray(whole[a:b])
        if fate == "burst":
            at, noise = data.draw(st.integers(0, len(block) - 1)), data.draw(st.binary(min_size=1, max_size=4))
            for i, byte in enumerate(noise[:len(block) - at]):
                block[at + i] ^= byte
        if fate == "before":
            pieces.append(data.draw(st.binary(max_size=40)))
        if fate == "cut":
            del block[data.draw(st.integers(0, len(block) - 1)):]
            cuts.append((len(pieces), whole[a + len(block):b]))
        if fate in ("keep", "before") or fate == "burst" and bytes(block) == whole[a:b]:
            good.append(number)
        pieces.append(bytes(block) if fate != "drop" else b"")
    for at, missing in cuts:  # one byte in 256 is also the next block's first: then that block is the damaged one
        assume(not b"".join(pieces[at + 1:]).startswith(missing))
    _, got, _, reader = read(name, entropy, whole[:header_size(whole)] + b"".join(pieces), "repeat")
    for number in good[:-1] if len(places) - 1 in good else good:
        a = number * BLOCKS[name]
        b = a + sum(reader.blocks.layout.sizes(number, length))
        assert np.array_equal(got[:, a:b], codes[:, a:b])
    if told or len(places) - 1 in good:
        assert reader.audio_length == length and got.shape == codes.shape and not reader.blocks.cut
        missing = set(range(len(places) - 1)) - set(good)
        assert sum(b - a for a, b in reader.blocks.lost) == sum(
            reader.blocks.layout.end(n, length) - reader.blocks.layout.start(n) for n in missing)


def test_a_coder_that_slips_is_noticed():
    coder = coders.SlippingCoder()
    fo = io.BytesIO()
    model, codes = SimpleNamespace(name="one", config=CONFIGS["one"]), np.zeros((2, 40), int)
    codes[0, 20] = 1
    write_ecdc(fo, model, [(codes, None)], 320, coder, 10)
    fo.seek(0)
    with pytest.raises(ValueError, match=r"^block 2 \(0.200 s to 0.300 s\): its codes do not come out as they went in: "
                                         "check of the codes: expected .* got"):
        read_ecdc(fo, model, read_header(fo), coder)
    fo.seek(0)
    reader = EcdcReader(fo, read_header(fo), CONFIGS["one"], coder=coder, keep_going="repeat")
    assert np.concatenate([codes for codes, _ in reader], axis=1).sum() == 0 and reader.blocks.lost == [(160, 240)]


def test_undamaged_blocks_that_lie():
    """With checksums that hold."""
    data = written("segments", "none", 500, told=False)
    head = data[:header_size(data)]
    good = data[slice(*spans(data)[0])]
    for content, frames, message in [
        (b"\2" + struct.pack("!ff", 1, float("nan")) + bytes(20), 20, "scale: expected a finite number"),
        (b"\3" + struct.pack("!ff", 1, 1) + bytes(20), 20, "segments: expected"),
        (b"\1" + struct.pack("!ff", 1, 1) + bytes(20), 20, "segments: expected"),
    ]:
        with pytest.raises(ValueError, match=f"block 1 .* its codes do not come out .*{message}"):
            read("segments", "none", head + good + block_bytes(1, frames, content) + end_bytes(2, 160))
    with pytest.raises(ValueError, match="at most 4096 blocks in a row, got"):
        read("one", "none", header_bytes(EcdcHeader("one", 2**60, 2, block=10)) + block_bytes(0, 10, bytes(10)),
             "repeat")


# ---- headers -----------------------------------------------------------------------------------------


def fields(**changes):
    return {"m": "one", "al": 8, "nc": 2, "lm": False, "entropy": "none", "block": 10} | changes


def checked(metadata, version=1):
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    data = struct.pack("!4sBI", b"ECDC", version, len(text)) + text
    return data + struct.pack("!I", zlib.crc32(data))


def test_headers():
    assert read_header(io.BytesIO(checked(fields(more=1)))) == EcdcHeader("one", 8, 2, block=10)
    lm = fields(lm=True, entropy="lm", coder="0123456789abcdef", arithmetic=1)
    for data, message in [
        (checked([1]), "a JSON object"), (checked({"m": "one", "al": 8, "nc": 2, "lm": False}), "keys entropy, block"),
        (checked(fields(block=0)), "frames per block"), (checked(fields(block=65_536)), "frames per block"),
        (checked(fields(block=True)), "frames per block"), (checked(fields(entropy="zip")), "entropy coding"),
        (checked(fields(entropy=["lm"])), "entropy coding"), (checked(fields(lm=True)), "language model"),
        (checked(fields(coder="0" * 16)), "coder"), (checked(fields(arithmetic=1)), "arithmetic"),
        (checked(lm | {"coder": "0" * 15}), "coder"), (checked(lm | {"coder": None}), "coder"),
        (checked(lm | {"arithmetic": 0}), "arithmetic"), (checked(lm | {"arithmetic": None}), "arithmetic"),
        (checked(lm | {"lm": False}), "language model"), (checked(fields(al=2**63)), "audio length"),
        (checked(fields(stream=True)), "0 in a streamed file"),
        (checked(fields(), version=4), "version: expected 0 or 1"),
        (checked(b"{" + b" " * 1100 + b"}"), "metadata length: expected at most 1024 bytes, got 1102"),
        (checked(fields())[:-4] + b"abcd", "header: expected at most one wrong bit, got more"),
        (checked(fields())[:-4] + b"abcd" + bytes(2000), "header: expected at most one wrong bit, got more"),
        (b"ECDD" + checked(fields(), version=3)[4:], "first bytes"),
        (checked(fields(), version=0), "header: expected at most one wrong bit, got more"),
    ]:
        with pytest.raises(ValueError, match=f"^not an .ecdc file: .*{message}.*") as caught:
            read_header(Pipe(data))
        assert len(str(caught.value)) < 250


@given(st.data())
def test_more_wrong_bits_are_told(data):
    good = checked(fields())
    damaged = bytearray(good + bytes(2000))
    for bit in data.draw(st.sets(st.integers(0, 8 * len(good) - 1), min_size=2, max_size=3)):
        damaged[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises((ValueError, EOFError), match="expected"):
        read_header(Pipe(bytes(damaged)))


def test_huge_claims_do_not_allocate():
    for entropy in CODERS:
        header = EcdcHeader("one", 2**60, 2, entropy == "lm", False, entropy, 10, CODERS[entropy].id,
                            1 if entropy == "lm" else None)
        for keep_going in (None, "repeat"):
            with pytest.raises((EOFError, ValueError), match="damaged|at least one that is undamaged"):
                read("one", entropy, header_bytes(header) + bytes(3000), keep_going)


def test_wrong_coder():
    data = written("one", "lm", 333)
    for coder, message in [(coders.PackedCoder(identity="f" * 16), "coded with the language model 0123456789abcdef, "
                                                                   "installed is ffffffffffffffff"),
                           (None, "coder of a file coded with language model: expected lm, got None"),
                           (CODERS["table"], "expected lm, got 'table'"), (FixedCoder(4), "expected lm, got 'none'")]:
        fo = io.BytesIO(data)
        with pytest.raises(ValueError, match=message):
            EcdcReader(fo, read_header(fo), CONFIGS["one"], coder=coder)
    future = header_bytes(EcdcHeader("one", 8, 2, True, entropy="lm", block=10, coder="0" * 16, arithmetic=2))
    with pytest.raises(ValueError, match="arithmetic of the language model: expected version 1, got 2"):
        read("one", "lm", future)
    with pytest.raises(ValueError, match="a multiple of the 10 frames of a segment, got 15"):
        read("segments", "none", header_bytes(EcdcHeader("segments", 8, 2, block=15)))
    with pytest.raises(ValueError, match="surely fit 65535 bytes, got 60000"):
        read("one", "none", header_bytes(EcdcHeader("one", 8, 2, block=60_000)))
