"""tinyencodec: the EnCodec neural audio codec, complete and readable, in NumPy and Numba.

    import tinyencodec

    model = tinyencodec.load_model()                       # the bundled default
    wav = tinyencodec.read_audio("in.wav", model.sample_rate, model.channels)
    data = tinyencodec.compress(model, wav, bandwidth=6.0)  # bytes of an .ecdc file
    wav, sample_rate = tinyencodec.decompress(data)
    tinyencodec.write_audio("out.wav", wav, sample_rate)

The rooms, in reading order; each folder's `__init__` is a map of its modules:

    kernels/       the hot loops, each beside a naive twin
    layers/        what a network is made of: convolutions, LSTM, norms; at once or piece by piece
    codec/         the codec: encoder, quantiser, beam search, decoder, segments, streaming
    entropy/       arithmetic coding and static tables: codes to fewer bits; error against bits
    lm/            the language model that predicts the next codes, in exact arithmetic
    models/        models by name, official weights, weights from elsewhere
    ecdc/          sound to bytes and back: headers, packets, blocks with checksums; codes as arrays
    audio/         sound files, pipes, resampling
    system/        files, signals, processes, the terminal; compiled loops, kept on disk
    tools/         batches, many files, corpora, evaluation, comparison, export, benchmarks
    cli/           the command line, one file per command
    train/         training, in PyTorch; optional
    compat         the names of the official package `encodec`

Public names are imported on first use, so that `import tinyencodec` itself is quick.
"""

import importlib
from pathlib import Path
from typing import Any

from tinyencodec.system.version import __version__ as __version__

# "from MODULE import NAME as NAME" in the stub that type checkers read
_STUB = Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8")
_HOME = {words[3]: words[1] for words in map(str.split, _STUB.splitlines()) if words[:1] == ["from"]}
__all__ = sorted(_HOME.keys() - {"__version__"})


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinyencodec' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
