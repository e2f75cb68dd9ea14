"""The whole codec in one object: encoder, quantiser, decoder, and what they need to know.

A 24 kHz model treats a signal as one segment; the 48 kHz model codes windows of 1 s (`segments`).
Both run on the streaming machinery (`streaming`), so a long signal needs no more memory than a short one
beyond its own samples. (Paper, section 3.)

Chapter 10 of the tutorials walks through it.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np

from tinyencodec.codec.network import Network
from tinyencodec.codec.segments import EncodedFrame, SegmentDecoder, SegmentEncoder, split_frames, split_segments
from tinyencodec.codec.streaming import StreamingDecoder, StreamingEncoder
from tinyencodec.layers.tiles import TileRunner
from tinyencodec.system.progress import Progress


class EncodecModel(Network):
    """An EnCodec model in inference. `tinyencodec.load_model` makes one from a folder.

    Its parts and attributes are described in `Network`.
    """

    def encode(self, wav: np.ndarray, bandwidth: float = 6.0, *, search: int = 1,
               progress: Progress | None = None) -> list[EncodedFrame]:
        """Code a signal.

        Parameters
        ----------
        wav : float [C, T] at `sample_rate`, T >= 1, finite, nominally within -1 ... 1
        bandwidth : kbit/s, one of `bandwidths`
        search : 1: the greedy algorithm, whose codes are the official ones; more: as many choices are kept from
            codebook to codebook (`beam`), which costs time and makes the sound better for the same bits
        progress : called with (samples done, samples in total)

        Returns
        -------
        One `EncodedFrame` per segment; a segment of n samples has ceil(n / hop_length) frames.

        Raises
        ------
        ValueError : wrong shape, dtype, bandwidth or search, no samples, or a sample that is not finite.
        """
        wav, stream = self.check_audio(wav), StreamingEncoder(self, bandwidth, search)
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
        progress : called with (frames done, frames in total)

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
        return self._kept(wav, length)

    def _decode(self, frames: list[EncodedFrame], progress: Progress) -> Iterator[np.ndarray]:
        total, done = sum(codes.shape[1] for codes, _ in frames), 0
        if self.streams:
            stream = StreamingDecoder(self, live=True)
            codes = frames[0].codes
            for start in range(0, total, _DECODED_AT_ONCE):
                end = min(start + _DECODED_AT_ONCE, total)
                yield stream.sound(codes[:, start:end], [], last=end == total)
                progress(end, total)
            return
        segments = SegmentDecoder(self)
        for (codes, _), wav in zip(frames, segments.decode(frames)):
            yield wav
            done += codes.shape[1]
            progress(done, total)
        yield segments.fade.finish()

    def latents(self, wav: np.ndarray) -> np.ndarray:
        """What the encoder makes of a signal, before the quantiser (paper, section 3.1).

        wav : as in `encode`. Returns float32 [D, F], the frames of all segments one after the other. A model that
        normalises divides each segment by its scale first, which is that of the segment's `EncodedFrame`.

        Raises `ValueError` as `encode`.
        """
        wav = self.check_audio(wav)
        if self.streams:
            tiles = TileRunner(self.encoder, self.hop_length, self.frame_bytes, self.threads)
            parts = [z.T for z in tiles.run(np.ascontiguousarray(wav.T), last=True)]  # [C, T] -> [F, D] -> [D, F]
        else:
            parts = [frame.codes for frame in SegmentEncoder(self.unquantized(), self.n_codebooks).run(wav, last=True)]
        return np.concatenate(parts, axis=1)

    def latents_of(self, codes: np.ndarray) -> np.ndarray:
        """What codes stand for: the sum of the entries that they name (paper, section 3.2).

        codes : int [K, F], of any number of frames; fewer codebooks (the first few) may be given. Returns float32
        [D, F]. `ValueError` for codes that this model cannot have made.
        """
        return np.ascontiguousarray(self.quantizer.decode(self.check_codes(codes)).T)  # [F, D] -> [D, F]

    def decode_latents(self, z: np.ndarray, scales: Sequence[float] | None = None,
                       length: int | None = None) -> np.ndarray:
        """Turn latents into sound: `decode` without the quantiser.

        Parameters
        ----------
        z : float [D, F], as `latents` or `latents_of` returned them, of a whole signal
        scales : of a model that normalises, one for each segment; else None
        length : samples to keep; None: all

        Returns
        -------
        float32 [C, T]

        Raises
        ------
        ValueError : another shape or dtype, numbers that are not finite, a number of frames that no signal has, scales
            that do not fit the model, or a length beyond what the latents give.
        """
        z = self.check_latents(z)
        if (scales is None) == self.config.normalize:
            raise ValueError(f"scales: expected {'one for each segment' if self.config.normalize else 'None'}, "
                             f"got {scales}")
        if self.streams:
            tiles = TileRunner(self.decoder, 1, self.frame_bytes, self.threads)
            parts = [wav.T for wav in tiles.run(np.ascontiguousarray(z.T), last=True)]  # [D, F] -> [T, C] -> [C, T]
        else:
            checked = None if scales is None else np.array([self.check_scale(scale) for scale in scales])
            segments = SegmentDecoder(self.unquantized())
            parts = [*segments.decode(split_segments(self.config, z, checked)), segments.fade.finish()]
        return self._kept(np.concatenate(parts, axis=1), length)

    def unquantized(self) -> "EncodecModel":
        """This model, whose codes [D, F] are the latents themselves."""
        model = copy.copy(self)  # shares the weights
        model.quantizer = _NoQuantizer()  # type: ignore[assignment]
        return model

    def _kept(self, wav: np.ndarray, length: int | None) -> np.ndarray:
        if length is not None and not 0 <= length <= wav.shape[1]:
            raise ValueError(f"decode: expected a length from 0 to {wav.shape[1]} samples, got {length}")
        return wav[:, :length]

    @property
    def usual_bandwidth(self) -> float:
        """kbit/s if no rate is chosen: 6, or the nearest of `bandwidths`."""
        return self.config.usual_bandwidth

    def streaming_encoder(self, bandwidth: float = 6.0, search: int = 1) -> StreamingEncoder:
        """Start to code a signal that comes in pieces, with `bandwidth`, `search` and `ValueError` as in `encode`."""
        return StreamingEncoder(self, bandwidth, search)

    def streaming_decoder(self, length: int | None = None, live: bool = False) -> StreamingDecoder:
        """Start to decode codes that come in pieces; see `StreamingDecoder` for the arguments."""
        return StreamingDecoder(self, length, live)


class _NoQuantizer:
    """In place of a quantiser: latents [F, D] are their own codes [D, F]."""

    def encode(self, z: np.ndarray, n_codebooks: int, search: int = 1) -> np.ndarray:
        return z.T

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(codes.T)


_DECODED_AT_ONCE = 2250  # frames between two reports of progress
