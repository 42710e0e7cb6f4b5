"""`flatten`: an image becomes a vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph


def flatten(layer: Layer, tensors: Tensors) -> Function:
    """Return the function `[B, ...]` to `[B, n]`."""
    return lambda x: x.reshape(len(x), -1)


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    return (math.prod(shape),)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from torch import nn

    return nn.Flatten()


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    return graph.add("Flatten", x)


def _c(source: CSource, call: Call) -> bool:
    return False


FLATTEN = Operation("flatten", flatten, _shape, torch=_torch, onnx=_onnx, c=_c)
