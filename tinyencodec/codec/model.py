"""The whole codec in one object: encoder, quantiser, decoder, and what they need to know.

A 24 kHz model treats a signal as one segment; the 48 kHz model codes windows of 1 s (`segments`).
Both run on the streaming machinery (`streaming`), so a long signal needs no more memory than a short one
beyond its own samples. (Paper, section 3.)

Chapter 10 of the tutorials walks through it.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tinyencodec.codec.config import CodecConfig
from tinyencodec.codec.rvq import ResidualVectorQuantizer
from tinyencodec.codec.seanet import Tensors, decoder, encoder
from tinyencodec.codec.segments import OverlapAdd, split_frames
from tinyencodec.codec.streaming import EncodedFrame, StreamingDecoder, StreamingEncoder

Progress = Callable[[int, int], None]  # called with (done, total)


class EncodecModel:
    """An EnCodec model in inference. `tinyencodec.load_model` makes one from a folder.

    Parameters
    ----------
    tensors : float32, by canonical name (see `checkpoint`). The mapping is emptied on the way, so that the
        weights are not in memory twice.

    Attributes
    ----------
    name : the folder's name, which an `.ecdc` file carries
    config : the `CodecConfig`
    folder : where it was loaded from, and where its tables and its language model are looked for; or None
    sample_rate (Hz), channels, hop_length (samples per frame), frame_rate (frames per second),
    bandwidths (kbit/s), n_codebooks, bits_per_code, segment_length and segment_stride (samples, or None),
    frames_per_segment (or None)
    encoder, quantizer, decoder : the three parts, on time-major arrays
    threads : how many may work at once, by default one per processor; results do not depend on it
    """

    def __init__(self, name: str, config: CodecConfig, tensors: Tensors, folder: Path | None = None):
        self.name = name
        self.config = config
        self.folder = folder
        self.sample_rate = config.sampling_rate
        self.channels = config.audio_channels
        self.hop_length = config.hop_length
        self.frame_rate = config.frame_rate
        self.bandwidths = config.target_bandwidths
        self.n_codebooks = config.n_codebooks
        self.bits_per_code = config.bits_per_code
        self.segment_length = config.segment_length
        self.segment_stride = config.segment_stride
        self.frames_per_segment = None if self.segment_length is None else -(-self.segment_length // self.hop_length)
        self.encoder = encoder(config, tensors)
        self.quantizer = ResidualVectorQuantizer(
            [tensors.pop(f"quantizer.layers.{k}.codebook.embed") for k in range(self.n_codebooks)])
        self.decoder = decoder(config, tensors)
        # Whether it works on pieces smaller than a segment: neither norms nor the scale need all of it.
        self.streams = self.segment_length is None and self.encoder.streams and not config.normalize
        self.frame_bytes = 4 * config.num_filters * self.hop_length  # of the widest signal between layers
        self.threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def encoder_delay(self) -> int | None:
        """Samples that a streaming encoder must have seen before its first codes; None: all of them."""
        return self.encoder.needs(1) if self.streams else self.segment_length

    @property
    def decoder_delay(self) -> int | None:
        """Frames that a streaming decoder must have seen before its first sound (if `live`); None: all of them."""
        return self.decoder.needs(1) if self.streams else self.frames_per_segment

    def encode(self, wav: np.ndarray, bandwidth: float = 6.0, *,
               progress: Progress | None = None) -> list[EncodedFrame]:
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
        wav, stream = self.check_audio(wav), StreamingEncoder(self, bandwidth)
        frames, done = [], 0
        for frame in stream.frames(wav, last=True):
            frames.append(frame)
            done += self.segment_stride or frame.codes.shape[1] * self.hop_length
            if progress is not None:
                progress(min(done, wav.shape[1]), wav.shape[1])
        if self.streams:  # the tiles of one segment
            frames = [EncodedFrame(np.concatenate([frame.codes for frame in frames], axis=1), None)]
        return frames

    def decode(self, frames: list[EncodedFrame], length: int | None = None, *,
               progress: Progress | None = None) -> np.ndarray:
        """Turn codes back into sound.

        Parameters
        ----------
        frames : as `encode` returned them; fewer codebooks (the first few) may be given
        length : samples to keep; None: all, which is the input's length rounded up to whole frames
        progress : called with (frames done, frames in all)

        Returns
        -------
        float32 [C, T]

        Raises
        ------
        ValueError : no frames, more than one for a model without segments, segments of sizes that no
            signal has, codes or scales that this model cannot have made, or a length beyond what the
            codes give.
        """
        if not frames or (self.segment_length is None and len(frames) > 1):
            expected = "1 frame" if self.segment_length is None else "at least 1 frame"
            raise ValueError(f"decode: expected {expected}, got {len(frames)}")
        frames = [EncodedFrame(self.check_codes(codes), scale) for codes, scale in frames]
        for codes, scale in frames:
            if codes.shape[1] == 0:
                raise ValueError("codes: expected at least 1 frame, got 0")
            if (scale is None) == self.config.normalize:
                raise ValueError(f"scale: expected {'a number' if self.config.normalize else 'None'}, got {scale}")
            if scale is not None:
                self.check_scale(scale)
        sizes = [codes.shape[1] for codes, _ in frames]
        if self.segment_length is not None and sizes != (whole := split_frames(self.config, sum(sizes))):
            raise ValueError(f"codes: expected segments of {whole} frames, got {sizes}")
        wav = np.concatenate(list(self._decode(frames, progress or (lambda done, total: None))), axis=1)
        if length is not None and not 0 <= length <= wav.shape[1]:
            raise ValueError(f"decode: expected a length from 0 to {wav.shape[1]} samples, got {length}")
        return wav[:, :length]

    def _decode(self, frames: list[EncodedFrame], progress: Progress) -> Iterator[np.ndarray]:
        total, done = sum(codes.shape[1] for codes, _ in frames), 0
        stream = StreamingDecoder(self, live=True)
        if self.streams:
            codes = frames[0].codes
            for start in range(0, total, _DECODED_AT_ONCE):
                yield stream.push(codes[:, start:start + _DECODED_AT_ONCE])
                progress(min(start + _DECODED_AT_ONCE, total), total)
            yield stream.flush()
            return
        fade = OverlapAdd(self.segment_stride or 1)
        for (codes, _), window in zip(frames, stream.decode_windows(frames)):
            yield fade.add(window)
            done += codes.shape[1]
            progress(done, total)
        yield fade.finish()

    def streaming_encoder(self, bandwidth: float = 6.0) -> StreamingEncoder:
        """Start to code a signal that comes in pieces, at `bandwidth` kbit/s (`ValueError` as `encode`)."""
        return StreamingEncoder(self, bandwidth)

    def streaming_decoder(self, length: int | None = None, live: bool = False) -> StreamingDecoder:
        """Start to decode codes that come in pieces; see `StreamingDecoder` for the arguments."""
        return StreamingDecoder(self, length, live)

    def codebooks_for(self, bandwidth: float) -> int:
        """The number of codebooks at `bandwidth` kbit/s; `ValueError` unless it is one of `bandwidths`."""
        if bandwidth not in self.bandwidths:
            raise ValueError(f"bandwidth: model {self.name} offers {', '.join(f'{b:g}' for b in self.bandwidths)} "
                             f"kbit/s, got {bandwidth}")
        return self.config.codebooks_for(bandwidth)

    def check_audio(self, wav: np.ndarray, empty: bool = False) -> np.ndarray:
        """`wav` as float32 [C, T], or a `ValueError` that says what is wrong with it. `empty`: T may be 0."""
        wav = np.asarray(wav)
        if wav.ndim != 2 or wav.shape[0] != self.channels or (wav.shape[1] == 0 and not empty):
            shape = f"[{self.channels}, T]" + ("" if empty else " with T >= 1")
            raise ValueError(f"audio: model {self.name} expects shape {shape}, got {list(wav.shape)}")
        if not np.issubdtype(wav.dtype, np.floating):
            raise ValueError(f"audio: expected floating-point samples, got {wav.dtype}")
        with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite and is refused below
            wav = wav.astype(np.float32, copy=False)
        if not np.isfinite(wav).all():
            raise ValueError("audio: expected finite samples, got NaN or infinity (in float32)")
        return wav

    def check_codes(self, codes: np.ndarray) -> np.ndarray:
        """`codes` as an array, or a `ValueError` unless they are integers [K, F] that name entries."""
        codes = np.asarray(codes)
        if codes.ndim != 2 or not 1 <= codes.shape[0] <= self.n_codebooks:
            raise ValueError(f"codes: expected shape [1 ... {self.n_codebooks}, F], got {list(codes.shape)}")
        if not np.issubdtype(codes.dtype, np.integer):
            raise ValueError(f"codes: expected integers, got {codes.dtype}")
        if codes.size and not 0 <= codes.min() <= codes.max() < self.config.codebook_size:
            raise ValueError(f"codes: expected 0 ... {self.config.codebook_size - 1}, "
                             f"got {codes.min()} ... {codes.max()}")
        return codes

    def check_scale(self, scale: float) -> float:
        """A segment's scale, or a `ValueError` unless it is a finite number that is not negative."""
        if not self.config.normalize or not np.isfinite(scale) or scale < 0:
            expected = "a finite number of at least 0" if self.config.normalize else "none for this model"
            raise ValueError(f"scale: expected {expected}, got {scale}")
        return float(scale)


_DECODED_AT_ONCE = 2250  # frames between two reports of progress
