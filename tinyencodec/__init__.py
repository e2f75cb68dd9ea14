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
    codec/         the codec: encoder, quantiser, decoder, segments, streaming
    entropy/       arithmetic coding and static tables: codes to fewer bits
    lm/            the language model that predicts the next codes, in exact arithmetic
    models/        models by name, official weights, weights from elsewhere
    ecdc/          files: headers, packets, blocks with checksums; codes as arrays
    audio/         sound files, pipes, resampling
    system/        files, signals, processes, the terminal
    compression    sound to bytes, in one call or as a stream
    many_signals   batches of signals
    compat         the names of the official package `encodec`
    tools/         many files, corpora, evaluation, comparison, benchmarks
    cli/           the command line, one file per command
    train/         training, in PyTorch; optional
    version        the version

Public names are imported on first use, so that `import tinyencodec` itself is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinyencodec.version import __version__ as __version__

if TYPE_CHECKING:
    from tinyencodec.audio.files import convert_audio, read_audio, write_audio
    from tinyencodec.codec.config import CodecConfig
    from tinyencodec.codec.model import EncodecModel
    from tinyencodec.codec.segments import EncodedFrame
    from tinyencodec.compression import compress, compress_stream, decompress, decompress_stream
    from tinyencodec.ecdc.codes_file import read_codes, write_codes
    from tinyencodec.many_signals import decode_batch, encode_batch
    from tinyencodec.models.fetch.install import fetch_model
    from tinyencodec.models.store import list_models, load_model
    from tinyencodec.tools.tokenize.dataset import open_dataset

_HOME = {
    "load_model": "models.store", "list_models": "models.store", "fetch_model": "models.fetch.install",
    "EncodecModel": "codec.model", "EncodedFrame": "codec.streaming", "CodecConfig": "codec.config",
    "compress": "compression", "decompress": "compression", "compress_stream": "compression",
    "decompress_stream": "compression", "encode_batch": "many_signals", "decode_batch": "many_signals",
    "read_codes": "ecdc.codes_file", "write_codes": "ecdc.codes_file", "open_dataset": "tools.tokenize.dataset",
    "AudioReader": "audio.reader", "AudioWriter": "audio.writer",
    "read_audio": "audio.files", "convert_audio": "audio.files", "write_audio": "audio.files",
}
__all__ = ["AudioReader", "AudioWriter", "CodecConfig", "EncodecModel", "EncodedFrame", "compress", "compress_stream",
           "convert_audio", "decode_batch", "decompress", "decompress_stream", "encode_batch", "fetch_model",
           "list_models", "load_model", "open_dataset", "read_audio", "read_codes", "write_audio", "write_codes"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinyencodec' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tinyencodec.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
