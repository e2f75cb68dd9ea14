"""The language model: a transformer that guesses each frame's codes from the frames before it.

One step per frame, all codebooks at once. With the codes c_1 ... c_K of the frame before (row 0 of each table stands
for "no frame yet"),

    x = emb_1[1 + c_1] + ... + emb_K[1 + c_K]
    x = norm(x) + waves(t)                      position t as cosines and sines of rising period
    for each layer:
        x = norm(x + attention(x))              over this frame and `past_context` before it (`attention`)
        x = norm(x + W2 gelu(W1 x))
    p_k = softmax(head_k x)                     N probabilities for each codebook k

The guess for codebook k does not see codebooks 1 ... k-1 of its own frame: that makes it a single step per frame.
(Paper, section 3.3; official `LMModel` with `StreamingTransformerEncoder`.)

Every number here is computed in the arithmetic of `exact`, so that two machines agree on every bit of it, and frames
may be given one by one or many together, for one signal or many side by side: the same bits.

Chapter 13 of the tutorials walks through it.
"""

import decimal
import functools
import hashlib
import json
from collections.abc import Mapping

import numpy as np

from tinyencodec.lm.attention import KVCache, attend
from tinyencodec.lm.config import LMConfig
from tinyencodec.lm.exact import add_norm, cos_sin, gelu_in_place, softmax_in_place
from tinyencodec.lm.exact_matmul import Affine
from tinyencodec.system.compiler.jit import kernel

_AT_ONCE = 128  # frames that go through the layers together
_WAVES = 512  # positions whose waves are computed at once


class LMState:
    """What the model remembers of B signals: each layer's past, and how many frames there have been."""

    def __init__(self, caches: list[KVCache]) -> None:
        self.caches, self.n_frames = caches, 0


class LanguageModel:
    """A language model of EnCodec codes.

    Attributes
    ----------
    config
    id : 16 hex digits that change with any change of a number or of the configuration

    """

    def __init__(self, config: LMConfig, tensors: Mapping[str, np.ndarray]) -> None:
        tensors = {name: np.ascontiguousarray(tensors[name], np.float32) for name in config.tensors()}
        self.config, self.id = config, _content_id(config, tensors)
        self._embedding = np.stack([tensors[f"emb.{k}.weight"] for k in range(config.n_codebooks)])  # [K, N + 1, D]
        self._norm_in = _both(tensors, "transformer.norm_in")
        self._layers = [_Layer(config, tensors, f"transformer.layers.{i}") for i in range(config.n_layers)]
        weights, biases = zip(*(_both(tensors, f"linears.{k}") for k in range(config.n_codebooks)))
        self._head_weights, self._head_biases = np.concatenate(weights).T, np.concatenate(biases)  # [D, K * N], [K * N]
        self._heads = functools.lru_cache(4)(self._pack_heads)
        self._waves = functools.lru_cache(4)(functools.partial(_waves, config.dim, config.max_period))

    def start(self, n_signals: int = 1, n_frames: int | None = None) -> LMState:
        """The state before the first frame of B signals; of at most `n_frames` frames, if that is known."""
        config = self.config
        room = (1 << 60 if n_frames is None else n_frames) + 1
        caches = [KVCache.empty(n_signals, config.n_heads, config.dim // config.n_heads, config.past_context, room)
                  for _ in self._layers]
        for cache, layer in zip(caches, self._layers):
            nothing = np.zeros((n_signals, 1, config.dim), np.float32)
            cache.append(*layer.project(nothing)[1:])
        return LMState(caches)

    def step(self, codes: np.ndarray, state: LMState) -> np.ndarray:
        """Advance by T frames.

        Parameters
        ----------
        codes : integers [B, K, T], 0 to N - 1 in the frames *before* those to be guessed; -1 for "no frame yet",
            which is what each signal begins with
        state : of these B signals; changed by the call

        Returns
        -------
        float32 [B, T, K, N]: the probabilities of each code of these frames.
        """
        n_signals, n_codebooks, n_frames = codes.shape
        if n_frames > _AT_ONCE:
            parts = [self.step(codes[:, :, t:t + _AT_ONCE], state) for t in range(0, n_frames, _AT_ONCE)]
            return np.concatenate(parts, axis=1)
        x = np.empty((n_signals * n_frames, self.config.dim), np.float32)
        rows = np.ascontiguousarray(codes.transpose(0, 2, 1).reshape(-1, n_codebooks), np.int64)  # [B * T, K]
        if rows.min() < -1 or rows.max() >= self.config.codebook_size or n_codebooks > self.config.n_codebooks:
            raise ValueError(f"codes: expected at most {self.config.n_codebooks} codebooks of -1 to "
                             f"{self.config.codebook_size - 1}, got {n_codebooks} of {rows.min()} to {rows.max()}")
        _embed(rows, self._embedding, x)
        add_norm(x, np.zeros_like(x), *self._norm_in, x)
        x = x.reshape(n_signals, n_frames, -1)
        x = x + self._positions(state.n_frames, n_frames)
        for layer, cache in zip(self._layers, state.caches):
            x = layer(x, cache)
        state.n_frames += n_frames
        logits = self._heads(n_codebooks)(x.reshape(-1, self.config.dim))
        p = logits.reshape(-1, self.config.codebook_size)
        softmax_in_place(p)
        return p.reshape(n_signals, n_frames, n_codebooks, -1)

    def _positions(self, first: int, n_frames: int) -> np.ndarray:
        """The waves of positions first ... first + n_frames - 1, float32 [T, D]."""
        chunks = range(first // _WAVES, (first + n_frames - 1) // _WAVES + 1)
        waves = np.concatenate([self._waves(chunk) for chunk in chunks]) if len(chunks) > 1 else self._waves(chunks[0])
        return waves[first % _WAVES:][:n_frames]

    def _pack_heads(self, n_codebooks: int) -> Affine:
        n = n_codebooks * self.config.codebook_size
        return Affine.pack(self._head_weights[:, :n], self._head_biases[:n])


class _Layer:
    def __init__(self, config: LMConfig, tensors: Mapping[str, np.ndarray], place: str) -> None:
        self.n_heads = config.n_heads
        self.scale = np.float32(1 / np.sqrt(config.dim // config.n_heads))
        self.in_proj = Affine.pack(tensors[f"{place}.self_attn.in_proj_weight"].T,
                                   tensors[f"{place}.self_attn.in_proj_bias"])
        self.out_proj, self.linear1, self.linear2 = (
            Affine.pack(weight.T, bias) for weight, bias in (_both(tensors, f"{place}.{name}") for name in (
                "self_attn.out_proj", "linear1", "linear2")))
        self.norm1, self.norm2 = _both(tensors, f"{place}.norm1"), _both(tensors, f"{place}.norm2")

    def project(self, x: np.ndarray) -> list[np.ndarray]:
        """Queries, keys and values [B, T, heads, d] of x [B, T, D]."""
        n_signals, n_frames, dim = x.shape
        rows = self.in_proj(x.reshape(-1, dim)).reshape(n_signals, n_frames, 3, self.n_heads, -1)
        return [rows[:, :, i] for i in range(3)]

    def __call__(self, x: np.ndarray, cache: KVCache) -> np.ndarray:
        shape = x.shape
        queries, keys, values = self.project(x)
        cache.append(keys, values)
        x = x.reshape(-1, shape[-1])
        heard = self.out_proj(attend(queries * self.scale, cache).reshape(x.shape))
        add_norm(x, heard, *self.norm1, heard)
        hidden = self.linear1(heard)
        gelu_in_place(hidden.reshape(-1))
        out = self.linear2(hidden)
        add_norm(heard, out, *self.norm2, out)
        return out.reshape(shape)


def _embed_naive(rows: np.ndarray, tables: np.ndarray, out: np.ndarray) -> None:
    out[:] = 0
    for k in range(rows.shape[1]):
        out += tables[k, 1 + rows[:, k]]


@kernel("void(i8[:,::1], f4[:,:,::1], f4[:,::1])", twin=_embed_naive)
def _embed(rows: np.ndarray, tables: np.ndarray, out: np.ndarray) -> None:
    for m in range(rows.shape[0]):
        row = out[m]
        row[:] = 0
        for k in range(rows.shape[1]):
            entry = tables[k, 1 + rows[m, k]]
            for i in range(row.size):
                row[i] += entry[i]


def _waves(dim: int, max_period: float, chunk: int) -> np.ndarray:
    """Positions chunk * _WAVES on: float32 [_WAVES, D], cos(t / period_i) for i < D / 2, then the sines.

    period_i = max_period ** (i / (D / 2 - 1)), rounded to float32, as is the quotient.
    """
    half = dim // 2
    with decimal.localcontext(decimal.Context(prec=40)):  # decimal's ln and exp are defined to the last digit
        log = decimal.Decimal(max_period).ln()
        powers = [(log * decimal.Decimal(float(np.float32(i) / np.float32(half - 1)))).exp() for i in range(half)]
        periods = np.array([float(power) for power in powers], np.float32)
    t = np.arange(chunk * _WAVES, (chunk + 1) * _WAVES, dtype=np.float32)
    cos, sin = cos_sin((t[:, None] / periods).astype(np.float64))
    return np.concatenate([cos, sin], axis=1).astype(np.float32)


def _both(tensors: Mapping[str, np.ndarray], place: str) -> tuple[np.ndarray, np.ndarray]:
    return tensors[f"{place}.weight"], tensors[f"{place}.bias"]


def _content_id(config: LMConfig, tensors: Mapping[str, np.ndarray]) -> str:
    fields = {**config.to_dict(), "max_period": float(config.max_period)}  # 10000 and 10000.0 are one
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].astype("<f4").tobytes())
    return digest.hexdigest()[:16]
