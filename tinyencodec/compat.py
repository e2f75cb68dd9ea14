"""For users of the official package `encodec`: its names and shapes, on top of `tinyencodec`.

    from tinyencodec.compat import EncodecModel        # was: from encodec import EncodecModel

    model = EncodecModel.encodec_model_24khz()
    model.set_target_bandwidth(6.0)
    frames = model.encode(wav)                         # [B, C, T] -> list of (codes [B, K, F], scale [B, 1] or None)
    wav = model.decode(frames)                         # -> [B, C, T]

What differs:

- Arrays in and out are NumPy's, float32 and int64, not tensors. Whatever NumPy can read as an array is taken, such as a
  tensor on the CPU without a gradient. There are no gradients, devices or modes, nor `eval`, `to` or `state_dict`.
- No weights are downloaded: a model is one that is installed under its name, or a folder.
- There are no methods for language models: `tinyencodec.compress(..., entropy="lm")` codes with one.
- Where a signal's last segment ends before the one before it, the official package raises an error. Here such codes
  are decoded.

New programs are simpler with `tinyencodec.load_model`, and `tinyencodec.encode_batch` for items of several lengths.
"""

import os

import numpy as np
from numpy.typing import ArrayLike

from tinyencodec.codec.model import EncodecModel as Model
from tinyencodec.codec.segments import EncodedFrame
from tinyencodec.models import store
from tinyencodec.tools.many_signals import check_items, each

Frame = tuple[np.ndarray, np.ndarray | None]  # codes int64 [B, K, F]; scale float32 [B, 1]


class EncodecModel:
    """A tinyencodec model under the names of the official class.

    Attributes
    ----------
    model : the tinyencodec model, whose every method can be used
    bandwidth : kbit/s, set by `set_target_bandwidth`; None, as at first: all codebooks
    name, sample_rate (Hz), channels, frame_rate (frames per second), normalize, bits_per_codebook,
    target_bandwidths (list, kbit/s), segment (seconds or None), segment_length, segment_stride (samples or None),
    overlap (of neighbouring segments, as a fraction of one)
    """

    def __init__(self, model: Model) -> None:
        config = model.config
        self.model = model
        self.bandwidth: float | None = None
        self.name, self.sample_rate, self.channels = model.name, model.sample_rate, model.channels
        self.frame_rate, self.bits_per_codebook = model.frame_rate, model.bits_per_code
        self.normalize = config.normalize
        self.target_bandwidths = list(model.bandwidths)
        self.segment, self.overlap = config.chunk_length_s, 0.01 if config.overlap is None else config.overlap
        self.segment_length, self.segment_stride = model.segment_length, model.segment_stride

    @staticmethod
    def encodec_model_24khz(folder_or_name: str | os.PathLike | None = None) -> "EncodecModel":
        """The causal mono model at 24 kHz: the official one, if it is installed, or another of its kind.

        folder_or_name : as for `tinyencodec.load_model`; None: "encodec_24khz"

        Raises `ValueError` if there is no such model, or if it is not one for mono at 24 kHz.
        """
        return _load("encodec_24khz" if folder_or_name is None else folder_or_name, 24_000, 1)

    @staticmethod
    def encodec_model_48khz(folder_or_name: str | os.PathLike | None = None) -> "EncodecModel":
        """The stereo model at 48 kHz, which codes segments of 1 s; else as `encodec_model_24khz`."""
        return _load("encodec_48khz" if folder_or_name is None else folder_or_name, 48_000, 2)

    def set_target_bandwidth(self, bandwidth: float) -> None:
        """Encode at `bandwidth` kbit/s from now on; `ValueError` unless it is one of `target_bandwidths`."""
        self.model.codebooks_for(bandwidth)
        self.bandwidth = bandwidth

    def encode(self, x: ArrayLike) -> list[Frame]:
        """Code signals of one length, each as if it were alone.

        x : float [B, C, T] at `sample_rate`, T >= 1

        Returns one pair per segment, in order: codes int64 [B, K, F], and the scale float32 [B, 1] of a model that
        normalises, else None.

        Raises `ValueError` for another shape, and as `tinyencodec.EncodecModel.encode`.
        """
        x = np.asarray(x)
        if x.ndim != 3:
            raise ValueError(f"audio: expected shape [B, {self.channels}, T], got {list(x.shape)}")
        bandwidth = self.target_bandwidths[-1] if self.bandwidth is None else self.bandwidth
        coded = each(lambda alone, wav: alone.encode(wav, bandwidth), self.model, check_items(self.model, x))
        return [(np.stack([frame.codes for frame in frames]).astype(np.int64),
                 np.array([[frame.scale] for frame in frames], np.float32) if self.normalize else None)
                for frames in zip(*coded)]  # [B][S] -> [S][B]

    def decode(self, encoded_frames: list[Frame]) -> np.ndarray:
        """Turn codes back into sound, float32 [B, C, T]: T is the input's length rounded up to whole frames.

        encoded_frames : as `encode` returns them; fewer codebooks (the first few) may be given

        Raises `ValueError` for codes or scales that `encode` cannot have made.
        """
        frames = [(np.asarray(codes), None if scale is None else np.asarray(scale)) for codes, scale in encoded_frames]
        if not frames:
            raise ValueError("frames: expected at least one, got none")
        batch = frames[0][0].shape[0] if frames[0][0].ndim == 3 else 0
        for codes, scale in frames:
            if codes.ndim != 3 or len(codes) != batch or batch == 0:
                raise ValueError(f"codes: expected shape [{batch or 'B'}, K, F], got {list(codes.shape)}")
            if scale is not None and scale.shape != (batch, 1):
                raise ValueError(f"scale: expected shape [{batch}, 1], got {list(scale.shape)}")
        items = [[EncodedFrame(codes[i], None if scale is None else float(scale[i, 0])) for codes, scale in frames]
                 for i in range(batch)]  # [S][B] -> [B][S]
        return np.stack(each(Model.decode, self.model, items))

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Encode and decode: float [B, C, T] -> float32 [B, C, T] of the same length."""
        return self.decode(self.encode(x))[:, :, :np.shape(x)[-1]]

    forward = __call__


def _load(folder_or_name: str | os.PathLike, sample_rate: int, channels: int) -> EncodecModel:
    model = store.load_model(folder_or_name)
    if (model.sample_rate, model.channels) != (sample_rate, channels):
        raise ValueError(f"model {model.name}: expected {sample_rate} Hz and {channels} channel(s), got "
                         f"{model.sample_rate} Hz and {model.channels}")
    return EncodecModel(model)


encodec_model_24khz = EncodecModel.encodec_model_24khz
encodec_model_48khz = EncodecModel.encodec_model_48khz
