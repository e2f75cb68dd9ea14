"""`config.json` of codecs and language models: hostile values; with what is accepted a model must work.

Weights of the right shapes are made up for each config that asks for few enough, so that a config cannot ask for more
than its file of weights pays for: memory is limited to a small multiple of them.
"""

import dataclasses
import json
import math
import tempfile
from pathlib import Path

import numpy as np
from driver import mutate

import tinyencodec
from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.model import EncodecModel
from tinyencodec.ecdc.header import EcdcHeader, header_bytes
from tinyencodec.lm.coder import LMCoder
from tinyencodec.lm.config import LMConfig
from tinyencodec.lm.model import LanguageModel
from tinyencodec.models.tensors import expected_tensors

MEMORY = 256 << 20
MOST_WEIGHTS = 1 << 17  # numbers, of models that are tried out
FOLDER = Path(tempfile.mkdtemp()) / "fuzzed"
SMALL = CodecConfig(sampling_rate=800, num_filters=2, upsampling_ratios=(2,), hidden_size=2, codebook_size=4,
                    num_lstm_layers=1, target_bandwidths=(0.8, 1.6), kernel_size=3, last_kernel_size=3)
SEGMENTS = dataclasses.replace(SMALL, chunk_length_s=0.1, overlap=0.1, normalize=True, norm_type="time_group_norm",
                               use_causal_conv=False)
LANGUAGE = LMConfig(n_codebooks=2, codebook_size=4, dim=4, n_layers=1, n_heads=2, ff_dim=4, past_context=5)
VALUES = (0, 1, -1, 2, 3, 7, 16, 255, 1000, 4096, 65536, 2**20, 2**31, 2**63, 10**30, 10**400, 0.5, -0.5, 1e-300, 1e300,
          float("nan"), float("inf"), True, False, None, "", "reflect", "constant", "time_group_norm", "x" * 500,
          "\x1b[2J", [], [1], [0], [-1], [2, 2], [1.5, 3.0, 6.0], [1e-300], [1e300], [10**400], [1024, 1024], [65536],
          [2] * 16,
          [2] * 17, [[2]], {}, {"a": 1}, [float("nan")])


def corpus():
    FOLDER.mkdir(exist_ok=True)
    return [json.dumps(config.to_dict(), indent=1).encode() for config in (SMALL, SEGMENTS, LANGUAGE)]


def mutated(random, files):
    """Mostly other values of one to three fields; else the text is damaged."""
    data = random.choice(files)
    if random.random() < 0.2:
        words = (b"NaN", b"1e400", b"[" * 2000, b'{"a":' * 2000, b"9" * 5000, b"-1", b"null")
        return mutate(random, data, files, words)
    fields = json.loads(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        name = random.choice(sorted(fields))
        old, value = fields[name], random.choice(VALUES)
        if random.random() < 0.4 and type(old) in (int, float) and abs(old) < 1e9:
            value = random.choice((old * 2, old * 3, old + 1, old - 1, -old, old * 1000, old / 3, old * 10.0))
        fields[name] = value
    text = json.dumps(fields)
    if random.random() < 0.05:
        text = text[:-1] + f', "num_filters": {random.choice(VALUES[:10])}}}'  # a key that comes twice
    return text.encode()


def tensors_of(config):
    shapes, rng = expected_tensors(config), np.random.default_rng(0)
    if sum(math.prod(shape) for shape in shapes.values()) > MOST_WEIGHTS:
        return None
    return {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def read(data, random):
    path = FOLDER / "config.json"
    path.write_bytes(data)
    if b"encodec_lm" in data:
        config = LMConfig.from_file(path)
        tensors = tensors_of(config)
        if tensors is None:
            return "large"
        coder = LMCoder(LanguageModel(config, tensors))
        codes = np.random.default_rng(1).integers(0, config.codebook_size, (1, 3))
        assert np.array_equal(coder.decode([(coder.encode([codes])[0], 3)], 1)[0], codes)
        return "read"
    config = CodecConfig.from_file(path)
    describe(config)
    tensors = tensors_of(config)
    if tensors is None:
        return "large"
    model = EncodecModel("fuzzed", config, tensors)
    model.threads = 1
    wav = np.random.default_rng(1).standard_normal((config.audio_channels, 50)).astype(np.float32)
    out, _ = tinyencodec.decompress(tinyencodec.compress(model, wav, model.bandwidths[-1]), model)
    assert out.shape == wav.shape
    return "read"


def describe(config):
    """`tinyencodec info` of a file that names the model, whose weights need not be there."""
    from tinyencodec.ecdc.describe import describe

    path = FOLDER / "x.ecdc"
    path.write_bytes(header_bytes(EcdcHeader("fuzzed", 50, min(config.n_codebooks, 1024))) + bytes(40))
    try:
        describe(path, FOLDER)
    except EOFError:
        pass
