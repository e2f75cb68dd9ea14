"""The codec piece by piece: sound in, codes out, and back, with memory that does not grow.

    encoder = model.streaming_encoder(bandwidth=6.0)
    codes = encoder.push(wav[:, :1000])   # int [K, f], the frames that are certain by now; f may be 0
    codes = encoder.flush()               # the rest

    decoder = model.streaming_decoder()
    wav = decoder.push(codes)             # float32 [C, t]
    wav = decoder.flush(length)           # the rest, such that all is `length` samples

All pieces together are what `model.encode` and `model.decode` give for the whole, bit by bit, however
the signal was cut: those two *are* one large push.

**Latency.** A causal model gives a frame per `hop_length` samples, except at the start: the padding by
reflection there needs later samples, in each layer. `model.encoder_delay` is the number of samples
before the first codes, `model.decoder_delay` the number of frames before the first sound. After that,
frame n comes out with its last sample and is decoded at once. A model with segments works per segment.

Chapter 5 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinyencodec.codec.network import Network
from tinyencodec.codec.segments import EncodedFrame, OverlapAdd, Windows, scale_of, segment_frames, split_frames
from tinyencodec.layers.tiles import TileRunner

_FOREVER = 1 << 62  # samples or frames: one segment, as long as the signal


class StreamingEncoder:
    """Sound to codes. Made by `EncodecModel.streaming_encoder`; for one signal, in one thread.

    scales : of a model that normalises, the scale of each segment so far; it belongs to the next
        `frames_per_segment` frames (fewer in the last segment)
    """

    def __init__(self, model: Network, bandwidth: float) -> None:
        self.model = model
        self.n_codebooks = model.codebooks_for(bandwidth)
        self.scales: list[float] = []
        self.closed = False
        if model.streams:
            entry = model.config.hidden_size * model.config.codebook_size  # multiply-adds to search one codebook
            self.tiles = TileRunner(model.encoder, model.hop_length, model.frame_bytes, model.threads,
                                 self._quantise, self.n_codebooks * entry / model.hop_length)
        else:
            self.windows = Windows(model.segment_length or _FOREVER, model.segment_stride or _FOREVER)

    def push(self, chunk: np.ndarray) -> np.ndarray:
        """Take the next samples, float [C, n] (n may be 0); return codes int32 [K, f] (f may be 0).

        Raises `ValueError` as `EncodecModel.encode`, and after `flush`. The stream then goes on unharmed.
        """
        return self._join(self.frames(self.model.check_audio(chunk, empty=True)))

    def flush(self) -> np.ndarray:
        """End the signal; return the remaining codes int32 [K, f]."""
        return self._join(self.frames(np.zeros((self.model.channels, 0), np.float32), last=True))

    def frames(self, wav: np.ndarray, last: bool = False) -> Iterator[EncodedFrame]:
        """As `push` and `flush`, but lazily: yields each segment, or each tile where there is only one segment."""
        if self.closed:
            raise ValueError("streaming encoder: expected no more samples after flush, got some")
        self.closed = last
        if self.model.streams:
            for codes in self.tiles.run(np.ascontiguousarray(wav.T), last):  # [C, T] -> [T, C]
                yield EncodedFrame(codes, None)
        else:
            for frame in _in_parallel(self._encode_window, self.windows.push(wav, last), self.model.threads):
                if frame.scale is not None:
                    self.scales.append(frame.scale)
                yield frame

    def _encode_window(self, wav: np.ndarray) -> EncodedFrame:
        scale = scale_of(wav) if self.model.config.normalize else None
        wav = wav if scale is None else wav / np.float32(scale)
        return EncodedFrame(self._quantise(self.model.encoder(np.ascontiguousarray(wav.T))), scale)

    def _quantise(self, z: np.ndarray) -> np.ndarray:
        return self.model.quantizer.encode(z, self.n_codebooks)

    def _join(self, frames: Iterator[EncodedFrame]) -> np.ndarray:
        return np.concatenate([np.zeros((self.n_codebooks, 0), np.int32), *(frame.codes for frame in frames)], axis=1)


class StreamingDecoder:
    """Codes to sound. Made by `EncodecModel.streaming_decoder`; for one signal, in one thread.

    The codes of the last frame stand for up to `hop_length - 1` samples more than the signal had. If its
    `length` is known from the start, they are cut off. Otherwise so many samples are held back until
    `flush` tells the length, unless `live`: then nothing is held back, and nothing cut.
    """

    def __init__(self, model: Network, length: int | None = None, live: bool = False) -> None:
        if length is not None and not 0 <= length < _FOREVER:
            raise ValueError(f"length: expected a number of samples, got {length}")
        self.model = model
        self.length = length
        self.hold = 0 if live or length is not None else model.hop_length - 1
        self.held = np.zeros((model.channels, 0), np.float32)  # decoded, not returned
        self.returned = 0  # samples
        self.n_codebooks: int | None = None  # that of the first codes
        self.scales: list[float] = []  # of segments to come
        self.codes: np.ndarray | None = None  # [K, f] of a segment that is not complete
        self.closed = False
        if model.streams:
            self.tiles = TileRunner(model.decoder, 1, model.frame_bytes, model.threads)
        else:
            self.fade = OverlapAdd(model.segment_stride or _FOREVER)
            self.sizes = None if length is None else segment_frames(model.config, length)  # of segments to come
            self.size: int | None = None  # frames of the next segment, if known

    def push(self, codes: np.ndarray, scales: Sequence[float] = ()) -> np.ndarray:
        """Take the next codes, int [K, f] (f may be 0); return float32 [C, t] (t may be 0).

        scales : for a model that normalises, those of further segments, in order, each with or before its
            codes. Without a `length`, the codes alone do not always tell where a segment ends; then one
            waits for the next.

        Raises `ValueError` for codes or scales that the model cannot have made, for another number of
        codebooks than before, and after `flush`.
        """
        codes = self.model.check_codes(codes)
        if self.n_codebooks not in (None, len(codes)):
            raise ValueError(f"codes: expected {self.n_codebooks} codebooks as before, got {len(codes)}")
        self.n_codebooks = len(codes)
        for scale in scales:
            self.scales.append(self.model.check_scale(scale))
        return self._return(self._decode(codes, last=False), self.hold)

    def flush(self, length: int | None = None) -> np.ndarray:
        """End the signal; return the remaining samples, float32 [C, t].

        length : samples in all, counting those returned before; None: all there are. `ValueError` if more
            have been returned, or the codes do not reach so far.
        """
        if self.length is not None and length not in (None, self.length):
            raise ValueError(f"length: expected {self.length} as at the start, got {length}")
        if not self.closed:
            rest = self._decode(np.zeros((self.n_codebooks or 1, 0), np.int32), last=True)
            self.held = np.concatenate([self.held, rest], axis=1)
        total = self.returned + self.held.shape[1]
        length = self.length if length is None else length
        if length is not None and not self.returned <= length <= total:
            raise ValueError(f"length: expected {self.returned} to {total} samples, got {length}")
        self.length = length
        return self._return(self.held[:, :0], 0)

    def _decode(self, codes: np.ndarray, last: bool) -> np.ndarray:
        if self.closed:
            raise ValueError("streaming decoder: expected no more codes after flush, got some")
        self.closed = last
        nothing = np.zeros((self.model.channels, 0), np.float32)
        if self.model.streams:
            z = self.model.quantizer.decode(codes)  # [K, F] -> [F, D]
            return np.concatenate([nothing, *(wav.T for wav in self.tiles.run(z, last))], axis=1)
        self.codes = codes if self.codes is None else np.concatenate([self.codes, codes], axis=1)
        made = [self.fade.add(wav) for wav in self.decode_windows(self._complete(last))]
        if last and self.fade.triangle is not None:
            made.append(self.fade.finish())
        return np.concatenate([nothing, *made], axis=1)

    def decode_windows(self, frames: Iterable[EncodedFrame]) -> Iterator[np.ndarray]:
        """Decode segments, each on its own: yields float32 [C, n], not cross-faded yet."""
        return _in_parallel(self._decode_window, frames, self.model.threads)

    def _complete(self, last: bool) -> Iterator[EncodedFrame]:
        """Take the segments that are complete off `self.codes`; with `last`, all that there are."""
        assert self.codes is not None
        ends = iter(split_frames(self.model.config, self.codes.shape[1])) if last and self.sizes is None else None
        while self.codes.shape[1]:
            if self.sizes is not None:
                size = self.size = self.size or next(self.sizes, None)
                if size is None:
                    raise ValueError(f"codes: expected those of {self.length} samples, got more")
            else:
                size = next(ends) if ends is not None else self._certain_size()
            if size is None or self.codes.shape[1] < size:
                break
            yield EncodedFrame(self.codes[:, :size], self._next_scale())
            self.codes, self.size = self.codes[:, size:], None

    def _certain_size(self) -> int | None:
        """Frames of the next segment if it is certain to be full, else None.

        With one scale waiting, all the codes are its. Without scales, the signal must have gone on so far
        that the segment cannot have been cut short.
        """
        full = self.model.frames_per_segment
        if full is None or (self.model.config.normalize and len(self.scales) == 1):
            return full
        shortest = (full - 1) * self.model.hop_length + 1  # samples that fill the segment
        waiting = 0 if self.codes is None else self.codes.shape[1]
        return full if waiting >= sum(segment_frames(self.model.config, shortest)) else None

    def _next_scale(self) -> float | None:
        if not self.model.config.normalize:
            return None
        if not self.scales:
            raise ValueError("scales: expected one for each segment, got fewer")
        return self.scales.pop(0)

    def _decode_window(self, frame: EncodedFrame) -> np.ndarray:
        wav = self.model.decoder(self.model.quantizer.decode(frame.codes)).T  # [T, C] -> [C, T]
        return wav if frame.scale is None else wav * np.float32(frame.scale)

    def _return(self, wav: np.ndarray, hold: int) -> np.ndarray:
        wav = np.concatenate([self.held, wav], axis=1)
        kept = wav.shape[1] if self.length is None else min(wav.shape[1], self.length - self.returned)
        kept = max(0, kept - hold)
        self.held = wav[:, kept:kept + hold] if hold else wav[:, :0]
        self.returned += kept
        return np.ascontiguousarray(wav[:, :kept])


def _in_parallel(function: Callable, items: Iterable, threads: int) -> Iterator:
    """map(function, items), in order, by up to `threads` threads at once."""
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: list = []
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * threads:
                yield ahead.pop(0).result()
        for future in ahead:
            yield future.result()
