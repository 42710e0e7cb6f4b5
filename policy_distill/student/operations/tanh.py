"""`tanh`, the activation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Tensors, same_shape

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

TANH_NEAR = """\
/* tanh by a rational function, right to 4e-7 everywhere. */
static float tanh_near(float x) {
    float u, p, q, y;
    x = x > 9.01f ? 9.01f : x;
    x = x < -9.01f ? -9.01f : x;
    u = x * x;
    p = (((1.3336955e-08f * u + 2.0596359e-05f) * u + 0.0034948166f) * u + 0.13380377f) * u + 1.0f;
    q = (((7.769329e-07f * u + 0.0003284372f) * u + 0.025874048f) * u + 0.46713692f) * u + 1.0f;
    y = x * p / q;
    return y > 1.0f ? 1.0f : (y < -1.0f ? -1.0f : y);
}
"""
TANH_LAYER = """\
static void tanh_layer(float *y, int n) {
    for (int k = 0; k < n; k++) y[k] = tanh_near(y[k]);
}
"""


def tanh(layer: Layer, tensors: Tensors) -> Function:
    """Return the function, which works in place."""
    return lambda x: np.tanh(x, out=x)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from torch import nn

    return nn.Tanh()


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    return graph.add("Tanh", x)


def _c(source: CSource, call: Call) -> bool:
    source.use(TANH_NEAR)
    source.use(TANH_LAYER)
    source.body.append(f"tanh_layer({call.x}, {math.prod(call.shape)});")
    return False


TANH = Operation("tanh", tanh, same_shape, torch=_torch, onnx=_onnx, c=_c)
