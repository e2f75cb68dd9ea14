"""Attention with a memory of past frames, for several signals side by side, in the arithmetic of `exact`.

Each frame asks with a query q; each frame of the past, and the frame itself, answers with a key k and a value v:

    score_j = q . k_j / sqrt(d),      a_j = exp(score_j - max) / sum,      out = sum_j a_j v_j

in each of the heads, which divide the channels among them (Vaswani et al., arXiv 1706.03762, section 3.2). Keys and
values of the past never change, so they are kept: the *KV cache*. A frame sees `context` frames before itself and no
later one. A signal does not start with an empty past but with one frame of zeros, whose key and value are the
projections' biases; it is attended to, and passes out of sight, like any other frame (as in the official code).

The order of sums: scores over the channels of a head, from the first on; values from the oldest frame on.

Chapter 13 of the tutorials walks through it.
"""

from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.tile import WIDTH, run_tile_unfused
from tinyencodec.lm.exact import _exp, _sum, exp, total
from tinyencodec.system.compiler.jit import kernel

PANEL = 2 * WIDTH  # columns that one tile makes
_SPARE = 256  # frames of room beyond the context: how rarely the memory is moved


@dataclass
class KVCache:
    """Keys and values of one layer's past for B signals, laid out as the register tile reads its matrix.

    keys : float32 [B, heads, blocks, d, PANEL]: PANEL frames side by side
    values : float32 [B, heads, panels, frames, PANEL]: the d channels of a head side by side, filled up with zeros
    begin, end : the frames that are held, in places of these arrays; those before `begin` are out of sight
    """

    keys: np.ndarray
    values: np.ndarray
    context: int
    end: int = 0

    @classmethod
    def empty(cls, n_signals: int, n_heads: int, head_dim: int, context: int, room: int) -> "KVCache":
        """For `room` frames, or at least one more than the context has."""
        blocks = -(-min(room, context + 1 + _SPARE) // PANEL)
        panels = -(-head_dim // PANEL)
        return cls(np.zeros((n_signals, n_heads, blocks, head_dim, PANEL), np.float32),
                   np.zeros((n_signals, n_heads, panels, blocks * PANEL, PANEL), np.float32), context)

    @property
    def room(self) -> int:
        """Frames that can be appended before older ones must be forgotten."""
        return self.values.shape[3] - self.end

    def append(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Add T frames, float32 [B, T, heads, d] each; T is at most what `forget` makes room for."""
        n_signals, n_frames, n_heads, head_dim = keys.shape
        if n_frames > self.room:
            self.forget()
        for t in range(n_frames):
            self.keys[:, :, (self.end + t) // PANEL, :, (self.end + t) % PANEL] = keys[:, t]
        for panel in range(self.values.shape[2]):
            part = values[..., panel * PANEL:(panel + 1) * PANEL]
            self.values[:, :, panel, self.end:self.end + n_frames, :part.shape[-1]] = part.transpose(0, 2, 1, 3)
        self.end += n_frames

    def forget(self) -> None:
        """Move what is in sight to the front, by whole panels."""
        gone = max(0, self.end - self.context) // PANEL
        self.keys[:, :, :self.keys.shape[2] - gone] = self.keys[:, :, gone:].copy()
        self.values[:, :, :, :self.values.shape[3] - gone * PANEL] = self.values[:, :, :, gone * PANEL:].copy()
        self.end -= gone * PANEL


def attend(queries: np.ndarray, cache: KVCache) -> np.ndarray:
    """Answer the queries of the T frames appended last.

    queries : float32 [B, T, heads, d], C-contiguous, divided by sqrt(d) already

    Returns float32 [B, T, heads, d].
    """
    out = np.empty_like(queries)
    _attend(queries, cache.keys, cache.values, cache.end, cache.context, out, scratch_for(cache))
    return out


def scratch_for(cache: KVCache) -> np.ndarray:
    """Room for `_attend`: a panel of zeros, one for a result, and a frame's scores."""
    return np.zeros(2 * PANEL + cache.values.shape[3], np.float32)


def _attend_naive(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, end: int, context: int,
                  out: np.ndarray, scratch: np.ndarray) -> None:
    n_signals, n_frames, n_heads, head_dim = queries.shape
    keys = keys.transpose(0, 1, 3, 2, 4).reshape(n_signals, n_heads, head_dim, -1)  # [B, H, d, places]
    values = values.transpose(0, 1, 3, 2, 4).reshape(n_signals, n_heads, keys.shape[-1], -1)[..., :head_dim]
    for t in range(n_frames):
        last = end - n_frames + t + 1
        first = max(0, last - 1 - context)
        scores = np.zeros((n_signals, n_heads, last - first), np.float32)
        for i in range(head_dim):
            scores += queries[:, t, :, i, None] * keys[:, :, i, first:last]
        weights = exp(scores - scores.max(axis=-1, keepdims=True))
        weights = weights / total(weights)[..., None].astype(np.float32)
        answer = np.zeros((n_signals, n_heads, head_dim), np.float32)
        for j in range(last - first):
            answer += weights[..., j, None] * values[:, :, first + j]
        out[:, t] = answer


@kernel("void(f4[:,:,:,::1], f4[:,:,:,:,::1], f4[:,:,:,:,::1], i8, i8, f4[:,:,:,::1], f4[::1])",
        twin=_attend_naive)
def _attend(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, end: int, context: int, out: np.ndarray,
            scratch: np.ndarray) -> None:
    n_signals, n_frames, n_heads, head_dim = queries.shape
    n_panels, n_places = values.shape[2], values.shape[3]
    zeros, row, scores = scratch[:PANEL], scratch[PANEL:2 * PANEL], scratch[2 * PANEL:]
    for b in range(n_signals):
        for t in range(n_frames):
            last = end - n_frames + t + 1
            first = max(0, last - 1 - context)
            for head in range(n_heads):
                query = ((b * n_frames + t) * n_heads + head) * head_dim
                at = (b * n_heads + head) * n_places * head_dim
                for place in range(first // PANEL * PANEL, last, PANEL):
                    run_tile_unfused(1, PANEL, queries, query, 0, 1, 0, head_dim, keys, at + place * head_dim,
                                     zeros, 0, 0, scores, place, 0)
                seen = scores[first:last]
                largest = seen[0]
                for j in range(seen.size):
                    largest = max(largest, seen[j])
                for j in range(seen.size):
                    seen[j] = _exp(seen[j] - largest)
                whole = np.float32(_sum(seen))
                for j in range(seen.size):
                    seen[j] = seen[j] / whole
                for panel in range(n_panels):
                    at = (((b * n_heads + head) * n_panels + panel) * n_places + first) * PANEL
                    run_tile_unfused(1, PANEL, scores, first, 0, 1, 0, last - first, values, at,
                                     zeros, 0, 0, row, 0, 0)
                    for i in range(min(PANEL, head_dim - panel * PANEL)):
                        out[b, t, head, panel * PANEL + i] = row[i]
