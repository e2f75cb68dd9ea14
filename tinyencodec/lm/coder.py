"""Entropy coding with the language model: each code costs as many bits as the model is surprised by it.

Encoder and decoder walk through a block frame by frame and ask the same model the same question, so they divide the
coder's interval alike; the encoder knows the answer, the decoder finds it in the bits. The encoder may ask about many
frames at once, since it has them all; the decoder learns each frame only by decoding the one before. What it can do is
walk through several blocks side by side: the model's numbers, 16 MB per frame at full size, are then read from memory
once for all of them.

The guarantee. From codes to bits and back nothing is used but integers and the arithmetic of `exact`. So what one
machine has written, any machine reads, with any number of threads, blocks side by side, vector width, version of NumPy
or Numba, with or without compiler. `exact.check_arithmetic` refuses to begin where that does not hold.

Chapter 13 of the tutorials walks through it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinyencodec.entropy.arithmetic import TOTAL_BITS, bounds, quantised_cdf
from tinyencodec.entropy.arithmetic_compiled import LaneDecoder, encode_symbols
from tinyencodec.lm.exact import check_arithmetic
from tinyencodec.lm.model import LanguageModel

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
        return self._shared_out(self._encode, blocks, [codes.shape for codes in blocks])

    def decode(self, payloads: Sequence[tuple[bytes, int]], n_codebooks: int) -> list[np.ndarray]:
        """Codes int64 [K, F] of blocks, each given as its bits and its number of frames F.

        Raises `ValueError` when no codes lead to the bits of one, or bits are left over.
        """
        tasks = [(data, n_frames, n_codebooks) for data, n_frames in payloads]
        return self._shared_out(self._decode, tasks, [n_frames for _, n_frames in payloads])

    def costs(self, codes: np.ndarray) -> np.ndarray:
        """Bits that the codes [K, F] of one block ask for, by codebook: float64 [K]."""
        bits = np.zeros(len(codes))
        for start, stop in self._bounds(np.asarray(codes)[None]):
            bits += (TOTAL_BITS - np.log2(stop - start)).sum(axis=(0, 1))
        return bits

    def decode_official(self, data: bytes, start: int, n_frames: int, n_codebooks: int) -> tuple[np.ndarray, int]:
        """Decode a segment of an official `--lm` file, which begins at byte `start` of `data`.

        Returns codes int64 [K, F], and where the next segment begins.

        Raises `ValueError` or `EOFError` when it does not end as the official encoder ends it: its probabilities
        were not those computed here. The official program computes them in floating point of no fixed order.
        """
        decoder = LaneDecoder([data[start:]])
        codes = self._walk(decoder, 1, n_frames, n_codebooks)[0]
        decoder.check(0)
        position = int(decoder.position[0])
        end = start + -(-position // 8)
        rest = data[end - 1] >> (position % 8 or 8) if n_frames else 0  # bits that fill the last byte
        if not decoder.settled[0] or rest:
            raise ValueError("official language model stream: expected to end where its codes end, got other bits: "
                             "it was written with other probabilities than those computed here")
        return codes, end

    def _shared_out(self, work: Callable[[list], list], tasks: Sequence, sizes: Sequence) -> list:
        """work(tasks of one size) -> results, for all tasks, side by side and by several threads."""
        for codes in tasks if work == self._encode else ():
            if codes.ndim != 2 or not np.issubdtype(codes.dtype, np.integer):
                raise ValueError(f"codes: expected integers [K, F], got {codes.dtype} {list(codes.shape)}")
        groups = []
        for size in dict.fromkeys(sizes):
            alike = [i for i, other in enumerate(sizes) if other == size]
            step = -(-len(alike) // self.threads)
            groups += [alike[i:i + step] for i in range(0, len(alike), step)]
        results: list = [None] * len(tasks)
        with ThreadPoolExecutor(self.threads) as pool:
            done = pool.map(lambda group: work([tasks[i] for i in group]), groups)
            for group, answers in zip(groups, done):
                for i, answer in zip(group, answers):
                    results[i] = answer
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
        size, most = self.model.config.codebook_size, self.model.config.n_codebooks
        if n_codebooks > most:
            raise ValueError(f"language model: expected at most {most} codebooks, which a lower bandwidth has, "
                             f"got {n_codebooks}")
        if codes.size and (codes.min() < 0 or codes.max() >= size):
            raise ValueError(f"codes: expected 0 to {size - 1}, got {codes.min()} to {codes.max()}")
        before = np.concatenate([np.full((n_blocks, n_codebooks, 1), -1), codes[:, :, :-1]], axis=2)
        state, step = self.model.start(n_blocks, n_frames), max(1, _NUMBERS // (n_blocks * n_codebooks * size))
        for t in range(0, n_frames, step):
            cdf = quantised_cdf(self.model.step(before[:, :, t:t + step], state))
            yield bounds(cdf, codes[:, :, t:t + step].transpose(0, 2, 1))

    def _decode(self, tasks: list[tuple[bytes, int, int]]) -> list[np.ndarray]:
        payloads, (n_frames, *_), (n_codebooks, *_) = zip(*tasks)
        decoder = LaneDecoder(payloads, zeros_follow=True)
        codes = self._walk(decoder, len(payloads), n_frames, n_codebooks)
        for lane, (data, position) in enumerate(zip(payloads, decoder.position)):
            decoder.check(lane)
            if 8 * len(data) >= position + 8:
                raise ValueError(f"coded bits: expected at most {position} for {n_frames} frames, got {8 * len(data)}")
        return list(codes)

    def _walk(self, decoder: LaneDecoder, n_blocks: int, n_frames: int, n_codebooks: int) -> np.ndarray:
        """Decode int64 [B, K, F] of B blocks."""
        check_arithmetic()
        state = self.model.start(n_blocks, n_frames)
        codes, frame = np.empty((n_blocks, n_codebooks, n_frames), np.int64), np.full((n_blocks, n_codebooks, 1), -1)
        for t in range(n_frames):
            cdf = quantised_cdf(self.model.step(frame, state))[:, 0]  # [B, K, N]
            frame = decoder.pull(cdf)[..., None]
            codes[..., t] = frame[..., 0]
        return codes
