"""Convolution in time: padding, stride, dilation; the whole signal, or piece by piece.

Signals are time-major here: x[t, c]. With kernel k, stride s and dilation d,

    y[t, o] = b[o] + sum_{j < k} sum_c  x[t*s + j*d, c] * w[o, c, j]

over the padded signal. Row t of the product reads floats t*s*C ... (t*s + k)*C of the signal, so
`gemm` takes it from memory as it lies. EnCodec pads by k_d - s samples (k_d = (k-1)*d + 1), on the
left only if causal, else on both sides, and then on the right until the last window is complete. A
signal of T samples always gives ceil(T / s) outputs. (Official code: `SConv1d`.)

**Streaming.** A window needs samples of earlier pieces, which the state keeps. Two cases need care: reflecting at
the start needs *later* samples, so nothing comes out until they have come; reflecting at the end needs earlier ones, so
a few are always kept.

Chapters 2, 3 and 5 of the tutorials walk through it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyencodec.kernels.gemm import gemm, pack, several_rows
from tinyencodec.kernels.tile import WIDTH
from tinyencodec.layers.layer import Layer
from tinyencodec.layers.norm import group_norm

LONG = 4  # times the weights: a signal of so much is worth several products


def pad(x: np.ndarray, left: int, right: int, mode: str = "reflect", before: np.ndarray | None = None) -> np.ndarray:
    """Pad x [T, C] in time, by zeros ("constant") or by its mirror image without the edge ("reflect").

    The short-input rule: a mirror needs more samples than it shows. If T <= max(left, right), zeros
    are first appended up to max(left, right) + 1 samples, and as many samples are cut off again at
    the end afterwards.

    before : float32 [n, C], samples to put in front of x before padding

    Returns float32 [left + n + T + right, C]: x itself if there is nothing to do.
    """
    n_before = 0 if before is None else len(before)
    if not (left or right or n_before):
        return x
    length = n_before + len(x)
    out = np.empty((left + length + right, x.shape[1]), np.float32)
    middle = out[left:left + length]
    if before is not None:
        middle[:n_before] = before
    middle[n_before:] = x
    if mode == "constant":
        out[:left] = out[left + length:] = 0
        return out
    zeros = max(0, max(left, right) + 1 - length)
    longer = np.concatenate([middle, np.zeros((zeros, x.shape[1]), np.float32)]) if zeros else middle
    out[:left] = longer[1:left + 1][::-1]
    mirror = longer[length + zeros - 1 - right:length + zeros - 1][::-1]
    out[left + length:] = np.concatenate([longer[length:], mirror])[:right]
    return out


@dataclass
class ConvState:
    """Where a convolution stands in its signal.

    buffer : float32 [n, C_in], the latest inputs, with the padding once that is known
    head : rows of the buffer before the next window, kept for the reflection at the end
    seen : inputs so far
    started : whether the left padding has been put in front
    """

    buffer: np.ndarray
    head: int = 0
    seen: int = 0
    started: bool = False


class Conv1d(Layer):
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
        # Inputs that must have come before the first output, and are kept for the end.
        self.lead = max(self.pad_left, self.pad_right + stride - 1) + 1 if pad_mode == "reflect" else 0
        matrix = weight.transpose(2, 1, 0).reshape(-1, self.out_channels)  # [kernel * C_in, C_out]
        self.matrix = pack(matrix)
        self.bias = np.array(bias, np.float32)
        # Few channels: several outputs at once, where that takes fewer passes over the vector registers.
        group = max(1, WIDTH // self.out_channels) if dilation == 1 else 1
        self.group = group if 3 * ((group - 1) * stride + self.kernel_size) <= 2 * group * self.kernel_size else 1
        if self.group > 1:
            self.group_matrix = pack(several_rows(matrix, stride * self.in_channels, self.group))
        self.rate, self.streams = 1 / stride, norm is None
        self.macs = self.cost = self.matrix.n_in * self.matrix.n_out / stride

    def needs(self, n: int) -> int:
        return max(self.lead, (n - 1) * self.stride + self.span - self.pad_left)

    def complete(self, length: int) -> int:
        """Samples of right padding that fill the last window of a signal of `length` samples."""
        n_out = -(-length // self.stride)
        return (n_out - 1) * self.stride + self.span - self.pad_left - length

    def start(self) -> ConvState:
        return ConvState(np.zeros((0, self.in_channels), np.float32))

    def step(self, x: np.ndarray, state: ConvState, last: bool = False) -> np.ndarray:
        """See `Layer.step`. A signal of T samples gives ceil(T / stride)."""
        y = self.each_run(x, state, last, self.out_channels, lambda run, out: self.valid(run, out=out))
        assert self.norm is None or (last and len(x) == state.seen)
        return y if self.norm is None else group_norm(y, *self.norm)

    def each_run(self, x: np.ndarray, state: ConvState, last: bool, channels: int, function: Callable) -> np.ndarray:
        """The next outputs, [t, channels], made by function(padded input, where its outputs go), in up to three runs.

        The middle one, nearly all of a long x, is x as it lies: nothing is copied.
        """
        first = self.lead + self.span  # samples that give an output, and are more than the state keeps
        if x.size < LONG * self.matrix.data.size or len(x) < first:
            runs = [self._windows(x, state, last)]
        else:
            runs = [self._windows(x[:first], state)]
            state.seen += len(x) - first
            runs.append(self._advance(x[first - len(state.buffer):], state))
            if last and self.complete(state.seen):
                runs.append(self._windows(x[:0], state, last))
        y, end = np.empty((sum(map(self.outputs, runs)), channels), np.float32), 0
        for run in runs:
            start, end = end, end + self.outputs(run)
            function(run, y[start:end])
        return y

    def _windows(self, x: np.ndarray, state: ConvState, last: bool = False) -> np.ndarray:
        """The next piece, padded, from the first window on that has no output yet; updates `state`."""
        state.seen += len(x)
        starts = not state.started and (last or state.seen >= self.lead)
        state.started |= starts
        return self._advance(pad(x, self.pad_left if starts else 0, self.complete(state.seen) if last else 0,
                                 self.pad_mode, before=state.buffer), state)

    def _advance(self, buffer: np.ndarray, state: ConvState) -> np.ndarray:
        """The windows of the buffer; the state keeps what later ones need of it."""
        windows = buffer[state.head:] if state.started else buffer[:0]
        next_window = state.head + self.outputs(windows) * self.stride
        kept = max(0, min(next_window, len(buffer) - self.lead))
        state.buffer, state.head = buffer[kept:].copy(), next_window - kept
        return windows

    def outputs(self, x: np.ndarray) -> int:
        """How many windows x [T, C_in] holds."""
        return max(0, (len(x) - self.span) // self.stride + 1)

    def valid(self, x: np.ndarray, init: np.ndarray | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """The convolution alone, no padding, no norm: [T, C_in] -> [(T - span) // stride + 1, C_out].

        init : float32, what the sums start from: [C_out], or of the result's shape; None: the bias.
        out : for the result; it may be `init`. None: a new array
        """
        n_out = self.outputs(x)
        x = np.ascontiguousarray(x)
        init = self.bias if init is None else init
        out = np.empty((n_out, self.out_channels), np.float32) if out is None else out
        step, grouped = self.stride * self.in_channels, 0
        if self.group > 1:
            shape = n_out // self.group, self.group * self.out_channels
            grouped = shape[0] * self.group
            starts = np.tile(init, self.group) if init.ndim == 1 else init[:grouped].reshape(shape)
            gemm(x, self.group_matrix, shape[0], self.group * step, starts, out=out[:grouped].reshape(shape))
        # Without dilation the kernel's samples are one run of memory; with it, one run each.
        taps, tap_step = (1, 0) if self.dilation == 1 else (self.kernel_size, self.dilation * self.in_channels)
        gemm(x[grouped * self.stride:], self.matrix, n_out - grouped, step, init if init.ndim == 1 else init[grouped:],
             out=out[grouped:], taps=taps, tap_step=tap_step)
        return out
