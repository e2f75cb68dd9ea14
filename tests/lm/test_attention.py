"""Attention with a cache: a window over the past that can be fed in any pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tinyencodec.lm.attention import KVCache, _attend, attend, scratch_for
from tinyencodec.system.compiler.jit import JIT


def draw(seed, n_signals, n_frames, n_heads, head_dim):
    return [np.random.default_rng([seed, i]).standard_normal((n_signals, n_frames, n_heads, head_dim), np.float32)
            for i in range(3)]


def in_pieces(queries, keys, values, context, cuts, room=1 << 40):
    """Attention of each frame to itself and `context` before, the frames coming in pieces of these sizes."""
    n_signals, n_frames, n_heads, head_dim = queries.shape
    cache, outs, start = KVCache.empty(n_signals, n_heads, head_dim, context, room), [], 0
    for size in cuts:
        end = start + size
        cache.append(keys[:, start:end], values[:, start:end])
        outs.append(attend(np.ascontiguousarray(queries[:, start:end]), cache))
        start = end
    assert start == n_frames
    return np.concatenate(outs, axis=1)


def by_definition(queries, keys, values, context):
    out = np.empty(queries.shape)
    for t in range(queries.shape[1]):
        seen = slice(max(0, t - context), t + 1)
        scores = np.einsum("bhd,bjhd->bhj", queries[:, t].astype(np.float64), keys[:, seen])
        out[:, t] = np.einsum("bhj,bjhd->bhd", special.softmax(scores, axis=-1), values[:, seen])
    return out


@pytest.mark.parametrize("n_signals, n_heads, head_dim, context",
                         [(1, 1, 1, 1), (2, 3, 5, 7), (3, 2, 25, 40), (1, 1, 70, 9)])
def test_against_the_definition(n_signals, n_heads, head_dim, context):
    signals = draw(0, n_signals, 90, n_heads, head_dim)
    out = in_pieces(*signals, context, [90])
    np.testing.assert_allclose(out, by_definition(*signals, context), rtol=0, atol=2e-5)


@settings(max_examples=100 if JIT else 10)
@given(st.integers(1, 40), st.lists(st.sampled_from([1, 1, 2, 7, 31, 64, 128]), min_size=1, max_size=9),
       st.integers(0, 9))
def test_pieces_do_not_matter(context, cuts, seed):
    """However the frames are cut, and whenever the cache moves what it holds: the same bits."""
    n_frames = sum(cuts)
    signals = draw(seed, 2, n_frames, 2, 3)
    out = in_pieces(*signals, context, cuts)
    np.testing.assert_array_equal(out, in_pieces(*signals, context, [1] * n_frames))
    np.testing.assert_array_equal(out, in_pieces(*signals, context, cuts, room=n_frames))


def test_a_long_walk_keeps_its_memory_small():
    signals = draw(1, 1, 1500, 1, 2)
    cache = KVCache.empty(1, 1, 2, 10, 1 << 40)
    before = cache.values.nbytes
    out = []
    for t in range(1500):
        cache.append(*(x[:, t:t + 1] for x in signals[1:]))
        out.append(attend(signals[0][:, t:t + 1], cache))
    assert cache.values.nbytes == before
    np.testing.assert_allclose(np.concatenate(out, 1), by_definition(*signals, 10), rtol=0, atol=2e-5)


@pytest.mark.skipif(not JIT, reason="the twin runs in the kernel's place")
@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 4), st.integers(1, 40), st.integers(0, 80))
def test_kernel_equals_its_twin(n_signals, n_frames, n_heads, head_dim, context):
    queries, keys, values = draw(2, n_signals, n_frames, n_heads, head_dim)
    cache = KVCache.empty(n_signals, n_heads, head_dim, context, n_frames)
    ours, twin = np.empty_like(queries), np.empty_like(queries)
    cache.append(keys, values)
    for kernel, out in ((_attend, ours), (_attend.twin, twin)):
        kernel(queries, cache.keys, cache.values, cache.end, context, out, scratch_for(cache))
    np.testing.assert_array_equal(ours.view(np.int32), twin.view(np.int32))
