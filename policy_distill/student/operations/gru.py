"""`gru`: a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), in the form that cuDNN and torch have.

    r = σ(W_r [x, h] + b_r)    z = σ(W_z [x, h] + b_z)    n = tanh(W_nx x + b_n + r (W_nh h + b_m))
    h' = n + z (h - n)

`weight` is `[3H, I + H]`, the rows of r, z and n, for x and then h; `bias` is `[4H]`: b_r, b_z, b_n, b_m. The state is
h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from policy_distill.student.operations.linear import DENSE
from policy_distill.student.operations.operation import Layer, Operation, Shape, Tensors
from policy_distill.student.operations.tanh import TANH_NEAR

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

GRU_STEP = """\\
/* g has r, z, c and d of one step, each n numbers: the sums are linear in what was seen and remembered. */
static void gru_step(const float *g, float *h, int n) {
    for (int k = 0; k < n; k++) {
        const float c = tanh_near(g[2 * n + k] + tanh_near(g[k]) * g[3 * n + k]);
        h[k] = c + (0.5f + 0.5f * tanh_near(g[n + k])) * (h[k] - c);
    }
}
"""


def gru(layer: Layer, tensors: Tensors) -> Any:
    """Return the function from `[B, I]` and the state `[B, H]` to the next state, twice: it is the output too."""
    weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
    size = len(bias) // 4
    from_x, from_state = (np.ascontiguousarray(part.T) for part in np.split(weight, [weight.shape[1] - size], axis=1))
    half = np.float32(0.5)

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen, kept = x @ from_x + bias[: 3 * size], state @ from_state
        # σ by tanh, which no input is too large for.
        gates = half + half * np.tanh(half * (seen[:, : 2 * size] + kept[:, : 2 * size]))
        new = np.tanh(seen[:, 2 * size :] + gates[:, :size] * (kept[:, 2 * size :] + bias[3 * size :]))
        state = new + gates[:, size:] * (state - new)
        return state, state

    return step


def summed(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `[4H, I + H]` and `[4H]`, float64: the sums r / 2, z / 2, c and d that one step is made of.

    σ(a) = (1 + tanh(a / 2)) / 2, so that with d = m / 2 the candidate is tanh(c + tanh(r / 2) d), c = W_nx x + b_n + d.
    """
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    size = len(bias) // 4
    seen = weight.shape[1] - size
    candidate = weight[2 * size :].copy()
    candidate[:, seen:] *= 0.5
    remembered = candidate.copy()
    remembered[:, :seen] = 0.0
    r, z, n, m = np.split(bias, 4)
    rows = np.concatenate([0.5 * weight[: 2 * size], candidate, remembered])
    return rows, np.concatenate([0.5 * r, 0.5 * z, n + 0.5 * m, 0.5 * m])


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
    size = len(bias) // 4
    if len(shape) != 1 or size < 1 or bias.shape != (4 * size,) or weight.shape != (3 * size, shape[0] + size):
        raise ValueError("a recurrent unit does not fit what it takes")
    return (size,)


def _state(layer: Layer, tensors: Tensors, shape: Shape) -> int:
    return len(tensors[layer["bias"]]) // 4


def _macs(layer: Layer, tensors: Tensors) -> int:
    return int(tensors[layer["weight"]].size)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_memory import GRULayer

    return GRULayer.of(tensors[layer["weight"]], tensors[layer["bias"]])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors, state: str) -> tuple[str, str]:
    # Not the operator GRU, which some runtimes lack and others compute with other activations.
    weight, bias = summed(tensors[layer["weight"]], tensors[layer["bias"]])
    size = len(bias) // 4
    both = graph.add("Concat", x, state, axis=1)
    sums = graph.add("Gemm", both, graph.constant(weight, np.float32), graph.constant(bias, np.float32), transB=1)
    gates = graph.add("Tanh", graph.columns(sums, 0, 2 * size))
    reset, update = graph.columns(gates, 0, size), graph.columns(gates, size, 2 * size)
    moved = graph.add("Mul", reset, graph.columns(sums, 3 * size, 4 * size))
    new = graph.add("Tanh", graph.add("Add", graph.columns(sums, 2 * size, 3 * size), moved))
    half = graph.constant(0.5, np.float32)
    kept = graph.add("Add", graph.add("Mul", update, half), half)
    state = graph.add("Add", new, graph.add("Mul", kept, graph.add("Sub", state, new)))
    return state, state


def _c(source: CSource, call: Call) -> bool:
    for function in (DENSE, TANH_NEAR, GRU_STEP):
        source.use(function)
    weight, bias = summed(call.tensors[call.layer["weight"]], call.tensors[call.layer["bias"]])
    n_in, size = call.shape[0], len(bias) // 4
    source.make_room(max(n_in + size, 4 * size))
    weight_name = source.constant(f"weight_{call.place}", weight.T)
    bias_name = source.constant(f"bias_{call.place}", bias)
    source.body += [
        f"for (int i = 0; i < {size}; i++) {call.x}[{n_in} + i] = {call.memory}[i];",
        f"dense({weight_name}, {bias_name}, {call.x}, {call.y}, {n_in + size}, {4 * size});",
        f"gru_step({call.y}, {call.memory}, {size});",
        f"for (int i = 0; i < {size}; i++) {call.x}[i] = {call.memory}[i];",
    ]
    return False


GRU = Operation("gru", gru, _shape, has_weights=True, macs=_macs, torch=_torch, onnx=_onnx, c=_c, state=_state)
