"""`history`: what is seen and how it changed at each of the last steps: {"op": "history", "steps": 4, "gain": 8.0}.

    y = [x_t, g (x_t - x_t-1), g (x_t-1 - x_t-2), ...]

That says as much as the last observations side by side, and is much quicker learnt from: features change little from
step to step. The state is x_t-1, x_t-2, ...; before an episode there were zeros, of measured features their means.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_distill.student.operations.operation import Layer, Operation, Shape, Tensors

if TYPE_CHECKING:
    from torch import nn

    from policy_distill.exporters.c99.source import Call, CSource
    from policy_distill.student.engines.onnx_builder import Graph

MAX_STEPS = 1024


def history(layer: Layer, tensors: Tensors) -> Any:
    """Return the function from `[B, n]` and the state `[B, (steps - 1) n]` to `[B, steps n]` and the next state."""
    gain = np.float32(layer["gain"])

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, seen = x.shape[1], np.concatenate([x, state], axis=1)
        changes = gain * (seen[:, :-n] - seen[:, n:])
        return np.concatenate([x, changes], axis=1), seen[:, :-n]

    return step


def stacked(weight: np.ndarray, n: int, steps: int, gain: float) -> np.ndarray:
    """Return weights `[out, steps n + ...]` for x and the state in place of x and its changes; what follows stays."""
    found = weight.copy()
    for step in range(1, steps):
        changes = gain * weight[:, step * n : (step + 1) * n]
        found[:, step * n : (step + 1) * n] = 0.0
        found[:, (step - 1) * n : step * n] += changes
        found[:, step * n : (step + 1) * n] -= changes
    return found


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    steps, gain = layer["steps"], layer["gain"]
    if len(shape) != 1 or type(steps) is not int or not 2 <= steps <= MAX_STEPS:
        raise ValueError("a history of no vector, or of fewer than 2 steps")
    if not (isinstance(gain, float) and math.isfinite(gain)):
        raise ValueError("a gain that is no number")
    return (steps * shape[0],)


def _state(layer: Layer, tensors: Tensors, shape: Shape) -> int:
    return int((layer["steps"] - 1) * shape[0])


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_memory import HistoryLayer

    return HistoryLayer(layer["steps"], layer["gain"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors, state: str) -> tuple[str, str]:
    seen = graph.add("Concat", x, state, axis=1)
    # All but the oldest features, as many as the state had.
    width = graph.add("Shape", state, start=1, end=2)
    start, step = (graph.constant([value], np.int64) for value in (0, 1))
    after = graph.add("Slice", seen, start, width, step)
    changes = graph.add("Mul", graph.add("Sub", after, state), graph.constant(layer["gain"], np.float32))
    return graph.add("Concat", x, changes, axis=1), after


def _c(source: CSource, call: Call) -> bool:
    n, steps = call.shape[0], call.layer["steps"]
    size, x, memory, gain = (steps - 1) * n, call.x, call.memory, source.number(call.layer["gain"])
    source.make_room(steps * n)
    source.body += [
        f"for (int i = 0; i < {size}; i++) {x}[{n} + i] = {memory}[i];",
        f"for (int i = 0; i < {size}; i++) {memory}[i] = {x}[i];",
        f"for (int i = {size - 1}; i >= 0; i--) {x}[{n} + i] = {gain} * ({x}[i] - {x}[{n} + i]);",
    ]
    return False


HISTORY = Operation("history", history, _shape, torch=_torch, onnx=_onnx, c=_c, state=_state)
