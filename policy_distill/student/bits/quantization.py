"""Weights and activations in eight bits: how a student's layers look then, and what they compute. NumPy alone.

In: a `Plan` and features that the student sees. Out: `QuantizedLayer`s, which exporters write, and their NumPy twin.

Weights have one step for each output and no shift; the inputs of a layer have one step and one shift, which follow from
the values they take on the calibration states. Features of a vector differ in size, so each is first multiplied by a
constant, which goes into the first weights. Sums are whole numbers, biases and activations stay float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.layers import composed
from policy_distill.student.operations.operation import Function
from policy_distill.student.operations.table import find_operation
from policy_distill.student.plan import Plan

BALANCE = 0.75
"""How far the sizes of features are evened out before the first layer: 0 not at all, 1 wholly."""


@dataclass(frozen=True)
class QuantizedLayer:
    """A linear or convolutional layer: y = output_step (q · weight) + bias, q = round(x / input_step) + input_zero."""

    weight: np.ndarray
    """int8, of the float weight's shape, within ±127."""
    bias: np.ndarray
    """float32 `[out]`, the effect of `input_zero` taken off."""
    input_scale: np.ndarray | None
    """float32 `[in]`: what inputs are multiplied by first, the weights being divided by it; None for no change."""
    input_step: float
    """What one count of the input is worth."""
    input_zero: int
    """The count that stands for an input of 0."""
    output_step: np.ndarray
    """float32 `[out]`: what one count of the sum is worth."""
    bits: int = 8
    """That a weight takes where it is packed; see `low_bit`."""

    @property
    def weight_step(self) -> np.ndarray:
        """What one count of the weight is worth, float32 `[out]`."""
        return np.asarray(self.output_step / np.float32(self.input_step), np.float32)

    @property
    def per_step(self) -> np.ndarray:
        """What an input is multiplied by to be counted, float32, `[in]` or one number."""
        per_step = np.float32(1.0 / self.input_step)
        return np.asarray(per_step if self.input_scale is None else self.input_scale * per_step, np.float32)

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Return inputs in whole numbers from -128 to 127."""
        counts = x * self.per_step
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
            _require_form(layer["op"])
            first = all(before["op"] == "select" for before in plan.layers[:place])
            scale = balance(x, weight) if first and weight.ndim == 2 else None
            scaled = x if scale is None else x * scale
            found[place] = quantize_layer(weight, bias, float(scaled.min()), float(scaled.max()), scale)
        # An op may overwrite its input.
        x = find_operation(layer["op"]).numpy(layer, tensors)(np.array(x))
    return found


def balance(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return what each input is multiplied by, float32 `[in]`, so that inputs and weights share the loss of digits.

    The idea of SmoothQuant (arXiv 2211.10438); the exponent is the best of 1/4, 1/2, 3/4 and 1 on two students.
    """
    inputs = np.maximum(np.abs(x).max(axis=0), 1e-6).astype(np.float64)
    weights = np.maximum(np.abs(weight).max(axis=0), 1e-6)
    return (weights ** (1 - BALANCE) / inputs**BALANCE).astype(np.float32)


def quantize_layer(
    weight: np.ndarray, bias: np.ndarray, low: float, high: float, scale: np.ndarray | None = None
) -> QuantizedLayer:
    """Return a layer in eight bits, for inputs that after multiplication by `scale` lie between `low` and `high`."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max(high - low, 1e-8) / 255.0
    zero = int(np.clip(np.round(-128.0 - low / step), -128, 127))
    flat = weight.reshape(len(weight), -1)
    flat = flat if scale is None else flat / scale
    weight_step = np.maximum(np.abs(flat).max(axis=1), 1e-12).astype(np.float64) / 127.0
    counts = np.clip(np.round(flat / weight_step[:, None]), -127, 127)
    output_step = weight_step * step
    return QuantizedLayer(
        weight=counts.astype(np.int8).reshape(weight.shape),
        bias=(bias - zero * counts.sum(axis=1) * output_step).astype(np.float32),
        input_scale=scale,
        input_step=step,
        input_zero=zero,
        output_step=output_step.astype(np.float32),
    )


def compile_quantized(plan: Plan, quantized: Mapping[int, QuantizedLayer]) -> Function:
    """Return the function from features to outputs that the int8 artefacts compute."""
    return composed([_function(layer, plan, quantized.get(place)) for place, layer in enumerate(plan.layers)])


def _require_form(op: str) -> None:
    if op not in ("linear", "conv2d"):
        raise RequestError(f"the operation {op!r} has no form for weights in eight bits; leave out --quantize")


def n_bytes(quantized: Mapping[int, QuantizedLayer]) -> int:
    """Return the bytes of the packed weights, biases and steps."""
    arrays = [array for one in quantized.values() for array in (one.bias, one.output_step, one.input_scale)]
    weights = sum(-(-one.weight.size * one.bits // 8) for one in quantized.values())
    return weights + sum(array.nbytes for array in arrays if array is not None)


def _function(layer: Mapping[str, Any], plan: Plan, quantized: QuantizedLayer | None) -> Function:
    if quantized is None:
        return find_operation(layer["op"]).numpy(layer, plan.tensors)
    # float32 holds whole sums up to 2^24 exactly; float64 holds all that can occur.
    names = {"weight": "weight", "bias": "bias"}
    zeros = np.zeros(len(quantized.bias))
    counted = {"weight": quantized.weight.astype(np.float64), "bias": zeros}
    product = find_operation(layer["op"]).numpy({**layer, **names}, counted)
    spread = (-1, 1, 1) if layer["op"] == "conv2d" else (-1,)
    step, bias = quantized.output_step.reshape(spread), quantized.bias.reshape(spread)
    return lambda x: product(quantized.quantize(x).astype(np.float64)).astype(np.float32) * step + bias
