"""Perceptrons on vectors as a few matrices, statistics and biases in them: what quick ways of acting are made of.

In: a `Plan` of linear layers and activations. Out: its layers, and the bounds that raw observations are clipped to.

Normalisation, clip((x - m) s, ±c), equals (clip(x, m ± c/s) - m) s: one call clips the raw observation, and s and m go
into the first layer. In float32 that loses digits where |m| s is large, so there the single way computes in float64 and
the batch normalises first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_distill.student.features import Normalizer
from policy_distill.student.operations.gru import summed
from policy_distill.student.operations.history import stacked
from policy_distill.student.plan import Plan

FOLD_LIMIT = 4.0
"""Largest |m| s that is folded into float32 weights; it costs two bits of a feature."""


@dataclass(frozen=True)
class Dense:
    """One linear layer, its bias the last column, and the activation after it."""

    matrix: np.ndarray
    """`[out, in + 1]`."""
    activation: str
    """`tanh`, `relu`, or nothing."""


def fold(plan: Plan) -> tuple[list[Dense], np.ndarray, np.ndarray]:
    """Return layers in float64 that take raw observations, and the bounds `[n]` that these are clipped to before.

    Where only some components are looked at, all of this is of these alone.
    """
    layers = dense_layers(plan)
    statistics = own_statistics(plan)
    n_inputs = layers[0].matrix.shape[1] - 1
    if statistics is None:
        return layers, np.full(n_inputs, -np.inf), np.full(n_inputs, np.inf)
    mean, scale, clip = statistics
    weight, bias = layers[0].matrix[:, :-1], layers[0].matrix[:, -1]
    scaled = weight * scale
    first = Dense(np.column_stack([scaled, bias - scaled @ mean]), layers[0].activation)
    reach = clip / scale
    return [first, *layers[1:]], mean - reach, mean + reach


def own_statistics(plan: Plan) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Return mean and scale of the components that are looked at, and what features are clipped to; None without."""
    normalizer = plan.normalizer
    if normalizer is None:
        return None
    assert isinstance(normalizer, Normalizer)
    mean, scale = normalizer.mean.ravel(), normalizer.scale.ravel()
    if plan.selected is not None:
        mean, scale = mean[plan.selected], scale[plan.selected]
    return mean, scale, normalizer.clip


def dense_layers(plan: Plan) -> list[Dense]:
    """Return the linear layers with their activations, float64; other layers are left out."""
    found: list[Dense] = []
    for layer in plan.layers:
        if layer["op"] == "linear":
            weight, bias = plan.tensors[layer["weight"]], plan.tensors[layer["bias"]]
            found.append(Dense(np.column_stack([weight, bias]).astype(np.float64), ""))
        elif layer["op"] in ("tanh", "relu"):
            found[-1] = Dense(found[-1].matrix, layer["op"])
    return found


def unit_of(plan: Plan) -> tuple[np.ndarray, np.ndarray] | None:
    """Return what makes the sums of a recurrent unit's step, `[4H, n + S]` and `[4H]`, float64; None without one.

    They are of what is seen, and of all that is remembered behind it, as `gru.summed`.
    """
    for part in plan.memory.parts:
        if part.kind == "gru":
            layer = plan.layers[part.place]
            weight, bias = summed(plan.tensors[layer["weight"]], plan.tensors[layer["bias"]])
            return _of_stack(plan, weight), bias
    return None


def layers_behind(plan: Plan) -> list[Dense]:
    """Return the dense layers behind a memory: of a unit's state, or of what is seen and remembered."""
    first, *rest = dense_layers(plan)
    if any(part.kind == "gru" for part in plan.memory.parts):
        return [first, *rest]
    return [Dense(_of_stack(plan, first.matrix), first.activation), *rest]


def _of_stack(plan: Plan, weight: np.ndarray) -> np.ndarray:
    """Return weights of what is seen and was seen before, for weights of what is seen and what changed."""
    first = plan.memory.parts[0]
    if first.kind != "history":
        return weight
    layer, stack = plan.layers[first.place], stack_of(plan)
    found = stacked(weight, stack.seen // (layer["steps"] - 1), layer["steps"], layer["gain"])
    if not stack.held:
        return found
    # Nothing follows from whether there was a step: that stands behind what was seen and done.
    return np.insert(found, stack.seen // (layer["steps"] - 1) + stack.seen + stack.done, 0.0, axis=1)


@dataclass(frozen=True)
class Stack:
    """How many numbers of a state are what was seen before, and what was done since."""

    seen: int
    done: int
    action: int
    """Of `done`, those of one action; 0 where actions are not remembered."""
    held: bool
    """True where a number follows that is 1 once there was a step; before, all that was seen is what is seen first."""

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.seen + self.done + self.held


def stack_of(plan: Plan) -> Stack:
    """Return the parts of the state of a plan's history; of no size where it has none."""
    first = plan.memory.parts[0]
    if first.kind != "history":
        return Stack(0, 0, 0, False)
    layer = plan.layers[first.place]
    n_before, n_action, held = layer["steps"] - 1, layer.get("actions", 0), layer.get("held", False)
    return Stack(first.size - held - n_before * n_action, n_before * n_action, n_action, held)


def mode_layers(plan: Plan, layers: list[Dense]) -> list[Dense]:
    """Return layers of which the last gives no more than the deterministic action follows from.

    Of one choice these are all its logits: where the first is 0 and no output, a row of zeros gives it.
    """
    *hidden, last = layers
    matrix = last.matrix[: plan.head.n_modes]
    if plan.is_choice:
        matrix = plan.head.all_rows(matrix)
    return [*hidden, Dense(matrix, last.activation)]


def foldable(plan: Plan) -> bool:
    """Say whether normalisation may go into float32 weights."""
    normalizer = plan.normalizer
    if normalizer is None:
        return True
    return isinstance(normalizer, Normalizer) and float(np.abs(normalizer.mean * normalizer.scale).max()) <= FOLD_LIMIT
