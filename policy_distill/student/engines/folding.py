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
    normalizer = plan.normalizer
    n_inputs = layers[0].matrix.shape[1] - 1
    if normalizer is None:
        return layers, np.full(n_inputs, -np.inf), np.full(n_inputs, np.inf)
    assert isinstance(normalizer, Normalizer)
    mean, scale = normalizer.mean.ravel(), normalizer.scale.ravel()
    if plan.selected is not None:
        mean, scale = mean[plan.selected], scale[plan.selected]
    weight, bias = layers[0].matrix[:, :-1], layers[0].matrix[:, -1]
    scaled = weight * scale
    first = Dense(np.column_stack([scaled, bias - scaled @ mean]), layers[0].activation)
    reach = normalizer.clip / scale
    return [first, *layers[1:]], mean - reach, mean + reach


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
