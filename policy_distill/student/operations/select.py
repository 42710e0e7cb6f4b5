"""`select`: some components of a vector, such as those that a policy needs: {"op": "select", "columns": [0, 2]}."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph


def select(layer: Layer, tensors: Tensors) -> Function:
    """Return the function `[B, n]` to `[B, len(columns)]`."""
    columns = np.asarray(layer["columns"])
    return lambda x: x[:, columns]


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    columns = layer["columns"]
    if len(shape) != 1 or not isinstance(columns, list) or not columns:
        raise ValueError("an empty selection, or one without a vector")
    # In rising order: each once, and C can move them to their places one after another.
    if not all(type(one) is int for one in columns) or columns != sorted({*columns}):
        raise ValueError("selected components that are not rising whole numbers")
    if columns[0] < 0 or columns[-1] >= shape[0]:
        raise ValueError("a selected component that does not exist")
    return (len(columns),)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_layers import Select

    return Select(layer["columns"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    return graph.add("Gather", x, graph.constant(layer["columns"], np.int64), axis=1)


def _c(source: CSource, call: Call) -> bool:
    columns = call.layer["columns"]
    name = source.constant(f"column_{call.place}", np.asarray(columns), "int")
    source.body.append(f"for (int i = 0; i < {len(columns)}; i++) {call.x}[i] = {call.x}[{name}[i]];")
    return False


SELECT = Operation("select", select, _shape, torch=_torch, onnx=_onnx, c=_c)
