"""Beam search: the codes of a frame chosen together, where the greedy algorithm of `rvq` takes one after the other.

The nearest entry of a codebook is not always the one that leaves least to the codebooks after it. So the B best choices
of the first k codes are kept, and each is extended by every entry of codebook k + 1:

    cost(i_1 ... i_k) = |z - e_1[i_1] - ... - e_k[i_k]|^2 / 2  +  penalty_1[i_1] + ... + penalty_k[i_k]

Of the B N extensions the B cheapest go on, and after the last codebook the cheapest of all wins. Their costs are one
matrix product, as in `rvq`: with r what a choice leaves,  |r - e|^2 / 2 = |r|^2 / 2 - (r . e - |e|^2 / 2).

The first of the B is always the greedy choice, which each codebook extends by its own cheapest entry: without penalties
the one of `rvq`. So the result never costs more, which plain beam search does not promise. On a tie the earlier choice
wins, then the lower entry. Frames do not depend on each other.

A penalty is what an entry costs besides its error: its bits, where a file is entropy-coded. (Beam search over sums of
entries: Babenko, Lempitsky, CVPR 2014; with neural codecs: arXiv 2509.19186. The official code is greedy.)

Chapter 15 of the tutorials walks through it.
"""

from collections.abc import Iterable

import numpy as np

from tinyencodec.kernels.gemm import PackedMatrix
from tinyencodec.kernels.tile import ROWS, WIDTH, rows_at_once, run_tile
from tinyencodec.system.compiler.jit import inlined, kernel
from tinyencodec.system.errors import require

MOST = 256  # choices that may be kept
_COST, _ROW = 32, 20  # where a choice's key has its cost and its row; the entry is below
_ROW_MASK, _ENTRY_MASK = (1 << _COST - _ROW) - 1, (1 << _ROW) - 1
_PANEL = 2 * WIDTH  # entries compared at a time
_ROWS = 512  # choices extended at a time: what they leave is a quarter of a mebibyte


def check_search(search: int) -> int:
    """The number of choices to keep; `ValueError` unless it is a whole number from 1 to MOST."""
    whole = isinstance(search, int | np.integer) and not isinstance(search, bool)
    require(whole and 1 <= search <= MOST, "search", f"a whole number from 1 to {MOST}", search)
    return int(search)


def beam_search(z: np.ndarray, codebooks: Iterable[tuple[np.ndarray, PackedMatrix, np.ndarray]], width: int,
                penalties: np.ndarray | None = None) -> np.ndarray:
    """The codes of latents, chosen together.

    Parameters
    ----------
    z : float32 [F, D]
    codebooks : of each, its entries float32 [N, D], the same packed as [D, N], and -|entry|^2 / 2, float32 [N]
    width : B, choices that are kept
    penalties : float32 [K, F, N], or [K, 1, N] for all frames alike, in the unit of half a squared error; None: none

    Returns
    -------
    int32 [K, F]
    """
    codebooks = list(codebooks)
    if penalties is None:
        penalties = np.zeros((len(codebooks), 1, len(codebooks[0][0])), np.float32)
    step = max(1, _ROWS // width)
    parts = [_search(z[start:start + step], codebooks, width,
                     penalties if penalties.shape[1] == 1 else penalties[:, start:start + step])
             for start in range(0, len(z), step)]
    return np.concatenate([np.zeros((len(codebooks), 0), np.int32), *parts], axis=1)


def _search(z: np.ndarray, codebooks: list, width: int, penalties: np.ndarray) -> np.ndarray:
    left = np.array(z, np.float32, order="C")  # [F B, D], what each choice leaves; one choice per frame at first
    costs, codes = half_squares(left), np.zeros((len(z), 0), np.int64)  # of each choice
    for k, (entries, matrix, half_norms) in enumerate(codebooks):
        last = k == len(codebooks) - 1  # then the greedy choice and the cheapest are enough
        n = len(z) * min(2 if last else width, len(entries) ** (k + 1))
        parents, entry = np.empty((2, n), np.int64)
        extended, rest = np.empty(n, np.float32), np.empty((n, z.shape[1]), np.float32)
        _extend(left, costs, entries, matrix.data, half_norms, np.ascontiguousarray(penalties[k]), len(z), parents,
                entry, extended, rest, *_room(len(z), n // max(1, len(z))))
        left, costs, codes = rest, extended, np.concatenate([codes[parents], entry[:, None]], axis=1)
    best, spent = np.empty(len(z), np.int64), np.zeros(len(left))
    frame = np.repeat(np.arange(len(z)), len(left) // max(1, len(z)))
    for penalty, column in zip(penalties, codes.T):
        spent += penalty[frame if len(penalty) > 1 else 0, column]
    _cheapest(left, spent, best)
    return np.ascontiguousarray(codes[best].T.astype(np.int32))


def _room(n_frames: int, kept: int) -> tuple[np.ndarray, ...]:
    """What `_extend` works in: a tile of scores and a bias, and of each frame its keys, greedy entry and its score."""
    return (np.zeros((ROWS + 1) * _PANEL, np.float32), np.empty((n_frames, kept), np.int64),
            np.zeros(n_frames, np.int64), np.full(n_frames, -np.inf, np.float32))


def half_squares(x: np.ndarray) -> np.ndarray:
    """|x|^2 / 2 of each row of float32 [R, D], summed in float64 from the first number on and rounded: float32 [R]."""
    out = np.empty(len(x), np.float32)
    _half_squares(np.ascontiguousarray(x), out)
    return out


def _half_squares_naive(x: np.ndarray, out: np.ndarray) -> None:
    out[:] = 0.5 * np.square(x, dtype=np.float64).sum(axis=1)


@kernel("void(f4[:,::1], f4[::1])", twin=_half_squares_naive)
def _half_squares(x: np.ndarray, out: np.ndarray) -> None:
    for r in range(len(x)):
        square = 0.0
        for i in range(x.shape[1]):
            square += np.float64(x[r, i]) * np.float64(x[r, i])
        out[r] = 0.5 * square


def _cheapest_naive(left: np.ndarray, spent: np.ndarray, best: np.ndarray) -> None:
    costs = (0.5 * np.square(left, dtype=np.float64).sum(axis=1) + spent).reshape(len(best), -1)
    best[:] = costs.argmin(axis=1) + costs.shape[1] * np.arange(len(best))


@kernel("void(f4[:,::1], f8[::1], i8[::1])", twin=_cheapest_naive)
def _cheapest(left: np.ndarray, spent: np.ndarray, best: np.ndarray) -> None:
    """The first choice of the least cost in each frame, from what is left after all codebooks: no rounding adds up."""
    width = len(left) // len(best)
    for f in range(len(best)):
        least, best[f] = np.inf, f * width
        for r in range(f * width, (f + 1) * width):
            square = 0.0
            for i in range(left.shape[1]):
                square += np.float64(left[r, i]) * np.float64(left[r, i])
            if 0.5 * square + spent[r] < least:
                least, best[f] = 0.5 * square + spent[r], r


@inlined
def _key(cost: np.float32, row: int, entry: int) -> np.int64:
    """An integer that orders choices by cost, then row, then entry: floats from 0 up are in the order of their bits."""
    return np.int64(np.float32(cost).view(np.int32)) << _COST | row << _ROW | entry


@inlined
def _cost(key: np.int64) -> np.float32:
    return np.int32(key >> _COST).view(np.float32)


def _extend_naive(left: np.ndarray, costs: np.ndarray, entries: np.ndarray, matrix: np.ndarray, half_norms: np.ndarray,
                  penalty: np.ndarray, n_frames: int, parents: np.ndarray, entry: np.ndarray, extended: np.ndarray,
                  rest: np.ndarray, *room: np.ndarray) -> None:
    width, kept = len(left) // n_frames, len(parents) // n_frames
    for f in range(n_frames):
        old, new = slice(f * width, (f + 1) * width), slice(f * kept, (f + 1) * kept)
        scores = left[old] @ entries.T + half_norms - penalty[f if len(penalty) > 1 else 0]  # [B, N]
        after = np.maximum(costs[old, None] - scores, 0).ravel()
        greedy, order = scores[0].argmax(), np.argsort(after, kind="stable")
        chosen = np.array([greedy, *order[order != greedy]][:kept])
        parents[new], entry[new] = f * width + chosen // len(entries), chosen % len(entries)
        extended[new] = after[chosen]
        rest[new] = left[parents[new]] - entries[entry[new]]


@kernel("void(f4[:,::1], f4[::1], f4[:,::1], f4[::1], f4[::1], f4[:,::1], i8, i8[::1], i8[::1], f4[::1], f4[:,::1], "
        "f4[::1], i8[:,::1], i8[::1], f4[::1])", twin=_extend_naive)
def _extend(left: np.ndarray, costs: np.ndarray, entries: np.ndarray, matrix: np.ndarray, half_norms: np.ndarray,
            penalty: np.ndarray, n_frames: int, parents: np.ndarray, entry: np.ndarray, extended: np.ndarray,
            rest: np.ndarray, tile: np.ndarray, cheapest: np.ndarray, greedy: np.ndarray,
            greedy_score: np.ndarray) -> None:
    """Extend choices by every entry of a codebook, and fill in those that go on.

    left [F B, D], costs [F B] : of the choices: what they leave, and their costs. Those of a frame lie side by side,
        the greedy one first
    matrix, half_norms, penalty : the packed entries, their -|e|^2 / 2, and [F or 1, N]
    parents, entry, extended, rest : of those that go on, [F B'] and [F B', D]: the choice that was extended, by which
        entry, costs, and what they leave; of each frame the greedy one first and then the cheapest
    tile, cheapest, greedy, greedy_score : as `_room` makes them
    """
    n_entries, dim, zero = len(entries), left.shape[1], np.float32(0)
    width, kept = len(left) // n_frames, len(parents) // n_frames
    bias = ROWS * _PANEL  # where it lies in `tile`
    for f in range(n_frames):
        for i in range(kept):
            cheapest[f, i] = _key(np.float32(np.inf), 0, 0)  # sorted
    for column in range(0, n_entries, _PANEL):
        columns = min(_PANEL, n_entries - column)
        panel = _PANEL if columns > WIDTH else WIDTH
        for j in range(columns):
            tile[bias + j] = half_norms[column + j]
        row = 0
        while row < len(left):
            rows = rows_at_once(len(left) - row)
            run_tile(rows, panel, left, row * dim, dim, 1, 0, dim, matrix, dim * column, tile, bias, 0, tile, 0, panel)
            for r in range(row, row + rows):
                f = r // width
                scores, fees = tile[(r - row) * panel:][:columns], penalty[f * (len(penalty) > 1), column:][:columns]
                cost, most, best, found = costs[r], _cost(cheapest[f, kept - 1]), np.float32(np.inf), np.int32(0)
                if r == f * width:
                    best = greedy_score[f]
                for j in range(columns):  # run by vector units; few entries get further
                    score = scores[j] - fees[j]
                    found |= np.int32(cost - score <= most) | np.int32(score > best)
                if not found:
                    continue
                for j in range(columns):
                    score = scores[j] - fees[j]
                    if score > best:
                        best, greedy_score[f], greedy[f] = score, score, column + j
                    if cost - score <= most:
                        key = _key(max(cost - score, zero), r, column + j)
                        for i in range(kept):
                            key, cheapest[f, i] = max(key, cheapest[f, i]), min(key, cheapest[f, i])
                        most = _cost(cheapest[f, kept - 1])
            row += rows
    for f in range(n_frames):
        chosen, place = cheapest[f], kept - 1
        wanted = _key(max(costs[f * width] - greedy_score[f], zero), f * width, greedy[f])
        for i in range(kept):
            if chosen[i] == wanted:
                place = i
        for i in range(place, 0, -1):
            chosen[i] = chosen[i - 1]
        chosen[0] = wanted
        for i in range(kept):
            n = f * kept + i
            parents[n], entry[n], extended[n] = chosen[i] >> _ROW & _ROW_MASK, chosen[i] & _ENTRY_MASK, _cost(chosen[i])
            after, before, less = rest[n], left[parents[n]], entries[entry[n]]
            for d in range(dim):
                after[d] = before[d] - less[d]
