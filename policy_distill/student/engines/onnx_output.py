"""The end of an ONNX graph: from the network's outputs to the distribution's parameters and the executed action."""

from __future__ import annotations

import numpy as np

from policy_distill.student.engines.onnx_builder import Graph
from policy_distill.student.head import MASKED
from policy_distill.student.plan import Plan

MASKS = "action_masks"
"""The input that allows actions."""
STATE_IN, STATE_OUT = "h_in", "h_out"
"""What a student with a memory remembers, before and after a step."""
AWAITING = "h_awaiting"
"""The next state of a student that remembers its actions, before the newest one is written there."""
EXTRA = "log_std"
OUTPUTS = ("action", "logits", "mean", EXTRA, "outputs", MASKS, STATE_IN, STATE_OUT)
"""What outputs of a graph may be called, and those inputs."""


def name_outputs(graph: Graph, plan: Plan, x: str, named: bool) -> tuple[str, dict[str, int]]:
    """Name the network's outputs; return what the mode follows from, and the sizes of the outputs by name."""
    head = plan.head
    if not named:
        graph.rename(x, "outputs")
        modes = graph.columns("outputs", 0, head.n_modes) if head.extra else "outputs"
        return _all_scores(graph, plan, modes), {"outputs": head.n_outputs}
    name = "logits" if head.is_discrete else "mean"
    sizes = {name: head.n_scores}
    if head.extra:
        graph.columns(x, head.n_modes, head.n_outputs, EXTRA)
        sizes[EXTRA] = head.extra
        graph.rename(_all_scores(graph, plan, graph.columns(x, 0, head.n_modes)), name)
    else:
        graph.rename(_all_scores(graph, plan, x), name)
    if plan.log_std == "vector":
        # One vector for all states: as many rows as there are observations, as the other outputs have.
        log_std = graph.constant(plan.tensors["log_std"], np.float32)
        graph.add("Add", graph.add("Mul", name, graph.constant(0, np.float32)), log_std, output=EXTRA)
        sizes[EXTRA] = head.n_modes
    return name, sizes


def _all_scores(graph: Graph, plan: Plan, x: str) -> str:
    """Add the logits of 0 that are no outputs of the network."""
    if not plan.head.reference:
        return x
    after_zero = graph.add("Pad", x, graph.constant([0, 1, 0, 0], np.int64))
    return graph.add("Gather", after_zero, graph.constant(plan.head.places, np.int64), axis=1)


def add_masks(graph: Graph, x: str) -> str:
    """Add the choice of the allowed logits.

    The input has no default: a host that cannot set such inputs, as those in JavaScript, passes over them in silence.
    """
    return graph.add("Where", MASKS, x, graph.constant(MASKED, np.float32))


def add_mode(graph: Graph, plan: Plan, x: str) -> str:
    """Add what finds the mode in the scores called `x`."""
    head = plan.head
    if head.kind == "argmax":
        if plan.is_choice:
            return graph.add("ArgMax", x, axis=1, keepdims=0)
        ends = np.cumsum(head.sizes)
        choices = [graph.columns(x, end - n, end) for n, end in zip(head.sizes, ends, strict=True)]
        return graph.add("Concat", *(graph.add("ArgMax", choice, axis=1, keepdims=1) for choice in choices), axis=1)
    if head.kind == "threshold":
        # A choice of whole numbers, not a cast to them: tract takes such a cast for one to symbolic sizes.
        above = graph.add("Greater", x, graph.constant(0, np.float32))
        return graph.add("Where", above, graph.constant(1, np.int64), graph.constant(0, np.int64))
    return graph.add("Tanh", x) if head.kind == "tanh" else x


def add_execution(graph: Graph, plan: Plan, x: str) -> None:
    """Add what makes the executed action of the mode."""
    action_map = plan.action_map
    if action_map.kind == "index":
        if np.any(action_map.start):
            x = graph.add("Add", x, graph.constant(action_map.start, np.int64))
        x = graph.cast(x, action_map.dtype) if action_map.dtype != "int64" else x
    else:
        x = _bounded(graph, plan, x)
        x = graph.cast(x, action_map.dtype) if action_map.dtype != "float32" else x
    if len(action_map.shape) > 1:
        x = graph.reshape(x, [-1, *action_map.shape])
    # An output of its own, since what comes before may be one already.
    graph.add("Identity", x, output="action")


def add_taken(graph: Graph, plan: Plan, mode: str) -> None:
    """Add what writes the action into the next state, as of `ActionFeatures`."""
    taken, awaited = plan.taken, plan.memory.awaited
    assert awaited is not None
    if taken.sizes:
        columns = graph.reshape(mode, [-1, len(taken.sizes)])
        own = [
            graph.cast(graph.add("Equal", graph.columns(columns, k, k + 1), options), np.float32)
            for k, options in enumerate(graph.constant(np.arange(size)[None], np.int64) for size in taken.sizes)
        ]
        found = graph.add("Concat", *own, axis=1)
    else:
        middle, factor = (graph.constant(values, np.float32) for values in taken.scale)
        flat = graph.cast(graph.reshape("action", [-1, taken.n]), np.float32)
        found = graph.add("Mul", graph.add("Sub", flat, middle), factor)
    parts = [graph.columns(AWAITING, 0, awaited.start), found, graph.columns(AWAITING, awaited.stop)]
    graph.add("Concat", *parts, axis=1, output=STATE_OUT)


def _bounded(graph: Graph, plan: Plan, x: str) -> str:
    action_map = plan.action_map
    if action_map.kind == "none":
        return x
    assert action_map.low is not None and action_map.high is not None
    low, high = action_map.low.ravel(), action_map.high.ravel()
    bounds = [graph.constant(bound, np.float32) for bound in (low, high)]
    if action_map.kind == "clip":
        return graph.add("Max", graph.add("Min", x, bounds[1]), bounds[0])
    if (low == -1).all() and (high == 1).all():
        return x
    half = graph.constant(0.5 * (high - low), np.float32)
    return graph.add("Add", graph.add("Mul", graph.add("Add", x, graph.constant(1, np.float32)), half), bounds[0])
