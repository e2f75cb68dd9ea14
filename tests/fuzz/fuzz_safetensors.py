"""Model folders: `model.safetensors` beside a good `config.json`; what still loads must encode and decode."""

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
from driver import mutate
from safetensors.numpy import save

import tinyencodec
from tinyencodec.codec.config import CodecConfig
from tinyencodec.models.int8_rows import at_precision
from tinyencodec.models.tensors import expected_tensors

FOLDER = Path(tempfile.mkdtemp()) / "fuzzed"
CONFIG = CodecConfig(sampling_rate=800, num_filters=2, upsampling_ratios=(2,), hidden_size=2, codebook_size=4,
                     num_lstm_layers=1, target_bandwidths=(0.8, 1.6), kernel_size=3, last_kernel_size=3)
WORDS = (b'"F64"', b'"F16"', b'"BF16"', b'"I8"', b'"U8"', b'"I64"', b'"BOOL"', b'"F8_E4M3"', b'"__metadata__":{',
         b"[]", b"[0]",
         b"[-1]", b"[18446744073709551615]", b"[9223372036854775807,2]", b"[4294967296,4294967296]",
         b"[1,1,1,1,1,1,1,1,1]",
         b"[0,0]", b'"shape"', b'"data_offsets"', b"{", b"}", b"null", b"\\u001b[2J", b"\\u0000", b'"', b"1e400",
         b"." * 50)


def corpus():
    rng = np.random.default_rng(0)
    tensors = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32)
               for name, shape in expected_tensors(CONFIG).items()}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    halves = {name: array.astype(np.float16) for name, array in tensors.items()}
    return [save(tensors), save(halves, {"format": "pt"}), save(at_precision(tensors, "rows"))]


def mutated(random, files):
    """Half of the inputs have a damaged header whose length is right."""
    data = random.choice(files)
    if random.random() < 0.4:
        return mutate(random, data, files, WORDS)
    size = struct.unpack_from("<Q", data)[0]
    header, rest = data[8:8 + size], data[8 + size:]
    header = mutate(random, header, [header], WORDS)
    return struct.pack("<Q", len(header)) + header + (rest if random.random() < 0.9 else mutate(random, rest, files))


def read(data, random):
    (FOLDER / "model.safetensors").write_bytes(data)
    model = tinyencodec.load_model(FOLDER)
    model.threads = 1
    wav = np.random.default_rng(1).standard_normal((1, 60)).astype(np.float32)
    out, _ = tinyencodec.decompress(tinyencodec.compress(model, wav, 1.6), model)
    assert out.shape == wav.shape
    return "read"
