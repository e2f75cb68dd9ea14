"""How a model uses its codebooks: which share of the entries ever occurs, and how evenly.

The perplexity of a codebook is 2 to the entropy of how often its entries were chosen: as many entries, all used alike,
would say as much. Both grow with the length of the sound that they were counted on, as long as there are not many
times more frames than entries; so that length belongs to the figures.
"""

import numpy as np


class CodebookUse:
    """Counts codes. `frames`: how many were counted, of all channels together."""

    def __init__(self, n_codebooks: int, n_entries: int) -> None:
        self.counts, self.frames = np.zeros((n_codebooks, n_entries), np.int64), 0

    def add(self, codes: np.ndarray) -> None:
        """Count int [K, F]; K may be smaller than the number of codebooks."""
        for row, counts in zip(codes, self.counts):
            counts += np.bincount(row, minlength=len(counts))
        self.frames += codes.shape[1]

    def rows(self) -> list[dict]:
        """Per codebook in use: its number from 1, the share of entries used, and the perplexity."""
        return [{"codebook": number, "used": float(np.mean(counts > 0)), "perplexity": perplexity(counts)}
                for number, counts in enumerate(self.counts, 1) if counts.any()]


def perplexity(counts: np.ndarray) -> float:
    """2 to the entropy, in bits, of int [N] as shares of their sum."""
    share = counts[counts > 0] / counts.sum()
    return float(2 ** -(share * np.log2(share)).sum())
