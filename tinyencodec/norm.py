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
"""

import numpy as np

_EPSILON = 1e-5  # added to the variance, as in PyTorch


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

    weight, bias : float32 [C]. Returns float32 [T, C].
    """
    mean = x.mean(dtype=np.float64)
    variance = np.square(x - np.float32(mean)).mean(dtype=np.float64)
    gain = weight / np.float32(np.sqrt(variance + _EPSILON))
    return x * gain + (bias - np.float32(mean) * gain)
