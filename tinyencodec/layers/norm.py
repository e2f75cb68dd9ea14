"""Weight norm and group norm.

Weight norm (Salimans & Kingma, arXiv 1602.07868) stores a weight as a direction v and a length g,

    w = g * v / |v|,

one length per index of dimension 0. For a convolution, stored [out, in, kernel], that is the
output channel; for a transposed convolution, stored [in, out, kernel], it is the *input* channel.
It helps training only, so it is folded into w once, when a model is loaded.

Group norm with a single group (Wu & He, arXiv 1803.08494), `time_group_norm` in the configuration,
subtracts the mean and divides by the standard deviation of a whole segment, over time and
channels. An output then depends on the entire segment, which is why the 48 kHz model cannot work
on less than one.

Chapter 6 of the tutorials walks through it.
"""

import numpy as np

from tinyencodec.system.compiler.jit import kernel

EPSILON = 1e-5  # added to the variance, as in PyTorch
_RUN = 512  # floats


def fold_weight_norm(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    """w = g * v / |v|, float32, with |v| taken over all dimensions but the first.

    Parameters
    ----------
    g : [A, 1, 1]; v : [A, ...]. The result has v's shape.
    """
    length = np.sqrt(np.sum(np.square(v, dtype=np.float64), axis=tuple(range(1, v.ndim)), keepdims=True))
    return (g * (v / np.where(length == 0, 1, length))).astype(np.float32)


def group_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Normalise x [T, C] over time and channels together, then scale and shift each channel.

    x : float32, C-contiguous, overwritten with the result, which is also returned
    weight, bias : float32 [C]
    """
    assert x.dtype == np.float32 and x.flags.c_contiguous
    run = max(1, _RUN // x.shape[1])  # rows at a time: short inner loops are slow
    sums, squares = np.zeros(run * x.shape[1]), np.zeros(run * x.shape[1])
    _moments(x.reshape(-1), sums, squares)
    mean = sums.sum() / x.size
    variance = squares.sum() / x.size - mean * mean  # in float64, so little is lost by the difference
    gain = weight / np.sqrt(max(variance, 0) + EPSILON)
    shift = bias - mean * gain
    _scale_shift(x.reshape(-1), np.tile(gain, run).astype(np.float32), np.tile(shift, run).astype(np.float32))
    return x


def _moments_naive(x: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
    sums[0] += x.sum(dtype=np.float64)
    squares[0] += np.square(x, dtype=np.float64).sum()


@kernel("void(f4[::1], f8[::1], f8[::1])", twin=_moments_naive)
def _moments(x: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
    """Add x and its squares to many sums in turn: independent sums fill a vector register."""
    for start in range(0, x.size, sums.size):
        run = x[start:start + sums.size]
        for i in range(run.size):
            value = np.float64(run[i])
            sums[i] += value
            squares[i] += value * value


def _scale_shift_naive(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> None:
    at = np.arange(len(x)) % len(gain)
    x[:] = x * gain[at] + shift[at]


@kernel("void(f4[::1], f4[::1], f4[::1])", twin=_scale_shift_naive)
def _scale_shift(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> None:
    """x * gain + shift, with the two repeated over and over."""
    for start in range(0, x.size, gain.size):
        run = x[start:start + gain.size]
        for i in range(run.size):
            run[i] = run[i] * gain[i] + shift[i]
