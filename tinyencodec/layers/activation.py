"""The three nonlinearities, all from one function: expm1(x) = exp(x) - 1.

    ELU(x)     = max(x, 0) + expm1(min(x, 0))
    sigmoid(x) = 1 / (2 + expm1(-x))
    tanh(x)    = e / (e + 2),  e = expm1(2x)

Starting from expm1 instead of exp keeps small values accurate: near zero exp(x) - 1 would cancel.
Our own expm1 uses only fused multiply-adds, additions and powers of two, so compilers turn the loop
into vector instructions and every machine computes the same bits. With n = round(x / ln 2) and
r = x - n ln 2,

    expm1(x) = 2^n expm1(r) + (2^n - 1),     |r| <= ln 2 / 2,

and expm1(r) is its Taylor series to r^7 (the first term left out is below 6e-9).
ELU: Clevert et al., arXiv 1511.07289, with alpha = 1.

Chapter 6 of the tutorials walks through it.
"""

import numpy as np

from tinyencodec.system.compiler.jit import emitted, inlined, kernel

_f32 = np.float32
_LOG2E = _f32(1.44269504)
_LN2_HIGH, _LN2_LOW = _f32(0.693359375), _f32(-2.12194440e-4)  # n * high is exact; high + low = ln 2
_C2, _C3, _C4, _C5, _C6, _C7 = (_f32(1 / 2), _f32(1 / 6), _f32(1 / 24), _f32(1 / 120), _f32(1 / 720), _f32(1 / 5040))
_ONE, _TWO, _ZERO, _HALF = _f32(1), _f32(2), _f32(0), _f32(0.5)
_LOWEST, _HIGHEST = _f32(-87), _f32(87)  # beyond, float32 saturates: exp(-87) is 1e-38, exp(87) is 6e37


_fma = emitted("tinyencodec.system.compiler.tile_code", "fma")  # a * b + c with one rounding


@inlined
def _expm1(x: np.float32) -> np.float32:
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(_fma(x, _LOG2E, _HALF))
    r = _fma(n, -_LN2_LOW, _fma(n, -_LN2_HIGH, x))
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n by its exponent bits
    series = _fma(r, _C7, _C6)
    for coefficient in (_C5, _C4, _C3, _C2):
        series = _fma(r, series, coefficient)
    return _fma(power, _fma(r * r, series, r), power - _ONE)


@inlined
def _sigmoid(x: np.float32) -> np.float32:
    return _ONE / (_TWO + _expm1(-x))


@inlined
def _tanh(x: np.float32) -> np.float32:
    e = _expm1(_TWO * min(max(x, _f32(-20)), _f32(20)))  # tanh(20) is 1 in float32
    return e / (e + _TWO)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), plain NumPy: the twin of the compiled `_sigmoid`."""
    return 1 / (2 + np.expm1(-np.clip(x, _LOWEST, _HIGHEST)))


def tanh(x: np.ndarray) -> np.ndarray:
    """Hyperbolic tangent, plain NumPy: the twin of the compiled `_tanh`."""
    return np.tanh(x)


def elu(x: np.ndarray) -> np.ndarray:
    """ELU of a float32 array of any shape, accurate to a few units in the last place."""
    assert x.dtype == np.float32
    out = np.empty(x.shape, np.float32)
    _elu(np.ascontiguousarray(x).reshape(-1), out.reshape(-1))
    return out


def elu_in_place(x: np.ndarray) -> np.ndarray:
    """Overwrite a C-contiguous float32 array with its ELU, and return it."""
    assert x.dtype == np.float32 and x.flags.c_contiguous
    _elu_in_place(x.reshape(-1))
    return x


@inlined
def elu_of(x: np.float32) -> np.float32:
    """For kernels. Their loops over it run in vectors if they read one array and write another, or the same by name."""
    return max(x, _ZERO) + _expm1(min(x, _ZERO))


def _elu_naive(x: np.ndarray, out: np.ndarray) -> None:
    out[:] = np.maximum(x, 0) + np.expm1(np.minimum(x, 0))


@kernel("void(f4[::1], f4[::1])", twin=_elu_naive)
def _elu(x: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = elu_of(x[i])


def _elu_in_place_naive(x: np.ndarray) -> None:
    _elu_naive(x, x)


@kernel("void(f4[::1])", twin=_elu_in_place_naive)
def _elu_in_place(x: np.ndarray) -> None:
    for i in range(x.size):
        x[i] = elu_of(x[i])
