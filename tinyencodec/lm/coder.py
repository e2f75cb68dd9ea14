"""Entropy coding with the language model: each code costs as many bits as the model is surprised by it.

Encoder and decoder go through a block frame by frame and ask the same model the same question, so they divide the
coder's interval alike. The encoder knows the answer; the decoder finds it in the bits. The encoder may ask about many
frames at once, since it has them all. The decoder can ask about a frame only when it has decoded the one before. But it
can decode several blocks side by side: the model's numbers, 16 MB per frame at full size, are then read from memory
once for all of them.

The guarantee. From codes to bits and back nothing is used but integers and the arithmetic of `exact`. So any
machine can read what one has written, with any number of threads, of blocks side by side, vector width, version of
NumPy or Numba, with or without the compiler. `exact.check_arithmetic` refuses to begin where that does not hold.

Chapter 13 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinyencodec.entropy.arithmetic import TOTAL_BITS, bounds, quantised_cdf
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder, encode_symbols
from tinyencodec.entropy.rate import RateSearch, bits_of
from tinyencodec.lm.exact import check_arithmetic
from tinyencodec.lm.model import LanguageModel
from tinyencodec.system.errors import check_codes, require

_NUMBERS = 1 << 20  # probabilities that are held at once


class LMCoder:
    """Codes blocks with a language model; each block is independent of all others.

    Attributes
    ----------
    kind : "lm"
    id : of the model
    threads : at most so many work at once
    """

    kind = "lm"

    def __init__(self, model: LanguageModel, threads: int = 1) -> None:
        self.model, self.id, self.threads = model, model.id, threads

    def encode(self, blocks: Sequence[np.ndarray]) -> list[bytes]:
        """The bits of each block of codes, int [K, F] with entries from 0 to N - 1."""
        for codes in blocks:
            self._check(codes)
        return self._shared_out(self._encode, blocks, [codes.shape for codes in blocks])

    def decode(self, payloads: Sequence[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]:
        """Codes int64 [K, F] of blocks, each given as its bits and its number of frames F.

        Raises `ValueError` when no codes lead to the bits of one, or bits are left over.
        """
        return self._shared_out(lambda group: self._decode(group, n_codebooks), payloads,
                                [n_frames for _, n_frames in payloads])

    def choose(self, blocks: Sequence[np.ndarray], search: RateSearch) -> list[tuple[np.ndarray, bytes]]:
        """Codes chosen by error and bits (`rate`), int32 [K, F], and their bits, of blocks of latents float32 [D, F].

        What the model expects of a frame is known before its codes are, so each frame is a search of its own.
        """
        self._check_codebooks(search.n_codebooks)
        return self._shared_out(lambda group: self._choose(group, search), blocks, [block.shape for block in blocks])

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """Bits that the codes [K, F] of one block cost, by codebook: float64 [K]."""
        self._check(codes)
        bits = np.zeros(len(codes))
        for start, stop in self._bounds(codes[None]):
            bits += (TOTAL_BITS - np.log2(stop - start)).sum(axis=(0, 1))
        return bits

    def _check(self, codes: np.ndarray) -> None:
        self._check_codebooks(len(codes))
        check_codes(codes, self.model.config.n_codebooks, self.model.config.codebook_size)

    def _check_codebooks(self, n_codebooks: int) -> None:
        most = self.model.config.n_codebooks
        require(n_codebooks <= most, "language model", f"at most {most} codebooks, which a lower bandwidth has",
                n_codebooks)

    def _shared_out(self, work: Callable[[list], list], tasks: Sequence, sizes: Sequence) -> list:
        """work(tasks of one size) -> results, for all tasks, side by side and by several threads."""
        alike: dict[object, list[int]] = {}
        for i, size in enumerate(sizes):
            alike.setdefault(size, []).append(i)
        groups = [places[first::self.threads] for places in alike.values() for first in range(self.threads)]
        results: list = [None] * len(tasks)

        def run(group: list[int]) -> None:
            for i, result in zip(group, work([tasks[i] for i in group])):
                results[i] = result

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(run, filter(None, groups)))  # raises what they raise
        return results

    def _encode(self, blocks: list[np.ndarray]) -> list[bytes]:
        parts = list(self._bounds(np.stack(blocks)))
        if not parts:
            return [b""] * len(blocks)
        start, stop = (np.concatenate(side, axis=1).reshape(len(blocks), -1) for side in zip(*parts))
        return [encode_symbols(*both, shortest=True) for both in zip(start, stop)]

    def _bounds(self, codes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The bounds [B, T, K] of the codes [B, K, F], T frames at a time."""
        check_arithmetic()
        n_blocks, n_codebooks, n_frames = codes.shape
        before = np.concatenate([np.full((n_blocks, n_codebooks, 1), -1), codes[:, :, :-1]], axis=2)
        at_once = max(1, _NUMBERS // (n_blocks * n_codebooks * self.model.config.codebook_size))  # frames
        state = self.model.start(n_blocks, n_frames)
        for t in range(0, n_frames, at_once):
            cdf = quantised_cdf(self.model.step(before[:, :, t:t + at_once], state))
            yield bounds(cdf, codes[:, :, t:t + at_once].transpose(0, 2, 1))

    def _choose(self, blocks: list[np.ndarray], search: RateSearch) -> list[tuple[np.ndarray, bytes]]:
        """Blocks of equally many frames, side by side."""
        check_arithmetic()
        z = np.ascontiguousarray(np.stack(blocks).transpose(0, 2, 1))  # [B, D, F] -> [B, F, D]
        n_blocks, n_frames = z.shape[:2]
        price = np.array([search.price(block) for block in z])[:, None, None]
        state, frame = self.model.start(n_blocks, n_frames), np.full((n_blocks, search.n_codebooks, 1), -1)
        codes = np.empty((n_blocks, search.n_codebooks, n_frames), np.int32)
        start, stop = np.empty((2, n_blocks, n_frames, search.n_codebooks), np.int64)
        for t in range(n_frames):
            cdf = quantised_cdf(self.model.step(frame, state))[:, 0]  # [B, K, N]
            penalties = np.ascontiguousarray((bits_of(cdf) * price).transpose(1, 0, 2))
            codes[..., t] = search.choose(z[:, t], penalties).T  # [K, B] -> [B, K]
            frame = codes[..., t:t + 1]
            start[:, t], stop[:, t] = bounds(cdf, codes[..., t])
        return [(each, encode_symbols(first.ravel(), end.ravel(), shortest=True))
                for each, first, end in zip(codes, start, stop)]

    def _decode(self, payloads: list[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]:
        """Blocks of equally many frames."""
        check_arithmetic()
        n_blocks, n_frames = len(payloads), payloads[0][1]
        decoder, state = LaneDecoder([data for data, _ in payloads]), self.model.start(n_blocks, n_frames)
        codes, frame = np.empty((n_blocks, n_codebooks, n_frames), np.int64), np.full((n_blocks, n_codebooks, 1), -1)
        for t in range(n_frames):
            cdf = quantised_cdf(self.model.step(frame, state))[:, 0]  # [B, K, N]
            frame = decoder.pull(cdf)[..., None]
            codes[..., t] = frame[..., 0]
        decoder.check()
        return list(codes)
