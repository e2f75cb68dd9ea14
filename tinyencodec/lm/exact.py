"""Arithmetic that gives the same bits on every machine: all that the language model computes with.

An entropy decoder must find exactly the integers that the encoder had. If one of them, in a whole recording, differs
by one unit, everything after it is noise. So the language model is computed only from operations whose
result the standard IEEE 754 fixes to the last bit:

    + - * / and square root of float32 or float64, each rounded to nearest on its own;
    comparisons, conversions, and powers of two made from exponent bits.

Three things that make results differ elsewhere are ruled out. *The order of sums*: each sum here has one order,
written in its twin, however many rows, threads or vector lanes work on it. *Fusing* a product and a sum into one
rounding (FMA): compilers may not unless asked, and nothing here asks. *Library functions*: exp, erf, sin are not
fixed by the standard and change from one C library to the next, so they are made here from the operations above.
Integers follow as soon as the probabilities are known (`arithmetic`).

    exp(x)   2^n times the Taylor series of exp(r) to r^7,  n = round(x / ln 2),  r = x - n ln 2   (as in `activation`)
    erf(x)   x P(x^2) / Q(x^2), degrees 5 and 5, a minimax fit for |x| <= 3.92, beyond which erf is 1 in float32
    sin, cos their Taylor series on [-pi/4, pi/4]

`check_arithmetic` measures that the process it runs in obeys the standard; coders call it before they begin.

Chapter 13 of the tutorials walks through it.
"""

import math

import numpy as np

from tinyencodec.system.compiler.jit import inlined, kernel

VERSION = 1  # of the arithmetic; a change to any result here needs a new one

_f32 = np.float32
_LOG2E, _HALF, _ONE = _f32(1.44269504), _f32(0.5), _f32(1)
_LN2_HIGH, _LN2_LOW = _f32(0.693359375), _f32(-2.12194440e-4)  # n * high is exact; high + low = ln 2
_LOWEST = _f32(-60)  # exp(-60) is 9e-27: nothing beside 1, and far from the numbers too small to be normal
_TAYLOR = tuple(_f32(1 / math.factorial(n)) for n in range(7, -1, -1))  # of x^7, x^6, ... 1
_ERF_END = 3.92
_ERF_P = (2.050085294e-06, 0.000284880606, 0.003765560287, 0.0527485437, 0.1904052702, 1.128379146)  # of x^10 ... 1
_ERF_Q = (3.809158373e-05, 0.001162520224, 0.0149691031, 0.1141085982, 0.5020750184, 1.0)
_ROOT_HALF = 0.7071067811865476
_EPS = 1e-5  # of layer norm


# ---- elementary functions ----------------------------------------------------------------------------


@inlined
def _exp(x: np.float32) -> np.float32:
    x = max(x, _LOWEST)
    n = np.floor(x * _LOG2E + _HALF)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n by its exponent bits
    series = _TAYLOR[0] * r + _TAYLOR[1]
    for i in range(2, 8):
        series = series * r + _TAYLOR[i]
    return power * series


def exp(x: np.ndarray) -> np.ndarray:
    """exp of a float32 array of numbers up to 0, and exp(-60) below -60. The twin of the compiled `_exp`."""
    x = np.maximum(x, _LOWEST)
    n = np.floor(x * _LOG2E + _HALF)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    series = np.full_like(x, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        series = series * r + coefficient
    return np.ldexp(_ONE, n.astype(np.int32)) * series


def erf(x: np.ndarray) -> np.ndarray:
    """The error function of a float64 array, to 2e-8."""
    x = np.minimum(np.maximum(x, -_ERF_END), _ERF_END)
    return x * _polynomial(_ERF_P, x * x) / _polynomial(_ERF_Q, x * x)


@inlined
def _erf(x: float) -> float:
    x = min(max(x, -_ERF_END), _ERF_END)
    square = x * x
    p, q = _ERF_P[0] * square + _ERF_P[1], _ERF_Q[0] * square + _ERF_Q[1]
    for i in range(2, 6):
        p, q = p * square + _ERF_P[i], q * square + _ERF_Q[i]
    return x * p / q


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Horner's scheme, the highest power's coefficient first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


_QUARTER_HIGH, _QUARTER_LOW = 1.5707963267341256, 6.077100506506192e-11  # pi / 2; n * high is exact for n < 2**20
_SIN = tuple((-1) ** (n // 2) / math.factorial(n) for n in range(15, 0, -2))  # of x^15, x^13, ... x
_COS = tuple((-1) ** (n // 2) / math.factorial(n) for n in range(16, -1, -2))


def cos_sin(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of a float64 array of radians, 0 <= x < 1e6, to 1e-10."""
    n = np.floor(x / (_QUARTER_HIGH + _QUARTER_LOW) + 0.5)  # quarter turns
    r = (x - n * _QUARTER_HIGH) - n * _QUARTER_LOW
    cos, sin = _polynomial(_COS, r * r), r * _polynomial(_SIN, r * r)
    turn = n.astype(np.int64) % 4
    return (np.choose(turn, [cos, -sin, -cos, sin]), np.choose(turn, [sin, cos, -sin, -cos]))


# ---- sums --------------------------------------------------------------------------------------------


@inlined
def _at(x: np.ndarray, i: int) -> float:
    return np.float64(x[i]) if i < x.size else 0.0


@inlined
def _sum(x: np.ndarray) -> float:
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    whole = x.size & ~7
    for i in range(0, whole, 8):
        s0 += x[i]
        s1 += x[i + 1]
        s2 += x[i + 2]
        s3 += x[i + 3]
        s4 += x[i + 4]
        s5 += x[i + 5]
        s6 += x[i + 6]
        s7 += x[i + 7]
    return ((((((((s0 + _at(x, whole)) + (s1 + _at(x, whole + 1))) + (s2 + _at(x, whole + 2)))
               + (s3 + _at(x, whole + 3))) + (s4 + _at(x, whole + 4))) + (s5 + _at(x, whole + 5)))
             + (s6 + _at(x, whole + 6))) + (s7 + _at(x, whole + 7)))


def total(x: np.ndarray) -> np.ndarray:
    """Sums in float64 along the last axis: eight running sums, of every eighth number, then their sum in order."""
    x = np.pad(x.astype(np.float64), [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 8)])
    eighths = np.zeros((*x.shape[:-1], 8))
    for i in range(0, x.shape[-1], 8):
        eighths = eighths + x[..., i:i + 8]
    result = eighths[..., 0]
    for i in range(1, 8):
        result = result + eighths[..., i]
    return result


# ---- the parts of a transformer that are not products ------------------------------------------------


def add_norm(x: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: np.ndarray) -> None:
    """out = layer norm of x + y: rows of mean 0 and variance 1, times `weight`, plus `bias`. All float32 [M, D]."""
    _add_norm(x, y, weight, bias, out, np.empty((2, x.shape[1])))


def _add_norm_naive(x: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: np.ndarray,
                    scratch: np.ndarray) -> None:
    z = x + y  # [M, D]
    mean = total(z)[:, None] / z.shape[1]
    away = z.astype(np.float64) - mean
    spread = np.sqrt(total(away * away)[:, None] / z.shape[1] + _EPS)
    out[:] = (away / spread).astype(np.float32) * weight + bias


@kernel("void(f4[:,::1], f4[:,::1], f4[::1], f4[::1], f4[:,::1], f8[:,::1])", twin=_add_norm_naive)
def _add_norm(x: np.ndarray, y: np.ndarray, weight: np.ndarray, bias: np.ndarray, out: np.ndarray,
              scratch: np.ndarray) -> None:
    n_rows, dim = x.shape
    away, square = scratch[0], scratch[1]
    for m in range(n_rows):
        row_x, row_y, row_out = x[m], y[m], out[m]
        for i in range(dim):
            away[i] = row_x[i] + row_y[i]
        mean = _sum(away) / dim
        for i in range(dim):
            away[i] = away[i] - mean
            square[i] = away[i] * away[i]
        spread = np.sqrt(_sum(square) / dim + _EPS)
        for i in range(dim):
            row_out[i] = np.float32(away[i] / spread) * weight[i] + bias[i]


def _gelu_naive(x: np.ndarray) -> None:
    x[:] = (0.5 * x.astype(np.float64) * (1.0 + erf(x.astype(np.float64) * _ROOT_HALF))).astype(np.float32)


@kernel("void(f4[::1])", twin=_gelu_naive)
def gelu_in_place(x: np.ndarray) -> None:
    """x * Phi(x), Phi being the normal distribution: GELU in its exact form (Hendrycks, Gimpel, arXiv 1606.08415)."""
    for i in range(x.size):
        value = np.float64(x[i])
        x[i] = np.float32(0.5 * value * (1.0 + _erf(value * _ROOT_HALF)))


def _softmax_naive(x: np.ndarray) -> None:
    e = exp(x - x.max(axis=1, keepdims=True))
    x[:] = e / total(e)[:, None].astype(np.float32)


@kernel("void(f4[:,::1])", twin=_softmax_naive)
def softmax_in_place(x: np.ndarray) -> None:
    """Each row of float32 [M, N] becomes exp(row), divided by its sum."""
    for m in range(x.shape[0]):
        row = x[m]
        largest = row[0]
        for i in range(row.size):
            largest = max(largest, row[i])
        for i in range(row.size):
            row[i] = _exp(row[i] - largest)
        whole = np.float32(_sum(row))
        for i in range(row.size):
            row[i] = row[i] / whole


# ---- does this process obey? -------------------------------------------------------------------------

_PROBES = (  # x, y, z, and x y + z as IEEE 754 has it
    (1 + 2**-12, 1 + 2**-12, -1 - 2**-11, 0.0),  # rounded twice; with a fused product and sum 2**-24
    (1.0, 1.0, 2**-24, 1.0),  # a tie goes to the even neighbour: not up
    (1.0, 1 + 2**-23, 2**-24, 1 + 2**-22),  # but this one does
    (-1.0, 1.0, -(2**-25), -1.0),  # not away from zero, nor towards -infinity
    (2.0**-100, 2.0**-40, 0.0, 2.0**-140),  # a number too small to be normal is not flushed to zero
    (2.0**-140, 2.0**100, 0.0, 2.0**-40),  # nor taken for zero
)


def _probe_naive(x: np.ndarray, y: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
    out[:] = x * y + z


@kernel("void(f4[::1], f4[::1], f4[::1], f4[::1])", twin=_probe_naive)
def _probe(x: np.ndarray, y: np.ndarray, z: np.ndarray, out: np.ndarray) -> None:
    for i in range(x.size):
        out[i] = x[i] * y[i] + z[i]


def check_arithmetic() -> None:
    """Raise `ValueError` unless this thread computes as IEEE 754 says, compiled code and NumPy alike.

    Some libraries switch a thread to flushing small numbers to zero; it would then write what others cannot read.
    """
    x, y, z, expected = np.array(_PROBES, np.float32).T.copy()
    for name, probe in (("compiled code", _probe), ("NumPy", _probe_naive)):
        out = np.empty_like(x)
        probe(x, y, z, out)
        if (wrong := out.view(np.int32) != expected.view(np.int32)).any():
            i = int(wrong.argmax())
            raise ValueError(f"arithmetic: expected IEEE 754, where {x[i]!s} * {y[i]!s} + {z[i]!s} is {expected[i]!s}, "
                             f"got {out[i]!s} from {name}; the language model cannot be used here")
