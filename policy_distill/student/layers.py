"""The layers that students are made of, one after another, as their operations say.

In: a list of layer records, such as {"op": "linear", "weight": "0.weight", "bias": "0.bias"}, and the named arrays.
Out: a function from features `[B, ...]` to outputs `[B, P]`, its cost, and shapes. Runtimes and exporters all read this
one description, so a new network needs nothing from them as long as it is made of these layers.

A layer with "beside": n leaves the last n numbers of a vector alone. Through a run of such layers these wait, and then
stand behind what the run made of the others: so an image goes through convolutions, and a vector joins it after them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Shape, Tensors
from policy_distill.student.operations.table import find_operation

One = TypeVar("One")


def beside(layer: Layer) -> int:
    """Return how many of the last numbers of a vector a layer leaves alone."""
    n: int = layer.get("beside", 0)
    return n


def runs(layers: Iterable[One], record: Callable[[One], Layer]) -> Iterator[tuple[int, list[One]]]:
    """Yield runs of layers that follow each other, with how many numbers wait beside each run."""
    for n, run in groupby(layers, lambda one: beside(record(one))):
        yield n, list(run)


def compile_layers(layers: Sequence[Layer], tensors: Tensors) -> Function:
    """Return the network as one NumPy function from float32 features `[B, ...]` to outputs `[B, P]`.

    Layers may overwrite their input, so the first one that does must not be given what others own.
    """
    functions: list[Function] = []
    for n, run in runs(layers, lambda layer: layer):
        own = [find_operation(layer["op"]).numpy(layer, tensors) for layer in run]
        functions += [_leaving(composed(own), n)] if n else own
    return composed(functions)


def _leaving(function: Function, n: int) -> Function:
    return lambda x: np.concatenate([function(x[:, :-n]), x[:, -n:]], axis=1)


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


def layer_shapes(layers: Sequence[Layer], tensors: Tensors, input_shape: Shape) -> list[tuple[Shape, Shape]]:
    """Return the shapes of one observation before and after each layer, without the numbers beside it.

    Raises:
        ValueError, KeyError, TypeError, IndexError: where layers, arrays and shapes do not fit each other.
    """
    found, shape, waiting = [], input_shape, 0
    for layer in layers:
        taken = _less(shape, beside(layer) - waiting)
        waiting = beside(layer)
        shape = find_operation(layer["op"]).shape(layer, tensors, taken)
        found.append((taken, shape))
    if waiting:
        raise ValueError("a last layer that leaves numbers out")
    return found


def largest_buffer(layers: Sequence[Layer], tensors: Tensors, input_shape: Shape) -> int:
    """Return how many numbers of one observation there are at most between two layers, those beside included."""
    shapes = layer_shapes(layers, tensors, input_shape)
    sizes = [max(map(math.prod, both)) + beside(layer) for layer, both in zip(layers, shapes, strict=True)]
    return max([math.prod(input_shape), *sizes])


def _less(shape: Shape, n: int) -> Shape:
    """Return a vector's shape without `n` numbers, or with as many more where `n` is negative."""
    if n == 0:
        return shape
    if type(n) is not int or len(shape) != 1 or shape[0] <= n:
        raise ValueError("numbers of a layer that are missing")
    return (shape[0] - n,)
