"""The transposed convolution, the upsampler: each input adds a copy of the kernel to the output.

    y[t*s + j, o] += sum_c  x[t, c] * w[c, o, j],        0 <= j < kernel, and the bias once per output

It is an ordinary convolution in disguise: with kernel k = n*s, output block t (s samples) is a sum over the inputs
t-n+1 ... t. That is a stride-1 convolution of kernel n, whose s * C_out outputs are the s samples side by side: in
time-major memory they are already in place.

**Streaming.** Output block t needs no input after t, so `step` holds nothing back. The state keeps the inputs that
reach into the next blocks.

Chapter 4 of the tutorials walks through it.
"""

import math
from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.gemm import gemm, pack
from tinyencodec.layers.conv import LONG, pad
from tinyencodec.layers.layer import Layer
from tinyencodec.layers.norm import group_norm


@dataclass
class ConvTransposeState:
    """Where a transposed convolution stands in its signal.

    buffer : float32 [taps - 1, C_in], the latest inputs, which reach into outputs yet to come
    seen : inputs so far
    made : outputs so far, those trimmed at the start included
    """

    buffer: np.ndarray
    seen: int = 0
    made: int = 0


class ConvTranspose1d(Layer):
    """Transposed convolution with EnCodec's trimming, and a group norm if the model has one.

    The full output has (T - 1) * stride + kernel samples; kernel - stride of them are trimmed, in a
    causal model on the right (all of them if `trim_right_ratio` is 1), else on both sides. A group
    norm acts before the trimming. T inputs give T * stride outputs. (Official code:
    `SConvTranspose1d`.)

    Parameters
    ----------
    weight : float [C_in, C_out, kernel] (input channels first), kernel >= stride; bias : float [C_out]
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, *, stride: int, causal: bool = True,
                 trim_right_ratio: float = 1.0, norm: tuple | None = None):
        self.in_channels, self.out_channels, self.kernel_size = weight.shape
        self.stride, self.norm = stride, norm
        trim = self.kernel_size - stride
        self.trim_right = math.ceil(trim * trim_right_ratio) if causal else trim // 2
        self.trim_left = trim - self.trim_right
        self.taps = -(-self.kernel_size // stride)  # inputs that touch one output
        self.matrix = pack(_block_matrix(weight, stride, self.taps))
        self.bias = np.tile(np.asarray(bias, np.float32), stride)
        self.rate, self.streams = stride, norm is None
        self.macs = self.cost = self.matrix.n_in * self.matrix.n_out

    def needs(self, n: int) -> int:
        return -(-(n + self.trim_left) // self.stride)

    def start(self) -> ConvTransposeState:
        """The state before the first sample: silence."""
        return ConvTransposeState(np.zeros((self.taps - 1, self.in_channels), np.float32))

    def step(self, x: np.ndarray, state: ConvTransposeState, last: bool = False) -> np.ndarray:
        """See `Layer.step`. T inputs give T * stride outputs."""
        state.seen += len(x)
        reach = self.taps - 1  # inputs that a block shares with the next
        silence = reach if last else 0  # after the end: the last inputs reach into it
        if x.size < LONG * self.matrix.data.size or len(x) <= reach:
            runs = [pad(x, 0, silence, "constant", before=state.buffer)]
        else:  # nearly all of x as it lies: nothing is copied
            runs = [pad(x[:reach], 0, 0, before=state.buffer), x, pad(x[len(x) - reach:], 0, silence, "constant")]
        state.buffer = runs[-1][len(runs[-1]) - reach:].copy()
        y = self.valid(*runs)
        if self.norm is not None:
            assert last and len(x) == state.seen
            y = group_norm(y[:(len(x) - 1) * self.stride + self.kernel_size], *self.norm)
        first = max(0, self.trim_left - state.made)
        end = self.trim_left + state.seen * self.stride - state.made  # where the signal ends if it ends here
        y, state.made = y[first:max(first, end)], state.made + len(y)
        return y

    def valid(self, *runs: np.ndarray) -> np.ndarray:
        """The blocks whose `taps` inputs all lie in one run: each [T, C_in] -> [(T - taps + 1) * stride, C_out]."""
        y, end = np.empty((sum(len(x) - self.taps + 1 for x in runs), self.matrix.n_out), np.float32), 0
        for x in runs:
            start, end = end, end + len(x) - self.taps + 1
            gemm(np.ascontiguousarray(x), self.matrix, end - start, self.in_channels, self.bias, out=y[start:end])
        return y.reshape(-1, self.out_channels)  # [n, stride * C_out] -> [n * stride, C_out]


def _block_matrix(weight: np.ndarray, stride: int, taps: int) -> np.ndarray:
    """A transposed convolution's weight [C_in, C_out, kernel] as that of the equal convolution.

    Row (j, c) holds what input channel c, taps - 1 - j samples ago, gives to each of the `stride`
    samples of the present output block. Returns [taps * C_in, stride * C_out].
    """
    c_in, c_out, kernel = weight.shape
    filled = np.pad(weight, ((0, 0), (0, 0), (0, taps * stride - kernel)))
    blocks = filled.reshape(c_in, c_out, taps, stride)[:, :, ::-1]  # latest block first -> oldest input first
    return blocks.transpose(2, 0, 3, 1).reshape(taps * c_in, stride * c_out)
