"""The transposed convolution, the upsampler: each input adds a copy of the kernel to the output.

    y[t*s + j, o] += sum_c  x[t, c] * w[c, o, j],        0 <= j < kernel, and the bias once per output

It is an ordinary convolution in disguise: with kernel k = n*s, output block t (s
samples) is a sum over the inputs t-n+1 ... t, so it is a stride-1 convolution of kernel n whose
s * C_out outputs are the s samples side by side, which in time-major memory are already in place.

**Streaming.** Output block t needs no input after t, so `step` holds nothing back; only the inputs that
reach into the next blocks are kept.

Chapter 4 of the tutorials walks through it.
"""

import math
from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.gemm import gemm, pack
from tinyencodec.kernels.scratch import Scratch
from tinyencodec.layers.conv import append, pad
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


class ConvTranspose1d:
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

    def __call__(self, x: np.ndarray, *, activate: bool = False, scratch: Scratch | None = None) -> np.ndarray:
        """[T, C_in] -> [T * stride, C_out], float32. Options as in `step`."""
        scratch = scratch or Scratch()
        length = len(x) * self.stride
        padded = pad(x, self.taps - 1, self.taps - 1, "constant", activate=activate, scratch=scratch)
        y = self.valid(padded, out=scratch.take(len(x) + self.taps - 1, self.stride * self.out_channels))
        scratch.give(padded)
        y = y[:length + self.kernel_size - self.stride]
        if self.norm is not None:
            y = group_norm(y, *self.norm)
        return y[self.trim_left:self.trim_left + length]

    def needs(self, n: int) -> int:
        """How many inputs `step` must have seen to have given n >= 1 outputs."""
        return -(-(n + self.trim_left) // self.stride)

    def start(self) -> ConvTransposeState:
        """The state before the first sample: silence."""
        return ConvTransposeState(np.zeros((self.taps - 1, self.in_channels), np.float32))

    def step(self, x: np.ndarray, state: ConvTransposeState, last: bool = False, *, activate: bool = False,
             scratch: Scratch | None = None) -> np.ndarray:
        """Go on from `state`, which is updated: [t, C_in] -> [t', C_out]; see `Conv1d.step`."""
        assert self.norm is None
        state.seen += len(x)
        end = self.trim_left + state.seen * self.stride  # in outputs, where the signal ends if it ends here
        tail = self.taps - 1 if last and end > state.made + len(x) * self.stride else 0  # silence behind the end
        scratch = scratch or Scratch()
        buffer = append(state.buffer, x, activate, scratch)
        if tail:
            buffer = np.pad(buffer, ((0, tail), (0, 0)))
        blocks = scratch.take(len(buffer) - self.taps + 1, self.stride * self.out_channels)
        y = self.valid(buffer, out=blocks)
        state.buffer = buffer[len(buffer) - self.taps + 1:].copy()
        if buffer is not x:
            scratch.give(buffer)
        first = max(0, self.trim_left - state.made)
        y, state.made = y[first:max(first, end - state.made)], state.made + len(y)
        return y

    def flush(self, state: ConvTransposeState) -> np.ndarray:
        """End the signal: what is left of the output, [t', C_out]."""
        return self.step(np.zeros((0, self.in_channels), np.float32), state, last=True)

    def valid(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The blocks that `taps` inputs each reach: [T, C_in] -> [(T - taps + 1) * stride, C_out]."""
        n_out = len(x) - self.taps + 1
        y = gemm(np.ascontiguousarray(x), self.matrix, n_out, self.in_channels, self.bias, out=out)
        return y.reshape(-1, self.out_channels)  # [n_out, stride * C_out] -> [n_out * stride, C_out]


def _block_matrix(weight: np.ndarray, stride: int, taps: int) -> np.ndarray:
    """A transposed convolution's weight [C_in, C_out, kernel] as that of the equal convolution.

    Row (j, c) holds what input channel c, taps - 1 - j samples ago, gives to each of the `stride`
    samples of the present output block. Returns [taps * C_in, stride * C_out].
    """
    c_in, c_out, kernel = weight.shape
    filled = np.pad(weight, ((0, 0), (0, 0), (0, taps * stride - kernel)))
    blocks = filled.reshape(c_in, c_out, taps, stride)[:, :, ::-1]  # latest block first -> oldest input first
    return blocks.transpose(2, 0, 3, 1).reshape(taps * c_in, stride * c_out)
