"""The layers that students are made of, as JSON and as NumPy.

In: a list of layer records, such as {"op": "linear", "weight": "0.weight", "bias": "0.bias"}, and the named arrays.
Out: a function from features `[B, ...]` to outputs `[B, P]`. Runtimes and exporters all read this one description, so a
new network needs nothing from them as long as it is made of these layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Layer = Mapping[str, Any]
Function = Callable[[np.ndarray], np.ndarray]


def _linear(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    # Stored [out, in] as torch does; laid out [in, out] once, so that a batch needs no transposition.
    weight, bias = np.ascontiguousarray(tensors[layer["weight"]].T), tensors[layer["bias"]]

    def apply(x: np.ndarray) -> np.ndarray:
        x = x @ weight
        x += bias
        return x

    return apply


def _tanh(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    return lambda x: np.tanh(x, out=x)


def _relu(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    return lambda x: np.maximum(x, 0.0, out=x)


def _scale(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    factor = np.float32(layer["factor"])
    return lambda x: x.astype(np.float32) * factor


def _flatten(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    return lambda x: x.reshape(len(x), -1)


def _conv2d(layer: Layer, tensors: Mapping[str, np.ndarray]) -> Function:
    weight, bias, stride = tensors[layer["weight"]], tensors[layer["bias"]], layer["stride"]
    n_out, _, height, width = weight.shape
    matrix = np.ascontiguousarray(weight.reshape(n_out, -1).T)

    def apply(x: np.ndarray) -> np.ndarray:
        # Every patch becomes a row, so that the convolution is one product of matrices.
        windows = np.lib.stride_tricks.sliding_window_view(x, (height, width), axis=(2, 3))[:, :, ::stride, ::stride]
        n_batch, _, rows, columns = windows.shape[:4]
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n_batch * rows * columns, -1)
        out = (patches @ matrix + bias).reshape(n_batch, rows, columns, n_out)
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2))

    return apply


OPS: dict[str, Callable[[Layer, Mapping[str, np.ndarray]], Function]] = {
    "linear": _linear,
    "tanh": _tanh,
    "relu": _relu,
    "scale": _scale,
    "flatten": _flatten,
    "conv2d": _conv2d,
}
"""Each op's NumPy form. An op may overwrite its input, so the first layer must make a new array."""


def compile_layers(layers: Sequence[Layer], tensors: Mapping[str, np.ndarray]) -> Function:
    """Return the network as one NumPy function from float32 features `[B, ...]` to outputs `[B, P]`."""
    functions = [OPS[layer["op"]](layer, tensors) for layer in layers]

    def forward(x: np.ndarray) -> np.ndarray:
        for function in functions:
            x = function(x)
        return x

    return forward


def count_macs(layers: Sequence[Layer], tensors: Mapping[str, np.ndarray]) -> int:
    """Return the multiply-accumulates of one observation; biases and activations are not counted."""
    total = 0
    for layer in layers:
        if "weight" in layer:
            # A convolution is done once for each pixel of its output.
            places = math.prod(layer["output_shape"][1:]) if layer["op"] == "conv2d" else 1
            total += math.prod(tensors[layer["weight"]].shape) * places
    return total


def output_shapes(
    layers: Sequence[Layer], tensors: Mapping[str, np.ndarray], input_shape: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Return the shape of one observation after each layer."""
    shapes, shape = [], input_shape
    for layer in layers:
        if layer["op"] == "linear":
            shape = (len(tensors[layer["bias"]]),)
        elif layer["op"] == "conv2d":
            shape = tuple(layer["output_shape"])
        elif layer["op"] == "flatten":
            shape = (math.prod(shape),)
        shapes.append(shape)
    return shapes
