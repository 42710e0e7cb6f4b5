"""`relu`, the activation: what is below 0 becomes 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Tensors, same_shape

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

RELU_LAYER = """\
static void relu_layer(float *y, int n) {
    for (int k = 0; k < n; k++) y[k] = y[k] < 0.0f ? 0.0f : y[k];
}
"""


def relu(layer: Layer, tensors: Tensors) -> Function:
    """Return the function, which works in place."""
    return lambda x: np.maximum(x, 0.0, out=x)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from torch import nn

    return nn.ReLU()


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    return graph.add("Relu", x)


def _c(source: CSource, call: Call) -> bool:
    source.use(RELU_LAYER)
    source.body.append(f"relu_layer({call.x}, {math.prod(call.shape)});")
    return False


RELU = Operation("relu", relu, same_shape, torch=_torch, onnx=_onnx, c=_c)
