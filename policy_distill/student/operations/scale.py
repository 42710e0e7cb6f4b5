"""`scale`: multiplication by one number, as of bytes that become numbers from 0 to 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph


def scale(layer: Layer, tensors: Tensors) -> Function:
    """Return the function from numbers of any type to float32."""
    factor = np.float32(layer["factor"])
    return lambda x: x.astype(np.float32) * factor


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    if not (isinstance(layer["factor"], float) and math.isfinite(layer["factor"])):
        raise ValueError("a factor that is not a number")
    return shape


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_layers import ScaleLayer

    return ScaleLayer(layer["factor"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    return graph.add("Mul", graph.cast(x, np.float32), graph.constant(layer["factor"], np.float32))


def _c(source: CSource, call: Call) -> bool:
    factor = source.number(call.layer["factor"])
    source.body.append(f"for (int i = 0; i < {math.prod(call.shape)}; i++) {call.x}[i] *= {factor};")
    return False


SCALE = Operation("scale", scale, _shape, torch=_torch, onnx=_onnx, c=_c)
