"""How close is close: errors relative to the peak, and codes that may differ at a tie only."""

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

EPS = 2.0 ** -24  # the most by which one rounding moves a float32, relative to it

LATENT_ERROR = AUDIO_ERROR = 1e-4  # what the project promises, of the oracle's peak
SCALE_ERROR = 1e-6  # relative: the root of a float32 mean over a segment, summed in whatever order


def peak_error(ours: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute error, as a fraction of the reference's peak. Shapes must agree."""
    assert ours.shape == reference.shape, f"shape {ours.shape}, the oracle's is {reference.shape}"
    assert ours.dtype == np.float32, ours.dtype
    return float(np.abs(ours.astype(np.float64) - reference).max() / max(np.abs(reference).max(), 1e-30))


def layer_tolerance(layer: nn.Module) -> float:
    """How far two right ways to compute a layer in float32 may be apart, of its output's peak.

    A sum of n products rounds n times, in an order that each side chooses. The roundings have
    random signs and each is at most EPS times the running sum, itself rarely above the peak, so
    that the error grows with the root of n. Measured over all models here, the largest of a
    layer's outputs is off by (0.4 to 1.7) EPS sqrt(n); ELU alone, without a sum, by 1.1 EPS.
    """
    sums = [1]
    for module in layer.modules():
        if isinstance(module, nn.Conv1d):
            sums.append(module.in_channels * module.kernel_size[0])
        elif isinstance(module, nn.ConvTranspose1d):
            sums.append(module.in_channels * module.kernel_size[0] // module.stride[0])
        elif isinstance(module, nn.LSTM):
            sums.append(module.hidden_size)
    return EPS * (6 + 1.5 * math.sqrt(max(sums)))


@dataclass
class CodeCount:
    """What `compare_codes` saw. Counts of several signals can be added."""

    codes: int = 0  # compared
    tied: int = 0  # of these: whose two nearest entries are equally near, within float error
    flipped: int = 0  # of these: that differ; always at a tie
    excused: int = 0  # later codes of frames with a flip, not compared

    def __add__(self, other: "CodeCount") -> "CodeCount":
        return CodeCount(self.codes + other.codes, self.tied + other.tied,
                         self.flipped + other.flipped, self.excused + other.excused)


def compare_codes(ours: np.ndarray, reference: np.ndarray, z_ours: np.ndarray, z_reference: np.ndarray,
                  embeds: np.ndarray) -> CodeCount:
    """Compare codes [K, F], given the latents [F, D] that each side quantised and the codebooks [K, N, D].

    With r the residual and a, b its two nearest entries, the margin is m = |r - b|^2 - |r - a|^2.
    Two things can change the sign of m. If our r is off by d, m changes by 2 d.(b - a), at most
    2 |d| |b - a|. And each side computes distances in float32 from terms as large as |r|^2, 2 r.a
    and |a|^2: of millions of distances the worst were off by 10 EPS (|r| + |a|)^2 here and by 6 in
    the oracles, and a margin compares two. Below the sum of both effects the entries are tied, and
    only then may the codes differ. All this is computed in float64.
    """
    assert ours.shape == reference.shape, f"codes {ours.shape}, the oracle's are {reference.shape}"
    residual = z_reference.astype(np.float64)
    offset = np.linalg.norm(z_ours - residual, axis=1)  # |d| of each frame
    same = np.ones(len(residual), bool)  # until now
    count = CodeCount()
    for k in range(len(reference)):
        entries = embeds[k].astype(np.float64)
        size = np.linalg.norm(residual, axis=1)
        distance = (size ** 2)[:, None] - 2 * residual @ entries.T + (entries ** 2).sum(1)  # [F, N]
        nearest, second = np.argpartition(distance, 1, axis=1)[:, :2].T
        chosen, expected = ours[k], reference[k]

        differs = same & (chosen != expected)
        tied = _margin(distance, chosen, expected) <= _float_error(size, offset, entries[chosen], entries[expected])
        wrong = np.flatnonzero(differs & ~tied)
        assert not wrong.size, (f"codebook {k}: {wrong.size} codes differ without a tie, first in frame {wrong[0]}: "
                                f"{chosen[wrong[0]]}, the oracle's is {expected[wrong[0]]}")

        tied = _margin(distance, nearest, second) <= _float_error(size, offset, entries[nearest], entries[second])
        count += CodeCount(int(same.sum()), int((same & tied).sum()), int(differs.sum()), int((~same).sum()))
        same &= ~differs
        residual -= entries[expected]
        offset += 2 * EPS * size  # each side rounds its own residual
    return count


def _margin(distance: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By how much [F] the entries with indices a and b differ in their distances [F, N]."""
    frames = np.arange(len(distance))
    return np.abs(distance[frames, a] - distance[frames, b])


def _float_error(size: np.ndarray, offset: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The margin [F] that float error can undo, for residuals of length `size` and entries a, b [F, D]."""
    longer = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return 2 * offset * np.linalg.norm(a - b, axis=1) + 16 * EPS * (size + longer) ** 2
