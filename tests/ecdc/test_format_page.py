"""A reader of the streamed form, of blocks and of tables, written from the page `tutorials/format.md` alone, section by
section: so it shows that the page tells all that a reader needs. (Version 0 has `tutorials/codec_in_one_file.py`.)"""

import json
import math
import zlib
from hashlib import sha256

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.helpers import vectors
from tests.helpers.paths import ROOT

FORMS = [name for name in vectors.FILES if name.endswith(("_stream", "_blocks", "_table"))]


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        assert self.at <= len(self.data)
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), "big")


def unpack(data, width, k):  # section 2
    stream = int.from_bytes(data, "little")
    n = 8 * len(data) // width // k * k
    codes = [stream >> i * width & (1 << width) - 1 for i in range(n)]
    return np.array(codes).reshape(-1, k).T


def scale(file):
    return float(np.frombuffer(file.take(4), ">f4")[0])


def read_stream(file, config, k):  # section 9
    width, pairs = config["codebook_size"].bit_length() - 1, []
    while n := file.number(2):
        factor = scale(file) if config["normalize"] else None
        codes = unpack(file.take(-(-n * k * width // 8)), width, k)
        pairs.append((codes[:, :n], factor))
    return pairs, file.number(8)


def read_blocks(file, config, fields, tables):  # section 10
    pairs, number = [], 0
    while True:
        check = file.number(4)
        head = Bytes(file.take(6))
        content = Bytes(file.take(int.from_bytes(head.data[4:], "big")))
        assert check == zlib.crc32(head.data + content.data)
        assert head.number(2) == number % 65536
        n, number = head.number(2), number + 1
        if n == 0:
            return pairs, content.number(8)
        segments = content.number(1) if config["chunk_length_s"] else 1
        scales = [scale(content) for _ in range(segments)] if config["normalize"] else [None]
        rest = content.data[content.at:]
        if fields["entropy"] == "none":
            codes = unpack(rest, config["codebook_size"].bit_length() - 1, fields["nc"])[:, :n]
        else:
            codes = read_message(rest[:-2], tables, fields["nc"], n)
            assert int.from_bytes(rest[-2:], "big") == zlib.crc32(codes.T.astype("<u2").tobytes()) & 0xFFFF
        pairs.append((codes, scales))


def units(lengths):  # section 11
    def root(j):  # floor(2^(30 - j / 16)): the largest r with r^16 <= 2^(480 - j)
        r = int(2 ** (30 - j / 16)) + 2
        while r**16 > 1 << 480 - j:
            r -= 1
        return r

    w = [root(int(c) % 16) >> int(c) // 16 for c in lengths]
    return [2 + ((1 << 24) - 2 * len(w)) * one // sum(w) for one in w]


def read_message(data, tables, k, n):
    """The decoder's side of section 11: a code is the one whose interval has the message's number in it."""
    digits = [byte >> i & 1 for byte in data for i in range(8)] + [0] * 64
    owned = [units(row) for row in tables[:k]]
    stops = [np.cumsum(row) for row in owned]
    offset, width, at, codes = 0, 1, 0, []
    for i in range(n * k):
        while width < 1 << 24:
            offset, width, at = 2 * offset + digits[at], 2 * width, at + 1
        for code in np.flatnonzero(stops[i % k] > (offset << 24) // width - 2)[:4].tolist():
            stop = int(stops[i % k][code])
            start = stop - owned[i % k][code]
            a, b = -(-start * width >> 24), (stop - 1) * width >> 24
            if a <= offset <= b:
                break
        else:
            raise AssertionError("no code has this number")
        codes.append(code)
        offset, width = offset - a, b - a + 1
    return np.array(codes).reshape(n, k).T


@pytest.mark.parametrize("name", FORMS)
def test_reads_the_vectors(name):
    expected = vectors.expected()
    signal = expected["signals"][expected["files"][f"{name}.ecdc"]]
    file = Bytes((vectors.FOLDER / f"{name}.ecdc").read_bytes())
    assert file.take(4) == b"ECDC"  # section 1
    version, size = file.number(1), file.number(4)
    fields = json.loads(file.take(size))
    folder = ROOT / "weights" / fields["m"]
    config = json.loads((folder / "config.json").read_text())
    if version == 0:
        assert fields["stream"] is True and list(fields) == ["m", "al", "nc", "lm", "stream"]
        pairs, length = read_stream(file, config, fields["nc"])
        scales = [factor for _, factor in pairs]
    else:
        assert file.number(4) == zlib.crc32(file.data[:file.at - 4])
        tables = load_file(folder / "tables.safetensors")["code_lengths"]
        if fields["entropy"] == "table":
            line = f"tinyencodec tables 1: {tables.shape[0]} x {tables.shape[1]}\n".encode()
            assert fields["coder"] == sha256(line + tables.tobytes()).hexdigest()[:16]
        pairs, length = read_blocks(file, config, fields, tables)
        scales = [factor for _, factors in pairs for factor in factors]
        assert fields["al"] == (0 if fields.get("stream") else length)
    assert file.at == len(file.data) and length == signal["samples"]
    assert np.concatenate([codes for codes, _ in pairs], axis=1).tolist() == \
        np.concatenate([np.array(rows) for rows in signal["codes"]], axis=1).tolist()
    if config["normalize"]:
        assert scales == signal["scales"] and all(math.isfinite(factor) for factor in scales)


def test_the_page_counts_the_vectors():
    text = (ROOT / "tutorials" / "format.md").read_text()
    assert len(vectors.FILES) == 14 and "has fourteen small files" in text
