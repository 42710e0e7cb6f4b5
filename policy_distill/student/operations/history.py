"""`history`: what is seen and how it changed at each of the last steps: {"op": "history", "steps": 4, "gain": 8.0}.

    y = [x_t, g (x_t - x_t-1), g (x_t-1 - x_t-2), ...]

That says as much as the last observations side by side, and is much quicker learnt from: features change little from
step to step. The state is x_t-1, x_t-2, ...; before an episode there were zeros, of measured features their means.

With "held": true there was what is seen first, so that nothing has changed yet: changes from zeros are large, rare, and
say nothing. The state then ends with a number that is 1 once there was a step.

With "actions": n the actions between these observations stand behind them, n numbers each, the newest first, in y as in
the state. The next state has room for the action that follows.
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
    """Return the function from `[B, n]` and the state to `y` and the next state."""
    gain, steps, n_actions = np.float32(layer["gain"]), layer["steps"], layer.get("actions", 0)
    held = int(layer.get("held", False))

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = x.shape[1]
        before, taken = state[:, : (steps - 1) * n], state[:, (steps - 1) * n : state.shape[1] - held]
        if held:
            before = np.where(state[:, -1:] > 0, before, np.tile(x, (1, steps - 1)))
        seen = np.concatenate([x, before], axis=1)
        changes = gain * (seen[:, :-n] - seen[:, n:])
        room, begun = np.zeros((len(x), n_actions), np.float32), np.ones((len(x), held), np.float32)
        after = [seen[:, :-n], room, taken[:, : taken.shape[1] - n_actions], begun]
        return np.concatenate([x, changes, taken], axis=1), np.concatenate(after, axis=1)

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
    steps, gain, n_actions = layer["steps"], layer["gain"], layer.get("actions", 0)
    if len(shape) != 1 or type(steps) is not int or not 2 <= steps <= MAX_STEPS:
        raise ValueError("a history without a vector, or of fewer than 2 steps")
    if not (isinstance(gain, float) and math.isfinite(gain)):
        raise ValueError("a gain that is not a number")
    if type(n_actions) is not int or n_actions < 0:
        raise ValueError("actions without a size")
    if not isinstance(layer.get("held", False), bool):
        raise ValueError("a beginning that is neither held nor not")
    return (steps * shape[0] + (steps - 1) * n_actions,)


def _state(layer: Layer, tensors: Tensors, shape: Shape) -> int:
    return int((layer["steps"] - 1) * (shape[0] + layer.get("actions", 0)) + layer.get("held", False))


def _awaits(layer: Layer, tensors: Tensors, shape: Shape) -> tuple[int, int]:
    return int((layer["steps"] - 1) * shape[0]), layer.get("actions", 0)


def _torch(layer: Layer, tensors: Tensors) -> nn.Module:
    from policy_distill.student.engines.torch_memory import HistoryLayer

    return HistoryLayer(layer["steps"], layer["gain"], layer.get("actions", 0), held=layer.get("held", False))


def _onnx(graph: Graph, x: str, layer: Layer, tensors: Tensors, state: str) -> tuple[str, str]:
    steps, n_taken, held = layer["steps"], (layer["steps"] - 1) * layer.get("actions", 0), layer.get("held", False)
    begun: list[str] = []
    if held:
        state, flag = graph.columns(state, 0, -1), graph.columns(state, -1)
        # As many ones as there are rows.
        begun = [graph.add("Add", graph.add("Mul", flag, graph.constant(0, np.float32)), graph.constant(1, np.float32))]
    # All but what is behind them: how many these are is in no record.
    before, taken = (graph.columns(state, 0, -n_taken), graph.columns(state, -n_taken)) if n_taken else (state, "")
    if held:
        first = graph.add("Concat", *[x] * (steps - 1), axis=1)
        before = graph.add("Where", graph.add("Greater", flag, graph.constant(0, np.float32)), before, first)
    seen = graph.add("Concat", x, before, axis=1)
    # All but the oldest features, as many as the state had.
    width = graph.add("Shape", before, start=1, end=2)
    start, step = (graph.constant([value], np.int64) for value in (0, 1))
    after = graph.add("Slice", seen, start, width, step)
    changes = graph.add("Mul", graph.add("Sub", after, before), graph.constant(layer["gain"], np.float32))
    parts = [after]
    if n_taken:
        # What stands where the newest action is awaited is of no meaning.
        room = graph.columns(taken, 0, layer["actions"])
        parts.append(graph.columns(graph.add("Concat", room, taken, axis=1), 0, n_taken))
    output = graph.add("Concat", x, changes, *([taken] if n_taken else []), axis=1)
    return output, graph.add("Concat", *parts, *begun, axis=1)


def _c(source: CSource, call: Call) -> bool:
    n, steps = call.shape[0], call.layer["steps"]
    size, x, memory, gain = (steps - 1) * n, call.x, call.memory, source.number(call.layer["gain"])
    n_actions = call.layer.get("actions", 0)
    n_taken = (steps - 1) * n_actions
    source.make_room(steps * n + n_taken)
    if call.layer.get("held", False):
        flag = f"{memory}[{size + n_taken}]"
        source.body += [
            f"for (int i = 0; {flag} == 0.0f && i < {size}; i++) {memory}[i] = {x}[i % {n}];",
            f"{flag} = 1.0f;",
        ]
    if n_taken:
        newer = f"{memory}[{size - n_actions} + i]"
        source.body += [
            f"for (int i = 0; i < {n_taken}; i++) {x}[{n + size} + i] = {memory}[{size} + i];",
            f"for (int i = {n_taken - 1}; i >= {n_actions}; i--) {memory}[{size} + i] = {newer};",
        ]
    source.body += [
        f"for (int i = 0; i < {size}; i++) {x}[{n} + i] = {memory}[i];",
        f"for (int i = 0; i < {size}; i++) {memory}[i] = {x}[i];",
        f"for (int i = {size - 1}; i >= 0; i--) {x}[{n} + i] = {gain} * ({x}[i] - {x}[{n} + i]);",
    ]
    return False


HISTORY = Operation("history", history, _shape, torch=_torch, onnx=_onnx, c=_c, state=_state, awaits=_awaits)
