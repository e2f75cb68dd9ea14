"""Segments: a signal in windows that are coded on their own, and cross-faded into one again.

The 48 kHz model looks at 1 s at a time, every 0.99 s. Each window is divided by the RMS of its mono mix,
which is stored beside the codes as its scale. Decoded windows are weighted by a triangle, added, and
divided by the sum of the weights: neighbours cross-fade over what they share, and the rest stays as it
is. (Paper, sections 3.1 and 4.1; official code: `_linear_overlap_add`.)

Chapter 10 of the tutorials walks through it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinyencodec.codec.config import CodecConfig


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
    """The segments that a signal of so many frames has: the inverse of `segment_frames`, as far as there is one.

    It need not end with one shorter segment: 47 600 samples at 48 kHz are 149 frames and 1 frame. But each
    segment's frames can only grow with the length, so the sum tells them all. `ValueError` if no length
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
