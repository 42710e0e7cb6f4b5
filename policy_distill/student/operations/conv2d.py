"""`conv2d`: a convolution of images `[C, H, W]` without padding, with one stride for both directions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

MAX_PATCHES = 2**28
"""Numbers in the patches that a convolution takes out of one image."""
CONV = """\
/* w is [n_out][n_in][height][width], images are [channel][row][column]. */
static void conv(const float *w, const float *b, const float *x, float *y, int n_in, int rows, int columns, int n_out,
                 int height, int width, int stride) {
    const int out_rows = (rows - height) / stride + 1, out_columns = (columns - width) / stride + 1;
    for (int o = 0; o < n_out; o++, w += n_in * height * width)
        for (int r = 0; r < out_rows; r++)
            for (int c = 0; c < out_columns; c++) {
                const float *v = w;
                float sum = b[o];
                for (int i = 0; i < n_in; i++)
                    for (int dr = 0; dr < height; dr++) {
                        const float *line = x + (i * rows + r * stride + dr) * columns + c * stride;
                        for (int dc = 0; dc < width; dc++) sum += line[dc] * *v++;
                    }
                *y++ = sum;
            }
}
"""


def conv2d(layer: Layer, tensors: Tensors) -> Function:
    """Return the function `[B, in, H, W]` to `[B, out, H', W']`."""
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


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    weight, bias, stride = tensors[layer["weight"]], tensors[layer["bias"]], layer["stride"]
    if len(shape) != 3 or weight.ndim != 4 or type(stride) is not int or stride < 1:
        raise ValueError("a convolution without an image")
    n_out, n_in, *kernel = weight.shape
    rows, columns = ((size - width) // stride + 1 for size, width in zip(shape[1:], kernel, strict=True))
    if n_in != shape[0] or bias.shape != (n_out,) or min(rows, columns, *kernel) < 1:
        raise ValueError("a convolution too large")
    if rows * columns * math.prod((n_in, *kernel)) > MAX_PATCHES:
        raise ValueError("a convolution of too many patches")
    if list(layer["output_shape"]) != [n_out, rows, columns]:
        raise ValueError("an image of another shape than its convolution's")
    return (n_out, rows, columns)


def _macs(layer: Layer, tensors: Tensors) -> int:
    # Once for each pixel of the output.
    return int(tensors[layer["weight"]].size * math.prod(layer["output_shape"][1:]))


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_layers import conv2d_of

    return conv2d_of(tensors[layer["weight"]], tensors[layer["bias"]], layer["stride"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    weight, bias = (graph.constant(tensors[layer[key]], np.float32, layer[key]) for key in ("weight", "bias"))
    return graph.add("Conv", x, weight, bias, strides=[layer["stride"]] * 2)


def sizes_in_c(call: Call) -> str:
    """Return the sizes that a convolution in C takes: of the image, of the kernel, and its stride."""
    n_out, n_in, height, width = call.tensors[call.layer["weight"]].shape
    return f"{n_in}, {call.shape[1]}, {call.shape[2]}, {n_out}, {height}, {width}, {call.layer['stride']}"


def _c(source: CSource, call: Call) -> bool:
    source.use(CONV)
    weight = source.constant(f"weight_{call.place}", call.tensors[call.layer["weight"]])
    bias = source.constant(f"bias_{call.place}", call.tensors[call.layer["bias"]])
    source.body.append(f"conv({weight}, {bias}, {call.x}, {call.y}, {sizes_in_c(call)});")
    return True


CONV2D = Operation("conv2d", conv2d, _shape, has_weights=True, macs=_macs, torch=_torch, onnx=_onnx, c=_c)
