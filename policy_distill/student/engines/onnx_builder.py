"""Writes ONNX graphs node by node.

In: operators, constants and the names of their inputs. Out: the lists that a `GraphProto` is made of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from policy_distill.errors import RequestError

VERSIONS = {8: (17, 8), 4: (21, 10), 2: (25, 12)}
"""Opset and format that weights of so many bits need: the oldest that have the type. Those of eight bits are old enough
for runtimes of many years, browsers and embedded boards included."""

LAST = 2**31 - 1
"""Stands for the end of whatever is sliced."""

PACKED = {8: onnx.TensorProto.INT8, 4: onnx.TensorProto.INT4, 2: onnx.TensorProto.INT2}


def versions_for(bits: int, opset: int | None) -> tuple[int, int]:
    """Return the opset, as asked for or the oldest of `VERSIONS` for weights of so many bits, and its format.

    Raises:
        RequestError: for an opset without that type.
    """
    least, ir_version = VERSIONS[bits]
    if opset is None or opset == least:
        return least, ir_version
    if bits < 8 and opset < least:
        raise RequestError(
            f"expected an opset of {least} or later for weights of {bits} bits, found {opset}; leave --opset or "
            "--quantize out"
        )
    return opset, max(ir_version, helper.find_min_ir_version_for([helper.make_opsetid("", opset)]))


class Graph:
    """Collects nodes and constants; every method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.least_bits = 8
        """The smallest type that a constant has, a key of `VERSIONS`."""

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node of one output."""
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any, name: str | None = None) -> str:
        """Add a constant."""
        name = name or f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def packed(self, counts: np.ndarray, bits: int) -> str:
        """Add a constant of whole numbers of 8, 4 or 2 bits, packed."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = helper.make_tensor(name, PACKED[bits], counts.shape, counts.ravel().tolist())
        self.least_bits = min(self.least_bits, bits)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        """Add a cast."""
        return self.add("Cast", x, to=tensor_type(dtype))

    def reshape(self, x: str, shape: list[int], output: str | None = None) -> str:
        """Add a reshaping to `shape`, of which one size may be -1."""
        return self.add("Reshape", x, self.constant(shape, np.int64), output=output)

    def rename(self, x: str, output: str) -> str:
        """Give another name to what a node made."""
        for node in self.nodes:
            node.input[:] = [output if name == x else name for name in node.input]
            node.output[:] = [output if name == x else name for name in node.output]
        return output

    def columns(self, x: str, start: int, stop: int = LAST, output: str | None = None) -> str:
        """Add a choice of the columns from `start` to before `stop`, by itself to the last one."""
        bounds = [self.constant([value], np.int64) for value in (start, stop, 1)]
        return self.add("Slice", x, *bounds, output=output)


def tensor_type(dtype: Any) -> int:
    """Return ONNX's number for a NumPy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
