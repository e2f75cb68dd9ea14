"""Coders for tests of the container: quick, and of no other use."""

import zlib

import numpy as np


class PackedCoder:
    """Stands for tables or a language model: the codes of a block, by zlib."""

    def __init__(self, kind="lm", identity="0123456789abcdef"):
        self.kind, self.id, self.calls = kind, identity, []

    def encode(self, blocks):
        self.calls.append([block.shape[1] for block in blocks])
        return [zlib.compress(block.T.astype("<u2").tobytes(), 9) for block in blocks]

    def decode(self, payloads, n_codebooks):
        self.calls.append([n_frames for _, n_frames in payloads])
        return [self._decode(data, n_frames, n_codebooks) for data, n_frames in payloads]

    def _decode(self, data, n_frames, n_codebooks):
        size = 2 * n_frames * n_codebooks
        try:
            codes = zlib.decompressobj().decompress(data, size + 1)
        except zlib.error as error:
            raise ValueError(f"impossible: {error}") from None
        if len(codes) < size:
            raise EOFError("data end early")
        return np.frombuffer(codes[:size], "<u2").reshape(n_frames, n_codebooks).T.astype(np.int64)


class SlippingCoder(PackedCoder):
    """Decodes, and never notices that it decodes something else, in blocks whose first code is 1."""

    def decode(self, payloads, n_codebooks):
        return [np.where(codes[0, 0] == 1, codes ^ 1, codes) for codes in super().decode(payloads, n_codebooks)]
