"""tinyencodec: the EnCodec neural audio codec, complete and readable, in NumPy and Numba.

    import tinyencodec

    model = tinyencodec.load_model()                       # the bundled default
    wav = tinyencodec.read_audio("in.wav", model.sample_rate, model.channels)
    data = tinyencodec.compress(model, wav, bandwidth=6.0)  # bytes of an .ecdc file
    wav, sample_rate = tinyencodec.decompress(data)
    tinyencodec.write_audio("out.wav", wav, sample_rate)

Names below are imported on first use, so that `import tinyencodec` itself is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tinyencodec.audio import convert_audio, read_audio, write_audio
    from tinyencodec.batch import decode_batch, encode_batch
    from tinyencodec.codec import compress, compress_stream, decompress, decompress_stream
    from tinyencodec.codes_file import read_codes, write_codes
    from tinyencodec.config import CodecConfig
    from tinyencodec.fetch import fetch_model
    from tinyencodec.model import EncodecModel, EncodedFrame
    from tinyencodec.store import list_models, load_model

_HOME = {
    "load_model": "store", "list_models": "store", "fetch_model": "fetch",
    "EncodecModel": "model", "EncodedFrame": "model", "CodecConfig": "config",
    "compress": "codec", "decompress": "codec", "compress_stream": "codec", "decompress_stream": "codec",
    "encode_batch": "batch", "decode_batch": "batch", "read_codes": "codes_file", "write_codes": "codes_file",
    "AudioReader": "source", "AudioWriter": "sink",
    "read_audio": "audio", "convert_audio": "audio", "write_audio": "audio",
}
__all__ = ["AudioReader", "AudioWriter", "CodecConfig", "EncodecModel", "EncodedFrame", "compress", "compress_stream",
           "convert_audio", "decode_batch", "decompress", "decompress_stream", "encode_batch", "fetch_model",
           "list_models", "load_model", "read_audio", "read_codes", "write_audio", "write_codes"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tinyencodec' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tinyencodec.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
