"""Each layer fed in pieces against the same layer fed at once: the same bits."""

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.layers import conv, conv_transpose
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d
from tinyencodec.layers.lstm import LSTM
from tinyencodec.layers.residual import ResidualBlock
from tinyencodec.layers.stack import ELU, Stack
from tinyencodec.system.compiler import jit

# Lengths of pieces: empty, one sample, less than a stride, uneven.
partitions = st.lists(st.one_of(st.sampled_from([0, 1, 1, 2]), st.integers(0, 23)), min_size=1, max_size=12)
seeds = st.integers(0, 2**32 - 1)


def draw(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def assert_pieces_equal_whole(layer, channels, parts, random, late=False):
    """`late`: the end of the signal is only known after its last piece (an empty final step)."""
    length = max(1, sum(parts))
    x, starts = draw(random, length, channels), np.cumsum([0, *parts])
    rest, whole = x[starts[-1]:], layer(x)
    for long in (conv.LONG, 0):  # 0: a signal of any length goes through as it lies, apart from its ends
        with patch.object(conv, "LONG", long), patch.object(conv_transpose, "LONG", long):
            state = layer.start()
            pieces = [layer.step(x[a:b], state) for a, b in zip(starts, starts[1:])]
            pieces += [layer.step(rest, state), layer.flush(state)] if late else [layer.step(rest, state, last=True)]
        got = np.concatenate(pieces)
        assert got.shape == whole.shape
        if jit.JIT:
            different = np.argwhere(got != whole)
            assert not len(different), f"first difference at {tuple(different[0])}: {got[tuple(different[0])]} streamed"
        else:  # NumPy's own product may order a sum by the number of rows
            np.testing.assert_allclose(got, whole, rtol=0, atol=4e-6 * np.abs(whole).max())


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.booleans(), st.sampled_from(["reflect", "constant"]),
       partitions, st.booleans(), seeds)
def test_conv(kernel, stride, dilation, causal, pad_mode, parts, late, seed):
    random = np.random.default_rng(seed)
    layer = Conv1d(draw(random, 3, 2, max(kernel, stride)), draw(random, 3), stride=stride, dilation=dilation,
                   causal=causal, pad_mode=pad_mode)
    assert_pieces_equal_whole(layer, 2, parts, random, late)


@given(st.integers(1, 6), st.integers(0, 9), st.booleans(), st.sampled_from([0.0, 0.3, 0.5, 1.0]), partitions,
       st.booleans(), seeds)
def test_conv_transpose(stride, extra, causal, ratio, parts, late, seed):
    random = np.random.default_rng(seed)
    layer = ConvTranspose1d(draw(random, 2, 3, stride + extra), draw(random, 3), stride=stride, causal=causal,
                            trim_right_ratio=ratio if causal else 1.0)
    assert_pieces_equal_whole(layer, 2, parts, random, late)


def residual_block(random, channels, dilation, causal, shortcut, pad_mode="reflect"):
    half = channels // 2
    options = {"causal": causal, "pad_mode": pad_mode}
    return ResidualBlock(Conv1d(draw(random, half, channels, 3), draw(random, half), dilation=dilation, **options),
                         Conv1d(draw(random, channels, half, 1), draw(random, channels), **options),
                         Conv1d(draw(random, channels, channels, 1), draw(random, channels), **options)
                         if shortcut else None)


@given(st.integers(1, 4), st.booleans(), st.booleans(), partitions, st.booleans(), seeds)
def test_residual_block(dilation, causal, shortcut, parts, late, seed):
    random = np.random.default_rng(seed)
    assert_pieces_equal_whole(residual_block(random, 4, dilation, causal, shortcut), 4, parts, random, late)


@given(partitions, st.booleans(), seeds)
def test_lstm(parts, late, seed):
    random = np.random.default_rng(seed)
    shapes = ((20, 5), (20, 5), (20,), (20,))
    layer = LSTM([tuple(draw(random, *shape) for shape in shapes) for _ in range(2)])
    assert_pieces_equal_whole(layer, 5, parts, random, late)


@given(st.booleans(), st.sampled_from(["reflect", "constant"]), st.integers(2, 5), partitions, st.booleans(), seeds)
def test_down_and_up_again(causal, pad_mode, stride, parts, late, seed):
    random = np.random.default_rng(seed)
    options = {"causal": causal, "pad_mode": pad_mode}
    stack = Stack([Conv1d(draw(random, 4, 1, 7), draw(random, 4), **options),
                   residual_block(random, 4, 2, causal, True, pad_mode), ELU(),
                   Conv1d(draw(random, 6, 4, 2 * stride), draw(random, 6), stride=stride, **options), ELU(),
                   ConvTranspose1d(draw(random, 6, 4, 2 * stride), draw(random, 4), stride=stride, causal=causal),
                   ELU(),
                   Conv1d(draw(random, 1, 4, 7), draw(random, 1), **options)])
    assert_pieces_equal_whole(stack, 1, parts, random, late)
