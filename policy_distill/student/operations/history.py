"""`history`: the last features side by side, the newest first: {"op": "history", "steps": 4}.

The state is those before the newest, `[B, (steps - 1) n]`; before an episode there were zeros, which of measured
features are their means.
"""

from __future__ import annotations

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

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        stacked = np.concatenate([x, state], axis=1)
        return stacked, stacked[:, : state.shape[1]].copy()

    return step


def _shape(layer: Layer, tensors: Tensors, shape: Shape) -> Shape:
    steps = layer["steps"]
    if len(shape) != 1 or type(steps) is not int or not 2 <= steps <= MAX_STEPS:
        raise ValueError("a history of no vector, or of fewer than 2 steps")
    return (steps * shape[0],)


def _state(layer: Layer, tensors: Tensors, shape: Shape) -> int:
    return int((layer["steps"] - 1) * shape[0])


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_memory import HistoryLayer

    return HistoryLayer(layer["steps"])


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors, state: str) -> tuple[str, str]:
    stacked = graph.add("Concat", x, state, axis=1)
    # As wide as the state was: all but the oldest features.
    width = graph.add("Shape", state, start=1, end=2)
    bounds = [graph.constant([0], np.int64), width, graph.constant([1], np.int64)]
    return stacked, graph.add("Slice", stacked, *bounds)


def _c(source: CSource, call: Call) -> bool:
    n, steps = call.shape[0], call.layer["steps"]
    size = (steps - 1) * n
    source.make_room(steps * n)
    source.body += [
        f"for (int i = 0; i < {size}; i++) {call.x}[{n} + i] = memory[i];",
        f"for (int i = 0; i < {size}; i++) memory[i] = {call.x}[i];",
    ]
    return False


HISTORY = Operation("history", history, _shape, torch=_torch, onnx=_onnx, c=_c, state=_state)
