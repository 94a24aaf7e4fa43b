"""ONNX nodes and constants of one layer, named after it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper


class Nodes:
    """Collects what one layer is made of; every value is called ``layer/label``.

    Attributes
    ----------
    nodes, constants : list
        The nodes and the constants that were added, in order.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, op_type: str, inputs: list[str], label: str, *, output: str | None = None, **attributes: Any) -> str:
        """A node with one output, which is called ``output`` or after the label; returns that name."""
        name = f"{self.layer}/{label}"
        output = output or name
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def real(self, label: str, values: ArrayLike) -> str:
        """A constant in the float type that the values have, float32 where they are no array."""
        array = values if isinstance(values, np.ndarray | np.generic) else np.asarray(values, np.float32)
        return self._constant(label, np.asarray(array))

    def integer(self, label: str, values: NDArray[Any], kind: str) -> str:
        """A constant of an ONNX integer type, e.g. ``int4``."""
        return self._constant(label, values.astype(helper.tensor_dtype_to_np_dtype(element_type(kind))))

    def _constant(self, label: str, array: NDArray[Any]) -> str:
        name = f"{self.layer}/{label}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name


def element_type(kind: str) -> int:
    """ONNX's number for a type, e.g. ``int4``."""
    return int(TensorProto.DataType.Value(kind.upper()))
