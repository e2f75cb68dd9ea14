"""Sound to bytes and back: the model and the `.ecdc` container tied together."""

import io

import numpy as np

from tinyencodec.ecdc import read_ecdc, read_header, write_ecdc
from tinyencodec.model import EncodecModel, EncodedFrame
from tinyencodec.store import load_model


def compress(model: EncodecModel, wav: np.ndarray, bandwidth: float = 6.0) -> bytes:
    """Encode a signal into the bytes of an `.ecdc` file.

    Parameters
    ----------
    wav : float [C, T] at the model's sample rate and channel count, T >= 1
    bandwidth : kbit/s, one of `model.bandwidths`

    Raises
    ------
    ValueError : as `EncodecModel.encode`.
    """
    out = io.BytesIO()
    write_ecdc(out, model, model.encode(wav, bandwidth), np.shape(wav)[1])
    return out.getvalue()


def decompress(data: bytes, model: EncodecModel | None = None) -> tuple[np.ndarray, int]:
    """Decode the bytes of an `.ecdc` file.

    Parameters
    ----------
    data : a whole file
    model : the model that made it; None: load the one that the header names

    Returns
    -------
    wav : float32 [C, T], with exactly as many samples as were encoded
    sample_rate : Hz

    Raises
    ------
    ValueError : not an `.ecdc` file, an unknown model, or contents that do not fit the model.
    EOFError : the data end early.
    """
    fo = io.BytesIO(data)
    header = read_header(fo)
    if model is None:
        model = load_model(header.model)
    frames = [EncodedFrame(*frame) for frame in read_ecdc(fo, model, header)]
    return model.decode(frames, header.audio_length), model.sample_rate
