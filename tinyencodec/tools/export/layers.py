"""What each layer of a network becomes in a graph. Signals are channel-major here, [1, C, T], as ONNX has them.

A convolution's padding depends on the length of the signal, which a graph learns only when it runs. So it is computed
in the graph, by operators on lengths: which samples stand where in the mirror (see `layers.conv.pad` for the rule).

A graph that streams takes its state as inputs, and gives it back as outputs. An LSTM needs h and c of the past, a
convolution the end of its padded input. That is empty at first, [1, C, 0]. As many samples as the state has are cut off
the mirror; then come the state and x. With an empty state this is the mirror and x, with a full one the state and x. So
the same graph starts a signal and goes on with it.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from tinyencodec.codec.seanet import ResidualBlock
from tinyencodec.kernels.gemm import PackedMatrix, unpack
from tinyencodec.layers.conv import Conv1d
from tinyencodec.layers.conv_transpose import ConvTranspose1d
from tinyencodec.layers.layer import Layer
from tinyencodec.layers.lstm import LSTM
from tinyencodec.layers.norm import EPSILON
from tinyencodec.layers.stack import ELU, Stack
from tinyencodec.tools.export.graph import FLOAT, Graph, Shape

_END = 1 << 62


class NetworkGraph(Graph):
    """A graph of layers.

    streaming : with the state as inputs `state.N` and outputs `next.N`, N = 0, 1, ...
    """

    def __init__(self, half: bool = False, streaming: bool = False) -> None:
        super().__init__(half)
        self.streaming = streaming
        self._states: list[tuple[str, Shape]] = []  # results that are the next state, with their shapes
        self._count = 0  # of inputs

    def run(self, layer: Layer, x: str) -> str:
        """Append a layer that is given the tensor x [1, C, T]; returns the name of its result."""
        match layer:
            case Stack():
                for number, inner in enumerate(layer.layers):
                    self.place = f"layers.{number}."
                    x = self.run(inner, x)
                self.place = ""
                return x
            case ELU():
                return self.op("Elu", x)
            case Conv1d():
                return self._conv(layer, x)
            case ConvTranspose1d():
                return self._conv_transpose(layer, x)
            case LSTM():
                return self._lstm(layer, x)
            case ResidualBlock():
                y = self.run(layer.second, self.op("Elu", self.run(layer.first, self.op("Elu", x))))
                return self.op("Add", y, x if layer.shortcut is None else self.run(layer.shortcut, x))
        raise TypeError(f"expected a layer of a codec, got {type(layer).__name__}")

    def length(self, x: str) -> str:
        """T of [1, C, T], as a tensor [1]."""
        return self.op("Shape", x, start=2, end=3)

    def slice(self, x: str, start: str | int, end: str | int = _END) -> str:
        """x[:, :, start:end]"""
        bounds = [[bound] if isinstance(bound, int) else bound for bound in (start, end)]
        return self.op("Slice", x, *bounds, [2])

    def join(self, *parts: str) -> str:
        """Side by side in time."""
        return self.op("Concat", *parts, axis=2)

    def _state(self, shape: Shape) -> str:
        self._count += 1
        return self.input(f"state.{self._count - 1}", FLOAT, shape)

    def _keep(self, value: str, shape: Shape) -> None:
        """The state that follows; the same order as the calls of `_state`."""
        self._states.append((value, shape))

    def model(self, name: str, description: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        for number, (value, shape) in enumerate(self._states):
            self.output(f"next.{number}", value, FLOAT, shape)
        return super().model(name, description, metadata)

    def _zeros(self, channels: int, length: int) -> str:
        return self.constant(np.zeros((1, channels, length), np.float32))

    def _conv(self, conv: Conv1d, x: str) -> str:
        x = self._padded(conv, x)
        y = self.op("Conv", x, self._kernel(conv.matrix, conv.kernel_size), self.weight("bias", conv.bias),
                    strides=[conv.stride], dilations=[conv.dilation])
        return self._norm(conv, y)

    def _kernel(self, matrix: PackedMatrix, taps: int) -> str:
        """[taps * C_in, C_out] -> the operator's weight [C_out, C_in, taps]"""
        weight = unpack(matrix).reshape(taps, -1, matrix.n_out).transpose(2, 1, 0)
        return self.weight("weight", np.ascontiguousarray(weight))

    def _padded(self, conv: Conv1d, x: str) -> str:
        """What the windows of a convolution are taken from; keeps the state."""
        left, most = conv.pad_left, conv.pad_right + conv.stride - 1  # at most so many samples on the right
        reflect, channels = conv.pad_mode == "reflect", conv.in_channels
        before, whole = self.constant([0]), x  # samples that are put before what is known; all of them
        if left:
            mirror = self._zeros(channels, left)
            if reflect:
                head = self.join(self.slice(x, 0, left + 1), mirror)
                mirror = self.op("Gather", head, np.arange(left, 0, -1), axis=2)
            if self.streaming:
                state = self._state([1, channels, f"past {left}"])
                mirror = self.slice(mirror, self.length(state))  # all of it, or nothing
                whole = self.join(mirror, state, x)
                self._keep(self.slice(whole, -left), [1, channels, left])
            else:
                whole = self.join(mirror, x)
            before = self.length(mirror)
        if not most:
            return whole
        fill = self.op("Mod", self.op("Neg", self.length(x)), [conv.stride])  # completes the last window
        right = self.op("Add", fill, [conv.pad_right])
        if not reflect:
            return self.join(whole, self.slice(self._zeros(channels, most), 0, right))
        # With the zeros that the rule for short inputs appends, samples 0 ... last are known.
        n = self.op("Sub", self.length(whole), before)
        last = self.op("Sub", self.op("Max", n, [left + 1], self.op("Add", right, [1])), [1])
        first = self.op("Sub", last, right)  # none before is seen in the mirror
        tail = self.join(self.slice(whole, self.op("Add", first, before)), self._zeros(channels, max(left, most) + 1))
        wanted = self.op("Add", n, self.op("Slice", np.arange(most), [0], right))
        mirrored = self.op("Min", wanted, self.op("Sub", self.op("Mul", last, [2]), wanted))
        return self.join(whole, self.op("Gather", tail, self.op("Sub", mirrored, first), axis=2))

    def _conv_transpose(self, conv: ConvTranspose1d, x: str) -> str:
        """As `layers.conv_transpose` does it: a convolution whose outputs are blocks of `stride` samples."""
        past, n = conv.taps - 1, self.length(x)
        if past:
            shape = [1, conv.in_channels, past]
            x = self.join(self._state(shape) if self.streaming else self._zeros(*shape[1:]), x)
            if self.streaming:
                self._keep(self.slice(x, -past), shape)
            if conv.trim_left or conv.norm:
                x = self.join(x, self._zeros(*shape[1:]))  # after the end: the last inputs reach into it
        y = self.op("Conv", x, self._kernel(conv.matrix, conv.taps), self.weight("bias", conv.bias))
        y = self.op("Reshape", y, [1, conv.stride, conv.out_channels, -1])
        y = self.op("Transpose", y, perm=[0, 2, 3, 1])  # -> [1, C, blocks, stride]
        y = self.op("Reshape", y, [1, conv.out_channels, -1])
        size = self.op("Mul", n, [conv.stride])
        if conv.norm:
            y = self.slice(y, 0, self.op("Add", size, [conv.kernel_size - conv.stride]))
        y = self._norm(conv, y)
        if conv.trim_left or conv.norm:
            y = self.slice(y, conv.trim_left, self.op("Add", size, [conv.trim_left]))
        return y

    def _norm(self, conv: Conv1d | ConvTranspose1d, x: str) -> str:
        """Group norm with one group is instance norm of a signal with one channel."""
        if conv.norm is None:
            return x
        one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
        flat = self.op("InstanceNormalization", self.op("Reshape", x, [1, 1, -1]), one, zero, epsilon=EPSILON)
        y = self.op("Reshape", flat, [1, conv.out_channels, -1])
        gain, shift = (self.weight(kind, values[None, :, None]) for kind, values in zip(("gain", "shift"), conv.norm))
        return self.op("Add", self.op("Mul", y, gain), shift)

    def _lstm(self, lstm: LSTM, x: str) -> str:
        size = lstm.in_channels
        y = self.op("Transpose", x, perm=[2, 0, 1])  # [1, H, T] -> [T, 1, H]
        for w_ih, w_hh, bias in lstm.layers:
            weights = [self.weight(kind, _gates(array, size)[None]) for kind, array in (
                ("w_ih", unpack(w_ih).T), ("w_hh", unpack(w_hh).T), ("bias", bias))]
            weights[2] = self.op("Concat", weights[2], np.zeros((1, 4 * size), np.float32), axis=1)  # there are two
            state = [self._state([1, 1, size]) for _ in range(2)] if self.streaming else []
            y, *after = self.op("LSTM", y, *weights, *([""] + state if state else []), outputs=3, hidden_size=size)
            y = self.op("Squeeze", y, [1])  # of a second direction
            for value in after if state else ():
                self._keep(value, [1, 1, size])
        return self.op("Add", x, self.op("Transpose", y, perm=[1, 2, 0]))


def _gates(weights: np.ndarray, size: int) -> np.ndarray:
    """Gates in the order i, o, f, c of the operator, instead of i, f, g, o: [4H, ...] -> [4H, ...]"""
    i, f, g, o = np.split(weights, 4)
    return np.concatenate([i, o, f, g])
