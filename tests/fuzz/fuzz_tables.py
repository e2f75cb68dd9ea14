"""`tables.safetensors`, and payloads that its tables have not made."""

import struct
import tempfile
from pathlib import Path

import numpy as np
from driver import mutate

from tinyencodec.entropy.tables import TableCoder, load_tables
from tinyencodec.train.tables import save_tables

PATH = Path(tempfile.mkdtemp()) / "tables.safetensors"
WORDS = (b'"U8"', b'"I8"', b'"F32"', b"[4,16]", b"[64]", b"[1,64]", b"[64,1]", b"[0,16]", b"[16,0]",
         b"[4294967296,4294967296]",
         b'"code_lengths"', b"{", b"}", b"\\u001b")


def corpus():
    files = []
    for shape in ((4, 16), (2, 1024), (1, 2)):
        save_tables(PATH, np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
        files.append(PATH.read_bytes())
    return files


def mutated(random, files):
    data = random.choice(files)
    size = struct.unpack_from("<Q", data)[0]
    if random.random() < 0.5:
        return mutate(random, data, files, WORDS)
    header = mutate(random, data[8:8 + size], [data[8:8 + size]], WORDS)
    return struct.pack("<Q", len(header)) + header + data[8 + size:]


def read(data, random):
    PATH.write_bytes(data)
    coder = TableCoder(load_tables(PATH))
    codes = np.random.default_rng(1).integers(0, coder.n_entries, (coder.n_codebooks, 20))
    payload = coder.encode([codes])[0]
    assert np.array_equal(coder.decode([(payload, 20)], coder.n_codebooks)[0], codes)
    hostile = payload[:random.randrange(len(payload) + 1)] + random.randbytes(random.randrange(20))
    try:
        found = coder.decode([(hostile, 20)], coder.n_codebooks)[0]
        assert 0 <= found.min() <= found.max() < coder.n_entries
    except (ValueError, EOFError) as error:
        assert str(error).isprintable()
    return "read"
