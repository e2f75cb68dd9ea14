"""Files of codes, `.npz` and `.safetensors`; what is read is compared with the model that it names."""

import io
import struct
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from driver import mutate, number

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.segments import segment_frames
from tinyencodec.ecdc.codes_file import read_codes, write_codes

FOLDER = Path(tempfile.mkdtemp())
SMALL = {"sampling_rate": 800, "upsampling_ratios": (4, 2), "codebook_size": 16, "target_bandwidths": (0.4, 1.6)}
MODELS = {"one": CodecConfig(**SMALL), "scaled": CodecConfig(**SMALL, normalize=True, use_causal_conv=False,
                                                             chunk_length_s=0.1, overlap=0.05)}
WORDS = (b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"'descr': '|O'", b"'<f8'", b"'<U99'", b"'|b1'",
         b"'fortran_order': True",
         b"(2, 1000000000000000, )", b"()", b"(-1, 2)", b"__import__('os').system('id')", b"0" * 20, b'"I64"',
         b'"BOOL"', b"[]",
         b"\\u001b[2J", b'"codes"', b'"scales"', b"1e400", b"nan", b"-1")


def corpus():
    rng, files = np.random.default_rng(0), []
    for name, config in MODELS.items():
        frames = [(rng.integers(0, 16, (2, n)), 0.5 if config.normalize else None) for n in segment_frames(config, 300)]
        for kind in (".npz", ".safetensors"):
            write_codes(FOLDER / f"good{kind}", SimpleNamespace(name=name, config=config), frames, 300)
            files.append((FOLDER / f"good{kind}").read_bytes())
    return files


def mutated(random, files):
    """Damaged anywhere; or in the header, or in one member of the archive, whose lengths and checksum then hold."""
    data = random.choice(files)
    if random.random() < 0.3:
        return mutate(random, data, files, WORDS)
    if data[:2] != b"PK":
        size = struct.unpack_from("<Q", data)[0]
        header = mutate(random, data[8:8 + size], [data[8:8 + size]], WORDS)
        return struct.pack("<Q", len(header)) + header + data[8 + size:]
    out, method = io.BytesIO(), zipfile.ZIP_DEFLATED if random.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", method) as archive:
        names = source.namelist()
        chosen = random.choice(names)
        for name in names:
            content = source.read(name)
            if name == chosen:
                content = mutate(random, content, [content], WORDS)
            archive.writestr(name, content)
    data = out.getvalue()
    if random.random() < 0.2:  # a size in the directory that lies
        at, put = random.randrange(max(0, len(data) - 400), len(data)), number(random)
        data = data[:at] + put + data[at + len(put):]
    return data


def read(data, random):
    path = FOLDER / ("input.npz" if data[:2] == b"PK" or random.random() < 0.05 else "input.safetensors")
    path.write_bytes(data)
    saved = read_codes(path)
    assert saved.codes.dtype.kind in "iu" and saved.codes.ndim == 2
    name = saved.model if saved.model in MODELS else "one"
    frames = saved.frames(SimpleNamespace(name=name, config=MODELS[name]))
    assert sum(frame.codes.shape[1] for frame in frames) == saved.codes.shape[1]
    return "read"
