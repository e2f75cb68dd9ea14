"""The whole codec in one object: encoder, quantiser, decoder, and what they need to know.

A 24 kHz model treats a signal as one segment; the 48 kHz model codes windows of 1 s (`segments`).
Both run on the streaming machinery (`streaming`), so a long signal needs no more memory than a short one
beyond its own samples. (Paper, section 3.)

Chapter 10 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinyencodec.codec.network import Network
from tinyencodec.codec.segments import EncodedFrame, SegmentDecoder, split_frames
from tinyencodec.codec.streaming import StreamingDecoder, StreamingEncoder

Progress = Callable[[int, int], None]  # called with (done, total)


class EncodecModel(Network):
    """An EnCodec model in inference. `tinyencodec.load_model` makes one from a folder.

    Its parts and attributes are described in `Network`.
    """

    def encode(self, wav: np.ndarray, bandwidth: float = 6.0, *,
               progress: Progress | None = None) -> list[EncodedFrame]:
        """Code a signal.

        Parameters
        ----------
        wav : float [C, T] at `sample_rate`, T >= 1, finite, nominally within -1 ... 1
        bandwidth : kbit/s, one of `bandwidths`
        progress : called with (samples done, samples in total)

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
        if length is not None and not 0 <= length <= wav.shape[1]:
            raise ValueError(f"decode: expected a length from 0 to {wav.shape[1]} samples, got {length}")
        return wav[:, :length]

    def _decode(self, frames: list[EncodedFrame], progress: Progress) -> Iterator[np.ndarray]:
        total, done = sum(codes.shape[1] for codes, _ in frames), 0
        if self.streams:
            stream = StreamingDecoder(self, live=True)
            codes = frames[0].codes
            for start in range(0, total, _DECODED_AT_ONCE):
                yield stream.push(codes[:, start:start + _DECODED_AT_ONCE])
                progress(min(start + _DECODED_AT_ONCE, total), total)
            yield stream.flush()
            return
        segments = SegmentDecoder(self)
        for (codes, _), wav in zip(frames, segments.decode(frames)):
            yield wav
            done += codes.shape[1]
            progress(done, total)
        yield segments.fade.finish()

    @property
    def usual_bandwidth(self) -> float:
        """kbit/s for those who do not choose a rate: 6, or the nearest of `bandwidths`."""
        return self.config.usual_bandwidth

    def streaming_encoder(self, bandwidth: float = 6.0) -> StreamingEncoder:
        """Start to code a signal that comes in pieces, at `bandwidth` kbit/s (`ValueError` as `encode`)."""
        return StreamingEncoder(self, bandwidth)

    def streaming_decoder(self, length: int | None = None, live: bool = False) -> StreamingDecoder:
        """Start to decode codes that come in pieces; see `StreamingDecoder` for the arguments."""
        return StreamingDecoder(self, length, live)


_DECODED_AT_ONCE = 2250  # frames between two reports of progress
