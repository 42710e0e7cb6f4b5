"""The end of an ONNX graph: from the network's outputs to the distribution's parameters and the executed action."""

from __future__ import annotations

import numpy as np

from policy_distill.student.actions import MASKED
from policy_distill.student.engines.onnx_builder import Graph
from policy_distill.student.plan import GAUSSIANS, Plan

MASKS = "action_masks"
"""The input that allows actions."""
OUTPUTS = ("action", "logits", "mean", "log_std", "outputs", MASKS)
"""What outputs of a graph may be called, and that input."""


def name_outputs(graph: Graph, plan: Plan, x: str, named: bool) -> dict[str, int]:
    """Name the network's outputs; return their sizes by name, what the mode follows from first."""
    if not named:
        graph.rename(x, "outputs")
        return {"outputs": plan.n_outputs}
    if plan.family not in GAUSSIANS:
        name = "mean" if plan.family == "deterministic" else "logits"
        graph.rename(x, name)
        return {name: plan.n_outputs}
    if plan.n_outputs > plan.n_modes:
        graph.columns(x, 0, plan.n_modes, "mean")
        graph.columns(x, plan.n_modes, plan.n_outputs, "log_std")
    else:
        graph.rename(x, "mean")
        # One vector for all states: as many rows as there are observations, as the other outputs have.
        log_std = graph.constant(plan.tensors["log_std"], np.float32)
        graph.add("Add", graph.add("Mul", "mean", graph.constant(0, np.float32)), log_std, output="log_std")
    return {"mean": plan.n_modes, "log_std": plan.n_modes}


def add_masks(graph: Graph, x: str) -> str:
    """Add the choice of the allowed logits.

    The input has no default: a host that cannot set such inputs, as those in JavaScript, passes over them in silence.
    """
    return graph.add("Where", MASKS, x, graph.constant(MASKED, np.float32))


def add_mode(graph: Graph, plan: Plan, x: str) -> str:
    """Add what finds the mode of the distribution in the outputs called `x`."""
    if plan.family == "categorical":
        return graph.add("ArgMax", x, axis=1, keepdims=0)
    if plan.family == "multi_categorical":
        ends = np.cumsum(plan.family_config["nvec"])
        heads = [graph.columns(x, end - n, end) for n, end in zip(plan.family_config["nvec"], ends, strict=True)]
        return graph.add("Concat", *(graph.add("ArgMax", head, axis=1, keepdims=1) for head in heads), axis=1)
    if plan.family == "bernoulli":
        return graph.cast(graph.add("Greater", x, graph.constant(0, np.float32)), np.int64)
    if x == "outputs" and plan.n_outputs > plan.n_modes:
        x = graph.columns(x, 0, plan.n_modes)
    return graph.add("Tanh", x) if plan.family == "squashed_gaussian" else x


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
