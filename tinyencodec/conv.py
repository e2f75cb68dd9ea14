"""Convolution in time: padding, stride, dilation, and the transposed convolution.

Signals are time-major here: x[t, c]. With kernel k, stride s and dilation d,

    y[t, o] = b[o] + sum_{j < k} sum_c  x[t*s + j*d, c] * w[o, c, j]

over the padded signal. Row t of the product reads floats t*s*C ... (t*s + k)*C of the signal, so
`gemm` takes it from memory as it lies. EnCodec pads k_d - s in all (k_d = (k-1)*d + 1): on the left
only if causal, else on both sides, and then as much on the right as completes the last window. A
signal of T samples always gives ceil(T / s) outputs. (Official code: `SConv1d`.)

**Streaming.** `step` takes the signal piece by piece and returns the outputs that are certain by then;
together they equal the batch form, bit by bit. A window needs samples of earlier pieces, which the
state keeps. Two corners need care: reflecting at the start needs *later* samples, so nothing comes
out until they are there; reflecting at the end needs earlier ones, so a few are always kept.

A transposed convolution is an ordinary one in disguise: with kernel k = n*s, output block t (s
samples) is a sum over the inputs t-n+1 ... t, so it is a stride-1 convolution of kernel n whose
s * C_out outputs are the s samples side by side, which in time-major memory are already in place.
"""

import math
from dataclasses import dataclass

import numpy as np

from tinyencodec.activation import elu_in_place
from tinyencodec.gemm import gemm, pack
from tinyencodec.norm import group_norm
from tinyencodec.scratch import Scratch


def pad(x: np.ndarray, left: int, right: int, mode: str = "reflect") -> np.ndarray:
    """Pad x [T, C] in time, by zeros ("constant") or by its mirror image without the edge ("reflect").

    The short-input rule: a mirror needs more samples than it shows. If T <= max(left, right), zeros
    are first appended up to max(left, right) + 1 samples, and as many samples are cut off again at
    the end afterwards.
    """
    if mode == "constant":
        return np.pad(x, ((left, right), (0, 0)))
    zeros = max(0, max(left, right) + 1 - len(x))
    if zeros:
        x = np.pad(x, ((0, zeros), (0, 0)))
    out = np.pad(x, ((left, right), (0, 0)), mode="reflect")
    return out[:len(out) - zeros]


@dataclass
class ConvState:
    """Where a convolution stands in its signal.

    buffer : float32 [n, C_in], the latest inputs; with the padding once that is known
    head : rows of the buffer before the next window; kept for the reflection at the end
    seen : inputs so far
    started : whether the left padding has been put in front
    """

    buffer: np.ndarray
    head: int = 0
    seen: int = 0
    started: bool = False


class Conv1d:
    """Convolution with EnCodec's padding, and a group norm after it if the model has one.

    Parameters
    ----------
    weight : float [C_out, C_in, kernel]; bias : float [C_out]
    causal : pad on the left only, so that no output sees a later input
    pad_mode : "reflect" or "constant"
    norm : (weight, bias), each [C_out], of a group norm; or None
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray, *, stride: int = 1, dilation: int = 1,
                 causal: bool = True, pad_mode: str = "reflect", norm: tuple | None = None):
        self.out_channels, self.in_channels, self.kernel_size = weight.shape
        self.stride, self.dilation, self.pad_mode, self.norm = stride, dilation, pad_mode, norm
        self.span = (self.kernel_size - 1) * dilation + 1  # samples that one output looks at
        padding = self.span - stride
        self.pad_right = 0 if causal else padding // 2
        self.pad_left = padding - self.pad_right
        # Inputs that must be there before the first output, and stay at hand for the end.
        self.lead = max(self.pad_left, self.pad_right + stride - 1) + 1 if pad_mode == "reflect" else 0
        self.matrix = pack(weight.transpose(2, 1, 0).reshape(-1, self.out_channels))  # [kernel * C_in, C_out]
        self.bias = np.ascontiguousarray(bias, np.float32)
        self.rate, self.streams = 1 / stride, norm is None
        self.macs = self.cost = self.matrix.n_in * self.matrix.n_out / stride

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[T, C_in] -> [ceil(T / stride), C_out], float32."""
        complete = self.complete(len(x))
        if self.pad_left or complete:
            x = pad(x, self.pad_left, complete, self.pad_mode)
        y = self.valid(x)
        return y if self.norm is None else group_norm(y, *self.norm)

    def needs(self, n: int) -> int:
        """How many inputs `step` must have seen to have given n >= 1 outputs."""
        return max(self.lead, (n - 1) * self.stride + self.span - self.pad_left)

    def complete(self, length: int) -> int:
        """Samples of right padding that fill the last window of a signal of `length` samples."""
        n_out = -(-length // self.stride)
        return (n_out - 1) * self.stride + self.span - self.pad_left - length

    def start(self) -> ConvState:
        """The state before the first sample."""
        return ConvState(np.zeros((0, self.in_channels), np.float32))

    def step(self, x: np.ndarray, state: ConvState, last: bool = False, *, activate: bool = False,
             scratch: Scratch | None = None) -> np.ndarray:
        """Go on from `state`, which is updated: [t, C_in] -> [t', C_out], any t, also 0.

        `last` says that the signal ends with x; the rest comes out. `activate` applies ELU to x on the
        way in. `scratch` lends memory for the result. Not for a layer with a group norm.
        """
        assert self.norm is None
        scratch = scratch or Scratch()
        buffer = _append(state.buffer, x, activate, scratch)
        state.seen += len(x)
        if not state.started:
            if len(buffer) < self.lead or not len(buffer):
                state.buffer = buffer.copy()
                return self(buffer) if last and len(buffer) else np.zeros((0, self.out_channels), np.float32)
            buffer = pad(buffer, self.pad_left, 0, self.pad_mode) if self.pad_left else buffer
            state.started = True
        if last:
            buffer = pad(buffer, 0, self.complete(state.seen), self.pad_mode)
        n_out = max(0, (len(buffer) - state.head - self.span) // self.stride + 1)
        y = self.valid(buffer[state.head:], out=scratch.take(n_out, self.out_channels))
        next_window = state.head + n_out * self.stride
        kept = max(0, min(next_window, len(buffer) - self.lead))
        state.buffer, state.head = buffer[kept:].copy(), next_window - kept
        if buffer is not x:
            scratch.give(buffer)
        return y

    def valid(self, x: np.ndarray, init: np.ndarray | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """The convolution alone, no padding, no norm: [T, C_in] -> [(T - span) // stride + 1, C_out].

        init : float32 [C_out] or of the result's shape, to start the sums from instead of the bias.
        out : float32, for the result; may be `init`.
        """
        n_out = max(0, (len(x) - self.span) // self.stride + 1)
        # Without dilation the kernel's samples are one run of memory; with it, one run each.
        taps, tap_step = (1, 0) if self.dilation == 1 else (self.kernel_size, self.dilation * self.in_channels)
        return gemm(np.ascontiguousarray(x), self.matrix, n_out, self.stride * self.in_channels,
                    self.bias if init is None else init, out=out, taps=taps, tap_step=tap_step)


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
    """Transposed convolution, the upsampler: each input adds a copy of the kernel, `stride` samples apart.

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

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """[T, C_in] -> [T * stride, C_out], float32."""
        length = len(x) * self.stride
        y = self.valid(np.pad(x, ((self.taps - 1, self.taps - 1), (0, 0))))
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
        buffer = _append(state.buffer, x, activate, scratch)
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

    def valid(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The blocks that `taps` inputs each reach: [T, C_in] -> [(T - taps + 1) * stride, C_out]."""
        n_out = len(x) - self.taps + 1
        y = gemm(np.ascontiguousarray(x), self.matrix, n_out, self.in_channels, self.bias, out=out)
        return y.reshape(-1, self.out_channels)  # [n_out, stride * C_out] -> [n_out * stride, C_out]


def _append(buffer: np.ndarray, x: np.ndarray, activate: bool, scratch: Scratch) -> np.ndarray:
    """Rows of `buffer`, then those of x, after ELU if `activate`: [n, C], [t, C] -> [n + t, C]."""
    if not len(buffer) and not activate:
        return x
    joined = scratch.take(len(buffer) + len(x), buffer.shape[1])
    joined[:len(buffer)] = buffer
    joined[len(buffer):] = x
    if activate:
        elu_in_place(joined[len(buffer):])
    return joined


def _block_matrix(weight: np.ndarray, stride: int, taps: int) -> np.ndarray:
    """A transposed convolution's weight [C_in, C_out, kernel] as that of the equal convolution.

    Row (j, c) holds what input channel c, taps - 1 - j samples ago, gives to each of the `stride`
    samples of the present output block. Returns [taps * C_in, stride * C_out].
    """
    c_in, c_out, kernel = weight.shape
    filled = np.pad(weight, ((0, 0), (0, 0), (0, taps * stride - kernel)))
    blocks = filled.reshape(c_in, c_out, taps, stride)[:, :, ::-1]  # latest block first -> oldest input first
    return blocks.transpose(2, 0, 3, 1).reshape(taps * c_in, stride * c_out)
