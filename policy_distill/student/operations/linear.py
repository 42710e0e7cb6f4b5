"""`linear`: y = x Wᵀ + b."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.operation import Function, Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

DENSE = """\
/* y = x w + b; w is [n_in][n_out]. Four inputs at a time spare loads and stores of y. */
static void dense(const float *restrict w, const float *restrict b, const float *restrict x, float *restrict y,
                  int n_in, int n_out) {
    int i = 0;
    for (int k = 0; k < n_out; k++) y[k] = b[k];
    for (; i + 4 <= n_in; i += 4, w += 4 * n_out) {
        const float p = x[i], q = x[i + 1], r = x[i + 2], s = x[i + 3];
        for (int k = 0; k < n_out; k++)
            y[k] += p * w[k] + q * w[n_out + k] + r * w[2 * n_out + k] + s * w[3 * n_out + k];
    }
    for (; i < n_in; i++, w += n_out)
        for (int k = 0; k < n_out; k++) y[k] += x[i] * w[k];
}
"""


def linear(layer: Layer, tensors: Tensors) -> Function:
    """Return the function `[B, in]` to `[B, out]`."""
    # Stored [out, in] as torch does; laid out [in, out] once, so that a batch needs no transposition.
    weight, bias = np.ascontiguousarray(tensors[layer["weight"]].T), tensors[layer["bias"]]

    def apply(x: np.ndarray) -> np.ndarray:
        x = x @ weight
        x += bias
        return x

    return apply


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
    n_out = weight.shape[0]
    if weight.shape != (n_out, *shape) or len(shape) != 1 or bias.shape != (n_out,):
        raise ValueError("a linear layer does not fit what it takes")
    return (n_out,)


def _macs(layer: Layer, tensors: Tensors) -> int:
    return int(tensors[layer["weight"]].size)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_layers import linear_of

    return linear_of(tensors[layer["weight"]], tensors[layer["bias"]])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors) -> str:
    weight, bias = (graph.constant(tensors[layer[key]], np.float32, layer[key]) for key in ("weight", "bias"))
    return graph.add("Gemm", x, weight, bias, transB=1)


def _c(source: CSource, call: Call) -> bool:
    source.use(DENSE)
    matrix = call.tensors[call.layer["weight"]]
    weight = source.constant(f"weight_{call.place}", matrix.T)
    bias = source.constant(f"bias_{call.place}", call.tensors[call.layer["bias"]])
    source.body.append(f"dense({weight}, {bias}, {call.x}, {call.y}, {matrix.shape[1]}, {matrix.shape[0]});")
    return True


LINEAR = Operation("linear", linear, _shape, has_weights=True, macs=_macs, torch=_torch, onnx=_onnx, c=_c)
