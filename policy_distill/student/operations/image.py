"""`image`: a vector becomes an image `[C, H, W]`: {"op": "image", "shape": [6, 5, 1], "channels_last": true}.

The shape is that of the observation, whose numbers the vector has in their order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

CHANNELS_FIRST = """\
static void channels_first(const float *x, float *y, int size, int channels) {
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < size; i++) *y++ = x[i * channels + c];
}
"""


def image(layer: Layer, tensors: Tensors) -> Function:
    """Return the function `[B, n]` to `[B, C, H, W]`."""
    shape, last = tuple(layer["shape"]), layer["channels_last"]

    def apply(x: np.ndarray) -> np.ndarray:
        images = x.reshape(len(x), *shape)
        return np.moveaxis(images, -1, 1) if last else images

    return apply


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    sizes, last = layer["shape"], layer["channels_last"]
    whole = len(sizes) == 3 and all(type(size) is int and size > 0 for size in sizes)
    if not whole or type(last) is not bool or shape != (math.prod(sizes),):
        raise ValueError("an image of other numbers than those of its vector")
    return (sizes[2], sizes[0], sizes[1]) if last else tuple(sizes)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_layers import ImageLayer

    return ImageLayer(tuple(layer["shape"]), channels_last=layer["channels_last"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    images = graph.reshape(x, [-1, *layer["shape"]])
    return graph.add("Transpose", images, perm=[0, 3, 1, 2]) if layer["channels_last"] else images


def _c(source: CSource, call: Call) -> bool:
    if not call.layer["channels_last"]:
        return False
    source.use(CHANNELS_FIRST)
    rows, columns, channels = call.layer["shape"]
    source.body.append(f"channels_first({call.x}, {call.y}, {rows * columns}, {channels});")
    return True


IMAGE = Operation("image", image, _shape, torch=_torch, onnx=_onnx, c=_c)
