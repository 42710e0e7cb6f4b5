"""The layers that students are made of, one after another, as their operations say.

In: a list of layer records, such as {"op": "linear", "weight": "0.weight", "bias": "0.bias"}, and the named arrays.
Out: a function from features `[B, ...]` to outputs `[B, P]`, its cost, and shapes. Runtimes and exporters all read this
one description, so a new network needs nothing from them as long as it is made of these layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Shape, Tensors
from policy_distill.student.operations.table import find_operation


def compile_layers(layers: Sequence[Layer], tensors: Tensors) -> Function:
    """Return the network as one NumPy function from float32 features `[B, ...]` to outputs `[B, P]`.

    Layers may overwrite their input, so the first one that does must not be given what others own.
    """
    return composed([find_operation(layer["op"]).numpy(layer, tensors) for layer in layers])


def composed(functions: Sequence[Function]) -> Function:
    """Return the function that applies all of them in turn."""

    def forward(x: np.ndarray) -> np.ndarray:
        for function in functions:
            x = function(x)
        return x

    return forward


def count_macs(layers: Sequence[Layer], tensors: Tensors) -> int:
    """Return the multiply-accumulates of one observation; biases and activations are not counted."""
    return sum(find_operation(layer["op"]).macs(layer, tensors) for layer in layers)


def array_names(layers: Sequence[Layer], *, indices: bool | None = None) -> list[str]:
    """Return the names of the arrays that layers have: all, or those of whole numbers alone, or all others."""
    found = []
    for layer in layers:
        operation = find_operation(layer["op"])
        keys = [key for key in operation.arrays if key in layer]
        found += [layer[key] for key in keys if indices is None or (key in operation.indices) == indices]
    return found


def output_shapes(layers: Sequence[Layer], tensors: Tensors, input_shape: Shape) -> list[Shape]:
    """Return the shape of one observation after each layer.

    Raises:
        ValueError, KeyError, TypeError, IndexError: where layers, arrays and shapes do not fit each other.
    """
    shapes, shape = [], input_shape
    for layer in layers:
        shape = find_operation(layer["op"]).shape(layer, tensors, shape)
        shapes.append(shape)
    return shapes
