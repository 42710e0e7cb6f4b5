"""Weights and activations in eight bits: how a student's layers look then, and what they compute. NumPy alone.

In: a `Plan` and features that the student sees. Out: `QuantizedLayer`s, which exporters write, and their NumPy twin.

Weights have one step for each output and no shift; the inputs of a layer have one step and one shift, which follow from
the values they take on the calibration states. Sums are whole numbers, biases and activations stay float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.layers import OPS, Function
from policy_distill.plan import Plan


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer: y = output_step (q · weight) + bias, q = round(x / input_step) + input_zero."""

    weight: np.ndarray
    """int8, of the float weight's shape, within ±127."""
    bias: np.ndarray
    """float32 `[out]`, the effect of `input_zero` taken off."""
    input_step: float
    """What one count of the input is worth."""
    input_zero: int
    """The count that stands for an input of 0."""
    output_step: np.ndarray
    """float32 `[out]`: what one count of the sum is worth."""

    @property
    def weight_step(self) -> np.ndarray:
        """What one count of the weight is worth, float32 `[out]`."""
        return np.asarray(self.output_step / np.float32(self.input_step), np.float32)

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Return inputs in whole numbers from -128 to 127."""
        counts = x * np.float32(1.0 / self.input_step)
        return np.clip(np.trunc(counts + np.copysign(np.float32(0.5), counts)) + self.input_zero, -128, 127)


def quantize_plan(
    plan: Plan, features: np.ndarray, tensors: Mapping[str, np.ndarray] | None = None
) -> dict[int, QuantizedLayer]:
    """Return the int8 form of each layer with weights, by its place, calibrated on `features` `[B, ...]`.

    `tensors` stand in for the student's own, as after training through the quantiser.
    """
    tensors = tensors or plan.tensors
    found: dict[int, QuantizedLayer] = {}
    x = features
    for place, layer in enumerate(plan.layers):
        if "weight" in layer:
            weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
            found[place] = quantize_layer(weight, bias, float(x.min()), float(x.max()))
        # An op may overwrite its input.
        x = OPS[layer["op"]](layer, tensors)(np.array(x))
    return found


def quantize_layer(weight: np.ndarray, bias: np.ndarray, low: float, high: float) -> QuantizedLayer:
    """Return a layer in eight bits, for inputs between `low` and `high`."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max(high - low, 1e-8) / 255.0
    zero = int(np.clip(np.round(-128.0 - low / step), -128, 127))
    flat = weight.reshape(len(weight), -1)
    weight_step = np.maximum(np.abs(flat).max(axis=1), 1e-12).astype(np.float64) / 127.0
    counts = np.clip(np.round(flat / weight_step[:, None]), -127, 127)
    output_step = weight_step * step
    return QuantizedLayer(
        weight=counts.astype(np.int8).reshape(weight.shape),
        bias=(bias - zero * counts.sum(axis=1) * output_step).astype(np.float32),
        input_step=step,
        input_zero=zero,
        output_step=output_step.astype(np.float32),
    )


def compile_quantized(plan: Plan, quantized: Mapping[int, QuantizedLayer]) -> Function:
    """Return the function from features to outputs that the int8 artefacts compute."""
    functions = [_function(layer, plan, quantized.get(place)) for place, layer in enumerate(plan.layers)]

    def forward(x: np.ndarray) -> np.ndarray:
        for function in functions:
            x = function(x)
        return x

    return forward


def n_bytes(quantized: Mapping[int, QuantizedLayer]) -> int:
    """Return the bytes of the weights, biases and steps."""
    return sum(one.weight.nbytes + one.bias.nbytes + one.output_step.nbytes for one in quantized.values())


def _function(layer: Mapping[str, Any], plan: Plan, quantized: QuantizedLayer | None) -> Function:
    if quantized is None:
        return OPS[layer["op"]](layer, plan.tensors)
    # float32 holds whole sums up to 2^24 exactly; float64 holds all that can occur.
    names = {"weight": "weight", "bias": "bias"}
    zeros = np.zeros(len(quantized.bias))
    product = OPS[layer["op"]]({**layer, **names}, {"weight": quantized.weight.astype(np.float64), "bias": zeros})
    spread = (-1, 1, 1) if layer["op"] == "conv2d" else (-1,)
    step, bias = quantized.output_step.reshape(spread), quantized.bias.reshape(spread)
    return lambda x: product(quantized.quantize(x).astype(np.float64)).astype(np.float32) * step + bias
