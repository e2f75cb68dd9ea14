"""An ONNX graph that grows operator by operator.

A graph is a list of nodes. Each applies one operator of a published list (Conv, Add, Gather, ...) to named tensors and
names its result. Which tensors are given from outside, which are results, and which are constants, the weights among
them, is said beside it. That is all: no Python, no loops, no objects, so that any runtime can run it.
(The operators: https://onnx.ai/onnx/operators/)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinyencodec.models.int8_rows import at_precision

_OPSET, _IR_VERSION = 18, 8  # of December 2022: runtimes of 2023 and later know them
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Value = str | int | Sequence[int] | np.ndarray  # a tensor by name, or a constant
Shape = Sequence[int | str]  # a name stands for any length


class Graph:
    """Nodes in the order in which they run. Tensors are known by name.

    half : keep weights as float16; a Cast in the graph makes them float32 again
    place : what names of nodes begin with, for those who look at the graph
    """

    def __init__(self, half: bool = False) -> None:
        self.half = half
        self.place = ""
        self._nodes: list = []
        self._initializers: list = []
        self._inputs: list = []
        self._outputs: list = []
        self._constants: dict[tuple, str] = {}

    def op(self, kind: str, *inputs: Value, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; returns the name of its result, or a list of names if there are several."""
        names = [self._name(kind, number) for number in range(outputs)]
        given = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self._nodes.append(helper.make_node(kind, given, names, names[0], **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: Any) -> str:
        """The same constant as before, or a new one. Python's integers are int64."""
        array = np.asarray(values)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            name = self._constants[key] = f"constant_{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def weight(self, kind: str, values: np.ndarray) -> str:
        """A float32 tensor of trained numbers. Raises `ValueError` for one too large for float16, if `half`."""
        name = self._name(kind)
        stored = at_precision({name: values}, "half" if self.half else "float32")[name]
        self._initializers.append(numpy_helper.from_array(stored, name))
        return self.op("Cast", name, to=FLOAT) if self.half else name

    def input(self, name: str, kind: int, shape: Shape) -> str:
        """Declare a tensor that is given from outside."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, kind: int, shape: Shape) -> None:
        """Declare a result, under a name that users see."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def model(self, name: str, description: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """The finished graph, checked: each operator exists, and all types and shapes fit."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._initializers, description)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION,
                                  producer_name="tinyencodec", doc_string=description)
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model

    def _name(self, kind: str, number: int = 0) -> str:
        return f"{self.place}{kind}_{len(self._nodes) + len(self._initializers)}" + (f"_{number}" if number else "")
