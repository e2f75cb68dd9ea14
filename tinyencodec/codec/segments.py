"""Segments: a signal in windows that are coded on their own, and cross-faded into one again.

The 48 kHz model looks at 1 s at a time, every 0.99 s. Each window is divided by the RMS of its mono mix,
which is stored beside the codes as its scale. Decoded windows are weighted by a triangle, added, and
divided by the sum of the weights: neighbours cross-fade where they overlap, and the rest stays as it
is. (Paper, sections 3.1 and 4.1; official code: `_linear_overlap_add`.)

Chapter 10 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinyencodec.codec.config import CodecConfig

if TYPE_CHECKING:  # headers of files need the sizes below, without the network
    from tinyencodec.codec.network import Network

_FOREVER = 1 << 62  # samples: one segment, as long as the signal


class EncodedFrame(NamedTuple):
    """Codes int [K, F] of one segment, and the factor that restores its loudness (or None)."""

    codes: np.ndarray
    scale: float | None


def segment_frames(config: CodecConfig, audio_length: int) -> Iterator[int]:
    """Yield the number of frames of each segment of `audio_length` samples."""
    stride = config.segment_stride or max(1, audio_length)
    for start in range(0, audio_length, stride):
        samples = min(config.segment_length or audio_length, audio_length - start)
        yield -(-samples // config.hop_length)


def split_frames(config: CodecConfig, frames: int) -> list[int]:
    """The frames of each segment of a signal with `frames` frames: the inverse of `segment_frames`.

    Not only the last segment may be short: 47 600 samples at 48 kHz are 149 frames and 1 frame. But as a signal
    gets longer, no segment loses frames, so the sum determines them all. `ValueError` if no length
    gives that sum.
    """
    low, high = 0, frames * config.hop_length  # the least length with at least so many frames is in between
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if sum(segment_frames(config, middle)) < frames else (low, middle)
    sizes = list(segment_frames(config, low))
    if sum(sizes) != frames:
        raise ValueError(f"codes: expected as many frames as a signal can have, such as {sum(sizes)}, got {frames}")
    return sizes


def split_segments(config: CodecConfig, codes: np.ndarray, scales: np.ndarray | None) -> list[EncodedFrame]:
    """Codes [K, F] of one signal and its scales [S or more] as the segments that `model.decode` takes.

    Raises `ValueError` for a number of frames that no signal has, or too few scales.
    """
    sizes = [codes.shape[1]] if config.segment_length is None else split_frames(config, codes.shape[1])
    if scales is not None and len(scales) < len(sizes):
        raise ValueError(f"scales: expected one for each of {len(sizes)} segments, got {len(scales)}")
    parts = np.split(codes, np.cumsum(sizes)[:-1], axis=1)
    return [EncodedFrame(part, None if scales is None else float(scales[i])) for i, part in enumerate(parts)]


class Windows:
    """Cuts a signal that comes in pieces into windows of `length` samples, `stride` apart.

    The last windows are shorter: one begins every `stride` samples as long as there are samples.
    """

    def __init__(self, length: int, stride: int) -> None:
        self.length, self.stride = length, stride
        self.waiting: np.ndarray | None = None  # [C, n], from the next window's start on

    def push(self, wav: np.ndarray, last: bool = False) -> Iterator[np.ndarray]:
        """Take [C, T] and yield the windows [C, n] that are complete, or with `last` all that remain."""
        waiting = wav if self.waiting is None else np.concatenate([self.waiting, wav], axis=1)
        start = 0
        while start + (1 if last else self.length) <= waiting.shape[1]:
            yield waiting[:, start:start + self.length]
            start += self.stride
        self.waiting = waiting[:, start:].copy()


def scale_of(wav: np.ndarray) -> float:
    """The RMS of the mono mix of [C, T], plus 1e-8: what a normalising model divides a window by."""
    mono = wav.mean(axis=0, dtype=np.float32)
    return float(np.float32(np.sqrt(np.mean(np.square(mono), dtype=np.float64)) + 1e-8))


class OverlapAdd:
    """Cross-fades windows [C, n] that start `stride` samples apart, as they come."""

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.triangle: np.ndarray | None = None  # of the first window, cut for shorter ones
        self.sum = self.weights = np.zeros((0, 0), np.float32)  # from the latest window's start on

    def add(self, window: np.ndarray) -> np.ndarray:
        """Add a window; returns what no later one will touch, at most `stride` samples [C, t]."""
        n = window.shape[1]
        if self.triangle is None:
            ramp = np.linspace(0, 1, n + 2, dtype=np.float32)[1:-1]
            self.triangle = np.float32(0.5) - np.abs(ramp - np.float32(0.5))
            self.sum, self.weights = np.zeros_like(window), np.zeros((1, n), np.float32)
        missing = max(0, n - self.sum.shape[1])
        self.sum = np.pad(self.sum, ((0, 0), (0, missing)))
        self.weights = np.pad(self.weights, ((0, 0), (0, missing)))
        self.sum[:, :n] += self.triangle[:n] * window
        self.weights[:, :n] += self.triangle[:n]
        done = self.sum[:, :self.stride] / self.weights[:, :self.stride]
        self.sum, self.weights = self.sum[:, self.stride:], self.weights[:, self.stride:]
        return done

    def finish(self) -> np.ndarray:
        """What is left after the last window, [C, t]."""
        return self.sum / self.weights


class SegmentEncoder:
    """For models that do not stream: segment by segment, several at once."""

    def __init__(self, model: "Network", n_codebooks: int, search: int = 1) -> None:
        self.model, self.n_codebooks, self.search = model, n_codebooks, search
        self.windows = Windows(model.segment_length or _FOREVER, model.segment_stride or _FOREVER)

    def run(self, wav: np.ndarray, last: bool) -> Iterator[EncodedFrame]:
        return _in_parallel(self._encode, self.windows.push(wav, last), self.model.threads)

    def _encode(self, wav: np.ndarray) -> EncodedFrame:
        scale = scale_of(wav) if self.model.config.normalize else None
        wav = wav if scale is None else wav / np.float32(scale)
        z = self.model.encoder(np.ascontiguousarray(wav.T))  # [C, T] -> [T, C] -> [F, D]
        return EncodedFrame(self.model.quantizer.encode(z, self.n_codebooks, self.search), scale)


class SegmentDecoder:
    """For models that do not stream: segment by segment, several at once, and cross-faded.

    length : samples of the signal if known, which says where the segments end
    """

    def __init__(self, model: "Network", length: int | None = None) -> None:
        self.model, self.length = model, length
        self.fade = OverlapAdd(model.segment_stride or _FOREVER)
        self.codes: np.ndarray | None = None  # [K, f] of a segment that is not complete
        self.scales: list[float] = []  # of segments to come
        self.sizes = None if length is None else segment_frames(model.config, length)  # of segments to come
        self.size: int | None = None  # frames of the next segment, if known

    def run(self, codes: np.ndarray, scales: list[float], last: bool) -> Iterator[np.ndarray]:
        self.codes = codes if self.codes is None else np.concatenate([self.codes, codes], axis=1)
        self.scales += scales
        yield from self.decode(self._complete(self.codes, last))
        if last and self.fade.triangle is not None:
            yield self.fade.finish()

    def decode(self, frames: Iterable[EncodedFrame]) -> Iterator[np.ndarray]:
        """Decode whole segments; for each, yields the samples that no later segment touches, float32 [C, t]."""
        return map(self.fade.add, _in_parallel(self._decode, frames, self.model.threads))

    def _decode(self, frame: EncodedFrame) -> np.ndarray:
        wav = self.model.decoder(self.model.quantizer.decode(frame.codes)).T  # [T, C] -> [C, T]
        return wav if frame.scale is None else wav * np.float32(frame.scale)

    def _complete(self, codes: np.ndarray, last: bool) -> Iterator[EncodedFrame]:
        """Yield the segments that are complete, or with `last` all that there are; `self.codes` keeps the rest."""
        if last and self.sizes is None:
            self.sizes = iter(split_frames(self.model.config, codes.shape[1]))
        while (waiting := codes.shape[1]) and (size := self._next_size(waiting)) is not None and size <= waiting:
            yield EncodedFrame(codes[:, :size], self._next_scale())
            self.codes = codes = codes[:, size:]
            self.size = None

    def _next_size(self, waiting: int) -> int | None:
        """Frames of the next segment, None while that is not certain. `waiting`: frames that have come.

        Without a length, and with one scale waiting, all the codes are its, up to a full segment. Without scales, so
        many frames must have come that the segment cannot be one cut short.
        """
        if self.sizes is not None:
            self.size = self.size or next(self.sizes, None)
            if self.size is None:
                raise ValueError(f"codes: expected those of {self.length} samples, got more")
            return self.size
        full = self.model.frames_per_segment
        if full is None or (self.model.config.normalize and len(self.scales) == 1):
            return full
        shortest = (full - 1) * self.model.hop_length + 1  # samples that fill the segment
        return full if waiting >= sum(segment_frames(self.model.config, shortest)) else None

    def _next_scale(self) -> float | None:
        if not self.model.config.normalize:
            return None
        if not self.scales:
            raise ValueError("scales: expected one for each segment, got fewer")
        return self.scales.pop(0)


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
