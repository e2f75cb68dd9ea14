"""Feed damaged and hostile `.ecdc` files to the reader, versions 0 and 1, from files and from pipes.

    python tests/fuzz_ecdc.py [COUNT [SEED]]        100 000 inputs by default, in a few minutes

Inputs are good files after one to six mutations: bits, bytes, lengths, pieces cut, repeated, moved, exchanged between
files. In half of them checksums are made to hold again afterwards, so that the code behind them is reached as well.
Whatever they hold, a read ends with codes, a `ValueError` or an `EOFError` of one line, within SECONDS, takes codes in
the range of the model and of the announced length, and never more than MEMORY bytes.
"""

import io
import itertools
import random
import resource
import runpy
import struct
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tinyencodec.config import CodecConfig
from tinyencodec.ecdc import EcdcHeader, EcdcReader, EcdcWriter, read_header
from tinyencodec.ecdc_header import header_bytes
from tinyencodec.entropy import FixedCoder
from tinyencodec.segments import segment_frames
from tinyencodec.tables import TableCoder

SECONDS = 10  # of processor time for one input; they take about a millisecond
MEMORY = 64 << 20  # bytes, by which this process may grow in all
MOST_FRAMES = 1 << 17  # of one input that are looked at: a hole may stand for 4096 blocks

coders = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("coders.py"))))
SMALL = {"sampling_rate": 800, "upsampling_ratios": (4, 2), "codebook_size": 16, "target_bandwidths": (0.4, 1.6)}
CONFIGS = {
    "one": CodecConfig(**SMALL), "scaled": CodecConfig(**SMALL, normalize=True),
    "segments": CodecConfig(**SMALL, use_causal_conv=False, audio_channels=2, normalize=True, chunk_length_s=0.1,
                            overlap=0.05),
    "half": CodecConfig(**SMALL, use_causal_conv=False, chunk_length_s=0.1, overlap=0.5),
}
TABLES = np.random.default_rng(0).integers(40, 90, (4, 16)).astype(np.uint8)
CODERS = {"none": FixedCoder(4), "table": TableCoder(TABLES), "lm": coders.OfficialCoder()}


class Pipe(io.BytesIO):
    def read(self, size=-1):
        return super().read(min(size, 1 + super().tell() % 50))

    def seekable(self):
        return False


def corpus():
    """(name of the model, bytes) of good files of all kinds."""
    rng, files = np.random.default_rng(1), []
    for name, kind, told, length in itertools.product(CONFIGS, (None, "none", "table", "lm"), (True, False), (90, 260)):
        fo, config = (io.BytesIO if told else Pipe)(), CONFIGS[name]
        writer = EcdcWriter(fo, name, config, 2, length if told else None, None if kind is None else CODERS[kind],
                            None if kind is None else 10)
        official = header_bytes(EcdcHeader(name, length, 2, lm=True))
        for n in segment_frames(config, length):
            codes, scale = rng.integers(0, 16, (2, n)), 0.5 if config.normalize else None
            writer.write(codes, scale)
            official += b"" if scale is None else struct.pack("!f", scale)
            official += codes.T.astype(np.uint8).tobytes() + bytes([codes.sum() % 256])
        writer.finish(length)
        files += [(name, fo.getvalue()), *([(name, official)] if kind is None and told else [])]
    return files


def mutated(random, files):
    """One input: (name of the model, bytes)."""
    name, data = random.choice(files)
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at, size = random.randrange(len(data) + 1), random.choice((1, 2, 4, 10, random.randrange(1, 60)))
        kind = random.randrange(10)
        if kind < 3 and at < len(data):
            data[at] ^= 1 << random.randrange(8)
        elif kind == 3:
            data[at:at + size] = random.randbytes(len(data[at:at + size]))
        elif kind == 4:
            data[at:at + size] = random.choice((b"\0", b"\xff", b"\x01", b"9")) * len(data[at:at + size])
        elif kind == 5:
            del data[at:at + size]
        elif kind == 6:
            data[at:at] = random.randbytes(size)
        elif kind == 7:
            data[at:at] = data[(start := random.randrange(len(data) + 1)):start + size]
        elif kind == 8:
            other = random.choice(files)[1]
            data[at:] = other[random.randrange(len(other)):]
        else:
            number = random.choice((0, 1, 8, 9, 10, 11, 20, 2**15, 2**16 - 1, 2**32 - 1, 2**62, 2**64 - 1))
            text = random.choice((b"%d" % number, struct.pack("!H", number & 0xFFFF), struct.pack("!Q", number)))
            data[at:at + len(text)] = text
        data = data or bytearray(b"E")
    if random.random() < 0.5:
        repair(data, random)
    return name, bytes(data)


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


def read(name, data, random):
    """Read an input; what came of it, in a word."""
    config, keep_going, fo = CONFIGS[name], random.choice((None, "repeat")), random.choice((io.BytesIO, Pipe))(data)
    try:
        header = read_header(fo)
        reader = EcdcReader(fo, header, config, coder=CODERS["lm" if header.lm else header.entropy],
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
    except (ValueError, EOFError) as error:
        assert str(error) and "\n" not in str(error) and len(str(error)) < 400, error
        return type(error).__name__


def run(count, seed=0, report=lambda done, outcomes: None):
    """Read so many inputs; how often each outcome came."""
    source, files, outcomes = random.Random(seed), corpus(), {}
    for name, data in files:
        assert read(name, data, source) == "read"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(count):
        name, data = mutated(source, files)
        began = time.process_time()
        try:
            outcome = read(name, data, source)
            took, grown = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert took < SECONDS, f"{took:.1f} s"
            assert grown << 10 < MEMORY, f"{grown} KiB"
        except BaseException:
            print(f"input {i} of seed {seed}, model {name}: {data.hex()}", file=sys.stderr)
            raise
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        report(i + 1, outcomes)
    return outcomes


def main():
    def report(done, outcomes):
        if done % 10_000 == 0:
            print(f"{done} inputs, {time.monotonic() - began:.0f} s: {outcomes}", flush=True)

    began = time.monotonic()
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0, report)


if __name__ == "__main__":
    main()
