"""`.ecdc` files, versions 0 and 1, from files and from pipes: headers, packets, blocks, tables.

Inputs are good files after one to six mutations: bits, bytes, lengths, pieces cut, repeated, moved, exchanged between
files. In half of them checksums are made to hold again afterwards, so that the code behind them is reached as well.
Whatever they hold, a read ends with codes, a `ValueError` or an `EOFError` of one line, and takes codes in the range of
the model and of the announced length.
"""

import io
import itertools
import struct
import zlib

import numpy as np
from driver import mutate

from tests.helpers import coders
from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.coders import FixedCoder
from tinyencodec.ecdc.container import EcdcReader, EcdcWriter
from tinyencodec.ecdc.header import read_header
from tinyencodec.entropy.tables import TableCoder

MEMORY = 64 << 20  # bytes
MOST_FRAMES = 1 << 17  # of one input that are looked at: a hole may stand for 4096 blocks

SMALL = {"sampling_rate": 800, "upsampling_ratios": (4, 2), "codebook_size": 16, "target_bandwidths": (0.4, 1.6)}
CONFIGS = {
    "one": CodecConfig(**SMALL), "scaled": CodecConfig(**SMALL, normalize=True),
    "segments": CodecConfig(**SMALL, use_causal_conv=False, audio_channels=2, normalize=True, chunk_length_s=0.1,
                            overlap=0.05),
    "half": CodecConfig(**SMALL, use_causal_conv=False, chunk_length_s=0.1, overlap=0.5),
}
TABLES = np.random.default_rng(0).integers(40, 90, (4, 16)).astype(np.uint8)
CODERS = {"none": FixedCoder(4), "table": TableCoder(TABLES), "lm": coders.PackedCoder()}


class Pipe(io.BytesIO):
    def read(self, size=-1):
        return super().read(min(size, 1 + super().tell() % 50))

    def seekable(self):
        return False


def corpus():
    """Good files of all kinds; the model is named in the header."""
    rng, files = np.random.default_rng(1), []
    for name, kind, told, length in itertools.product(CONFIGS, (None, "none", "table", "lm"), (True, False), (90, 260)):
        fo, config = (io.BytesIO if told else Pipe)(), CONFIGS[name]
        writer = EcdcWriter(fo, name, config, 2, length if told else None, None if kind is None else CODERS[kind],
                            None if kind is None else 10)
        for n in segment_frames(config, length):
            codes, scale = rng.integers(0, 16, (2, n)), 0.5 if config.normalize else None
            writer.write(codes, scale)
        writer.finish(length)
        files.append(fo.getvalue())
    return files


def mutated(random, files):
    """One input."""
    data = bytearray(mutate(random, random.choice(files), files) or b"E")
    if random.random() < 0.5:
        repair(data, random)
    return bytes(data)


def repair(data, random):
    """Make the checksums hold, as far as header and blocks can still be told."""
    if len(data) < 9 or data[4] != 1:
        return
    if random.random() < 0.7:
        end = data.find(b"}", 9) + 1
        struct.pack_into("!I", data, 5, max(0, end - 9))
        data[end:end + 4] = zlib.crc32(data[:end]).to_bytes(4, "big")
    at = 13 + struct.unpack_from("!I", data, 5)[0]
    while at + 10 <= len(data):
        end = at + 10 + struct.unpack_from("!H", data, at + 8)[0]
        data[at:at + 4] = zlib.crc32(data[at + 4:end]).to_bytes(4, "big")
        at = end


def read(data, random):
    """Read an input; what came of it, in a word."""
    keep_going, fo = random.choice((None, "repeat")), random.choice((io.BytesIO, Pipe))(data)
    header = read_header(fo)
    config = CONFIGS.get(header.model) or CONFIGS[random.choice(list(CONFIGS))]
    reader = EcdcReader(fo, header, config, coder=CODERS[header.coder_kind],
                        keep_going=keep_going, at_once=random.choice((1, 16)))
    frames = 0
    for codes, scale in reader:
        assert codes.shape[0] == header.n_codebooks and codes.shape[1] >= 1 and codes.dtype == np.int64
        assert codes.min() >= 0 and (scale is None) != config.normalize
        frames += codes.shape[1]
        if frames > MOST_FRAMES:
            return "long"
    length = reader.audio_length
    assert config.segment_length or frames == -(-length // config.hop_length)
    assert not config.segment_length or frames == sum(segment_frames(config, length))
    return "lost" if reader.blocks and reader.blocks.lost else "read"
