"""The residual block: the kernel against its twin and against the layers that it is made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyencodec.layers import residual
from tinyencodec.layers.activation import elu, elu_in_place
from tinyencodec.layers.conv import Conv1d
from tinyencodec.system.compiler import jit


def block(random, channels, half, dilation, shortcut, causal=True):
    def conv(c_out, c_in, kernel, **options):
        weight = random.standard_normal((c_out, c_in, kernel)) / np.sqrt(c_in * kernel)
        return Conv1d(weight.astype(np.float32), random.standard_normal(c_out).astype(np.float32), causal=causal,
                      **options)

    return residual.ResidualBlock(conv(half, channels, 3, dilation=dilation), conv(channels, half, 1),
                                  conv(channels, channels, 1) if shortcut else None)


@pytest.mark.parametrize("shortcut", [True, False])
@given(channels=st.sampled_from([2, 4, 16, 32, 34, 128]), dilation=st.integers(1, 3), length=st.integers(1, 700),
       causal=st.booleans(), seed=st.integers(0, 99))
def test_equals_layer_after_layer(shortcut, channels, dilation, length, causal, seed):
    random = np.random.default_rng(seed)
    layer = block(random, channels, max(1, channels // 2), dilation, shortcut, causal)
    x = random.standard_normal((length, channels)).astype(np.float32)
    inner = elu(layer.first(elu(x)))
    start = x + layer.bias if layer.shortcut is None else layer.shortcut.valid(x, layer.bias)
    expected = layer.second.valid(inner, start)
    assert np.array_equal(layer.step(x, layer.start(), last=True, activate=True), elu_in_place(layer(x)))
    if jit.JIT:
        np.testing.assert_array_equal(layer(x), expected)  # the same sums in the same order
    else:
        np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.skipif(not jit.JIT, reason="compares the compiled kernel")
@given(channels=st.integers(1, 40), dilation=st.integers(1, 3), length=st.integers(1, 300), shortcut=st.booleans(),
       activate=st.booleans(), seed=st.integers(0, 99))
def test_kernel_equals_its_twin(channels, dilation, length, shortcut, activate, seed):
    random = np.random.default_rng(seed)
    layer = block(random, channels, max(1, channels // 2), dilation, shortcut)
    x, first = random.standard_normal((length, channels)).astype(np.float32), layer.first
    ours, twin = np.empty((2, length - first.span + 1 if length >= first.span else 0, channels), np.float32)
    for kernel, y in ((residual._block, ours), (residual._block.twin, twin)):
        kernel(x.reshape(-1), channels, first.pad_left, first.kernel_size, dilation, first.group, y.reshape(-1),
               layer._rows, np.empty(layer._room, np.float32), *layer._weights, activate)
    np.testing.assert_allclose(ours, twin, rtol=0, atol=1e-5 * max(1, np.abs(twin).max(initial=0)))
