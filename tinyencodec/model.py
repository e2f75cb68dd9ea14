"""The whole codec: segments, scale, encoder, quantiser, decoder, overlap-add.

A 24 kHz model treats a signal as one segment. The 48 kHz model cuts it into windows of 1 s, one
every 0.99 s; each is divided by the RMS of its mono mix (the scale, stored beside the codes) and
coded on its own. Decoded segments are added with triangular weights and divided by the sum of the
weights, which cross-fades neighbours over their 10 ms in common and leaves the rest as it is.
(Paper, sections 3.1 and 4.1.)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinyencodec.config import CodecConfig
from tinyencodec.rvq import ResidualVectorQuantizer
from tinyencodec.seanet import Tensors, decoder, encoder

Progress = Callable[[int, int], None]  # called with (done, total)


class EncodedFrame(NamedTuple):
    """One coded segment: codes int [K, F], and the factor that restores its loudness (or None)."""

    codes: np.ndarray
    scale: float | None


class EncodecModel:
    """An EnCodec model in inference. `tinyencodec.load_model` makes one from a folder.

    Attributes
    ----------
    name : the folder's name, which an `.ecdc` file carries
    config : the `CodecConfig`
    sample_rate (Hz), channels, hop_length (samples per frame), frame_rate (frames per second),
    bandwidths (kbit/s), n_codebooks, bits_per_code, segment_length and segment_stride (samples, or None)
    encoder, quantizer, decoder : the three parts, on time-major arrays
    """

    def __init__(self, name: str, config: CodecConfig, tensors: Tensors):
        self.name = name
        self.config = config
        self.sample_rate = config.sampling_rate
        self.channels = config.audio_channels
        self.hop_length = config.hop_length
        self.frame_rate = config.frame_rate
        self.bandwidths = config.target_bandwidths
        self.n_codebooks = config.n_codebooks
        self.bits_per_code = config.bits_per_code
        self.segment_length = config.segment_length
        self.segment_stride = config.segment_stride
        self.encoder = encoder(config, tensors)
        self.quantizer = ResidualVectorQuantizer(
            [tensors[f"quantizer.layers.{k}.codebook.embed"] for k in range(self.n_codebooks)])
        self.decoder = decoder(config, tensors)

    def encode(self, wav: np.ndarray, bandwidth: float = 6.0, *, progress: Progress | None = None) -> list[EncodedFrame]:
        """Code a signal.

        Parameters
        ----------
        wav : float [C, T] at `sample_rate`, T >= 1, finite, nominally within -1 ... 1
        bandwidth : kbit/s, one of `bandwidths`
        progress : called with (samples done, samples in all)

        Returns
        -------
        One `EncodedFrame` per segment; a segment of n samples has ceil(n / hop_length) frames.

        Raises
        ------
        ValueError : wrong shape, dtype or bandwidth, no samples, or a sample that is not finite.
        """
        n_codebooks = self.codebooks_for(bandwidth)
        wav = self.check_audio(wav)
        length = wav.shape[1]
        frames = []
        for start in range(0, length, self.segment_stride or length):
            segment = wav[:, start:start + (self.segment_length or length)]
            frames.append(self._encode_segment(segment, n_codebooks))
            if progress is not None:
                progress(min(start + segment.shape[1], length), length)
        return frames

    def decode(self, frames: list[EncodedFrame], length: int | None = None, *,
               progress: Progress | None = None) -> np.ndarray:
        """Turn codes back into sound.

        Parameters
        ----------
        frames : as `encode` returned them; fewer codebooks (the first few) may be given
        length : samples to keep; None: all, which is the input's length rounded up to whole frames
        progress : called with (segments done, segments in all)

        Returns
        -------
        float32 [C, T]

        Raises
        ------
        ValueError : no frames, more than one for a model without segments, codes or scales that
            this model cannot have made, or a length beyond what the codes give.
        """
        frames = [self._check_frame(frame) for frame in frames]
        if not frames or (self.segment_length is None and len(frames) > 1):
            expected = "1 frame" if self.segment_length is None else "at least 1 frame"
            raise ValueError(f"decode: expected {expected}, got {len(frames)}")
        segments = []
        for i, frame in enumerate(frames):
            segments.append(self._decode_segment(frame))
            if progress is not None:
                progress(i + 1, len(frames))
        wav = segments[0] if self.segment_length is None else overlap_add(segments, self.segment_stride)
        if length is not None and not 0 <= length <= wav.shape[1]:
            raise ValueError(f"decode: expected a length from 0 to {wav.shape[1]} samples, got {length}")
        return wav[:, :length]

    def codebooks_for(self, bandwidth: float) -> int:
        """The number of codebooks at `bandwidth` kbit/s; `ValueError` unless it is one of `bandwidths`."""
        if bandwidth not in self.bandwidths:
            raise ValueError(f"bandwidth: model {self.name} offers {', '.join(f'{b:g}' for b in self.bandwidths)} "
                             f"kbit/s, got {bandwidth}")
        return self.config.codebooks_for(bandwidth)

    def check_audio(self, wav: np.ndarray) -> np.ndarray:
        """`wav` as float32 [C, T], or a `ValueError` that says what is wrong with it."""
        wav = np.asarray(wav)
        if wav.ndim != 2 or wav.shape[0] != self.channels or wav.shape[1] == 0:
            raise ValueError(f"audio: model {self.name} expects shape [{self.channels}, T] with T >= 1, got {list(wav.shape)}")
        if not np.issubdtype(wav.dtype, np.floating):
            raise ValueError(f"audio: expected floating-point samples, got {wav.dtype}")
        with np.errstate(over="ignore"):  # becomes infinite and is refused below
            wav = wav.astype(np.float32)
        if not np.isfinite(wav).all():
            raise ValueError("audio: expected finite samples, got NaN or infinity (in float32)")
        return wav

    def _check_frame(self, frame: EncodedFrame) -> EncodedFrame:
        codes, scale = np.asarray(frame[0]), frame[1]
        if codes.ndim != 2 or not 1 <= codes.shape[0] <= self.n_codebooks or codes.shape[1] == 0:
            raise ValueError(f"codes: expected shape [1 ... {self.n_codebooks}, F] with F >= 1, got {list(codes.shape)}")
        if not np.issubdtype(codes.dtype, np.integer):
            raise ValueError(f"codes: expected integers, got {codes.dtype}")
        if codes.min() < 0 or codes.max() >= self.config.codebook_size:
            raise ValueError(f"codes: expected 0 ... {self.config.codebook_size - 1}, got {codes.min()} ... {codes.max()}")
        if (scale is None) == self.config.normalize:
            raise ValueError(f"scale: expected {'a number' if self.config.normalize else 'None'}, got {scale}")
        return EncodedFrame(codes, scale)

    def _encode_segment(self, wav: np.ndarray, n_codebooks: int) -> EncodedFrame:
        scale = None
        if self.config.normalize:
            mono = wav.mean(axis=0, dtype=np.float32)
            scale = float(np.float32(np.sqrt(np.mean(np.square(mono), dtype=np.float64)) + 1e-8))
            wav = wav / np.float32(scale)
        z = self.encoder(np.ascontiguousarray(wav.T))  # [C, T] -> [T, C] -> [F, D]
        return EncodedFrame(self.quantizer.encode(z, n_codebooks), scale)

    def _decode_segment(self, frame: EncodedFrame) -> np.ndarray:
        wav = self.decoder(self.quantizer.decode(frame.codes)).T  # [K, F] -> [F, D] -> [T, C] -> [C, T]
        return wav.copy() if frame.scale is None else wav * np.float32(frame.scale)


def overlap_add(segments: list[np.ndarray], stride: int) -> np.ndarray:
    """Cross-fade segments [C, T_i] that start `stride` samples apart into one signal [C, T].

    Each is weighted by a triangle (the first segment's, cut to length) and the sum divided by the
    sum of the weights.
    """
    triangle = np.linspace(0, 1, segments[0].shape[1] + 2, dtype=np.float32)[1:-1]
    triangle = np.float32(0.5) - np.abs(triangle - np.float32(0.5))
    total = stride * (len(segments) - 1) + segments[-1].shape[1]
    wav = np.zeros((len(segments[0]), total), np.float32)
    weights = np.zeros(total, np.float32)
    for i, segment in enumerate(segments):
        here = slice(i * stride, i * stride + segment.shape[1])
        wav[:, here] += triangle[:segment.shape[1]] * segment
        weights[here] += triangle[:segment.shape[1]]
    return wav / weights
