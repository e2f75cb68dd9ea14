"""The codec piece by piece: sound in, codes out, and back, with memory that does not grow.

    encoder = model.streaming_encoder(bandwidth=6.0)
    codes = encoder.push(wav[:, :1000])   # int [K, f], the frames that are certain by now; f may be 0
    codes = encoder.flush()               # the rest

    decoder = model.streaming_decoder()
    wav = decoder.push(codes)             # float32 [C, t]
    wav = decoder.flush(length)           # the rest, so that there are `length` samples in all

All pieces together are what `model.encode` and `model.decode` give for the whole, bit by bit, however
the signal was cut: those two *are* one large push.

**Latency.** A causal model gives a frame per `hop_length` samples, except at the start: the padding by
reflection there needs later samples, in each layer. `model.encoder_delay` is the number of samples
before the first codes, `model.decoder_delay` the number of frames before the first sound. After that,
frame n comes out with its last sample and is decoded at once. A model with segments works per segment.

Chapter 5 of the tutorials walks through it.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tinyencodec.codec.beam import check_search
from tinyencodec.codec.network import Network
from tinyencodec.codec.segments import EncodedFrame, SegmentDecoder, SegmentEncoder
from tinyencodec.layers.tiles import TileRunner

_MAX_LENGTH = 1 << 62  # samples


class StreamingEncoder:
    """Sound to codes. Made by `EncodecModel.streaming_encoder`; for one signal, in one thread.

    scales : of a model that normalises, the scale of each segment so far; it belongs to the next
        `frames_per_segment` frames (fewer in the last segment)
    """

    def __init__(self, model: Network, bandwidth: float, search: int = 1) -> None:
        self.model = model
        self.n_codebooks = model.codebooks_for(bandwidth)
        self.search = check_search(search)
        self.scales: list[float] = []
        self.closed = False
        self._encoder = (_TileEncoder if model.streams else SegmentEncoder)(model, self.n_codebooks, self.search)

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """Take the next samples, float [C, n] (n may be 0); return codes int32 [K, f] (f may be 0).

        Raises `ValueError` as `EncodecModel.encode`, and after `flush`. The stream then goes on unharmed.
        """
        return self._join(self.frames(self.model.check_audio(chunk, empty=True)))

    def flush(self) -> np.ndarray:
        """End the signal; return the remaining codes int32 [K, f]."""
        return self._join(self.frames(np.zeros((self.model.channels, 0), np.float32), last=True))

    def frames(self, wav: np.ndarray, last: bool = False) -> Iterator[EncodedFrame]:
        """As `push` and `flush`, but lazily: yields each segment, or each tile where there is only one segment.

        wav : float32 [C, n], checked already
        """
        if self.closed:
            raise ValueError("streaming encoder: expected no more samples after flush, got some")
        self.closed = last
        for frame in self._encoder.run(wav, last):
            if frame.scale is not None:
                self.scales.append(frame.scale)
            yield frame

    def _join(self, frames: Iterator[EncodedFrame]) -> np.ndarray:
        return np.concatenate([np.zeros((self.n_codebooks, 0), np.int32), *(frame.codes for frame in frames)], axis=1)


class _TileEncoder:
    """For a model that streams: one segment, in tiles."""

    def __init__(self, model: Network, n_codebooks: int, search: int) -> None:
        entry = model.config.hidden_size * model.config.codebook_size  # multiply-adds to search one codebook
        choices = (1 + search) / 2  # that are extended, about
        self.tiles = TileRunner(model.encoder, model.hop_length, model.frame_bytes, model.threads,
                                lambda z: model.quantizer.encode(z, n_codebooks, search),
                                n_codebooks * entry * choices / model.hop_length)

    def run(self, wav: np.ndarray, last: bool) -> Iterator[EncodedFrame]:
        for codes in self.tiles.run(np.ascontiguousarray(wav.T), last):  # [C, T] -> [T, C]
            yield EncodedFrame(codes, None)


class StreamingDecoder:
    """Codes to sound. Made by `EncodecModel.streaming_decoder`; for one signal, in one thread.

    The codes of the last frame stand for up to `hop_length - 1` samples more than the signal had. If its
    `length` is known from the start, they are cut off. Otherwise that many samples are held back until
    `flush` is given the length, unless `live`: then nothing is held back, and nothing cut.
    """

    def __init__(self, model: Network, length: int | None = None, live: bool = False) -> None:
        if length is not None and not 0 <= length < _MAX_LENGTH:
            raise ValueError(f"length: expected a number of samples, got {length}")
        self.model = model
        self.length = length
        self.hold = 0 if live or length is not None else model.hop_length - 1
        self.held = np.zeros((model.channels, 0), np.float32)  # decoded, not returned
        self.returned = 0  # samples
        self.n_codebooks: int | None = None  # that of the first codes
        self.closed = False
        self._decoder = _TileDecoder(model) if model.streams else SegmentDecoder(model, length)

    def push(self, codes: np.ndarray, scales: Sequence[float] = ()) -> np.ndarray:
        """Take the next codes, int [K, f] (f may be 0); return float32 [C, t] (t may be 0).

        scales : for a model that normalises, those of further segments, in order, each with or before its
            codes. Without a `length`, the codes alone do not always tell where a segment ends; the segment
            then waits for the next scale.

        Raises `ValueError` for codes or scales that the model cannot have made, for another number of
        codebooks than before, and after `flush`.
        """
        codes = self.model.check_codes(codes)
        if self.n_codebooks not in (None, len(codes)):
            raise ValueError(f"codes: expected {self.n_codebooks} codebooks as before, got {len(codes)}")
        self.n_codebooks = len(codes)
        return self._return(self.sound(codes, [self.model.check_scale(scale) for scale in scales]), self.hold)

    def flush(self, length: int | None = None) -> np.ndarray:
        """End the signal; return the remaining samples, float32 [C, t].

        length : samples in total, with those returned before; None: as many as the codes give. `ValueError` if more
            have been returned, or the codes do not reach so far.
        """
        if self.length is not None and length not in (None, self.length):
            raise ValueError(f"length: expected {self.length} as at the start, got {length}")
        if not self.closed:
            rest = self.sound(np.zeros((self.n_codebooks or 1, 0), np.int32), [], last=True)
            self.held = np.concatenate([self.held, rest], axis=1)
        total = self.returned + self.held.shape[1]
        length = self.length if length is None else length
        if length is not None and not self.returned <= length <= total:
            raise ValueError(f"length: expected {self.returned} to {total} samples, got {length}")
        self.length = length
        return self._return(self.held[:, :0], 0)

    def sound(self, codes: np.ndarray, scales: list[float], last: bool = False) -> np.ndarray:
        """All that codes [K, f] and scales, both checked already, make certain: float32 [C, t], cut nowhere."""
        if self.closed:
            raise ValueError("streaming decoder: expected no more codes after flush, got some")
        self.closed = last
        return np.concatenate([self.held[:, :0], *self._decoder.run(codes, scales, last)], axis=1)

    def _return(self, wav: np.ndarray, hold: int) -> np.ndarray:
        wav = np.concatenate([self.held, wav], axis=1)
        end = wav.shape[1] if self.length is None else min(wav.shape[1], self.length - self.returned)
        end = max(0, end - hold)
        self.held = wav[:, end:end + hold]
        self.returned += end
        return np.ascontiguousarray(wav[:, :end])


class _TileDecoder:
    """For a model that streams: one segment, in tiles."""

    def __init__(self, model: Network) -> None:
        self.quantizer = model.quantizer
        self.tiles = TileRunner(model.decoder, 1, model.frame_bytes, model.threads)

    def run(self, codes: np.ndarray, scales: list[float], last: bool) -> Iterator[np.ndarray]:
        for wav in self.tiles.run(self.quantizer.decode(codes), last):  # [K, F] -> [F, D] -> [T, C]
            yield wav.T
