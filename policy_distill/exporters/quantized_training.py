"""Distillation through the quantiser: weights that lose less when they are put into eight bits.

In: a float student and states that it visits. Out: weights of the same shapes, to be quantised as any.

The student is its own teacher. In the forward pass weights and inputs are rounded as they will be; in the backward pass
the rounding is taken for the identity (the straight-through estimator, Bengio et al. 2013, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from policy_distill.student.bits.quantization import QuantizedLayer, quantize_plan
from policy_distill.student.operations.table import find_operation
from policy_distill.student.plan import Plan

BATCH = 256
LEARNING_RATE = 1e-3


def train_through_quantizer(
    plan: Plan, features: np.ndarray, outputs: np.ndarray, steps: int, seed: int
) -> dict[str, np.ndarray]:
    """Return tensors whose quantised network comes closest to `outputs` `[B, n_outputs]` on `features`."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in plan.tensors.items()}
    names = {layer[key] for layer in plan.layers for key in ("weight", "bias") if key in layer}
    optimizer = torch.optim.Adam([tensors[name] for name in names], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x, loss_of = torch.from_numpy(features), mode_loss(plan, outputs)
    quantized = quantize_plan(plan, features)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        loss = loss_of(_forward(plan, tensors, quantized, x[rows]), rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return {name: value.detach().numpy() for name, value in tensors.items()}


def mode_loss(plan: Plan, outputs: np.ndarray) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the loss of other outputs than `outputs` `[B, n_outputs]`, given with the rows that they belong to.

    It is the mean squared difference of the outputs on which the mode depends, each on the scale that it varies on: the
    executed action is to be kept, and ties are decided by differences of logits.
    """
    target = torch.from_numpy(outputs[:, : plan.head.n_modes])
    # A constant added to all logits changes nothing.
    free = plan.is_choice and not plan.head.reference
    target = target - target.mean(dim=1, keepdim=True) if free else target
    scale = target.std(dim=0).mean().clamp_min(1e-6)

    def loss_of(found: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        found = found[:, : plan.head.n_modes]
        found = found - found.mean(dim=1, keepdim=True) if free else found
        return ((found - target[rows]) / scale).square().mean()

    return loss_of


def _forward(
    plan: Plan, tensors: Mapping[str, torch.Tensor], quantized: Mapping[int, QuantizedLayer], x: torch.Tensor
) -> torch.Tensor:
    for place, layer in enumerate(plan.layers):
        op = layer["op"]
        if "weight" in layer:
            one = quantized[place]
            weight, bias = tensors[layer["weight"]], tensors[layer["bias"]]
            if one.input_scale is not None:
                scale = torch.from_numpy(one.input_scale)
                x, weight = x * scale, weight / scale
            x, weight = _round_inputs(x, one), _round_weights(weight)
            if op == "linear":
                x = torch.nn.functional.linear(x, weight, bias)
            else:
                x = torch.nn.functional.conv2d(x, weight, bias, layer["stride"])
        else:
            x = find_operation(op).form("torch", "training")(layer, {})(x)
    return x


def _round_inputs(x: torch.Tensor, one: QuantizedLayer) -> torch.Tensor:
    low, high = (-128 - one.input_zero) * one.input_step, (127 - one.input_zero) * one.input_step
    inside = x.clamp(low, high)
    return inside + ((inside / one.input_step).round() * one.input_step - inside).detach()


def _round_weights(weight: torch.Tensor) -> torch.Tensor:
    step = weight.detach().abs().flatten(1).amax(dim=1).clamp_min(1e-12) / 127.0
    step = step.reshape(-1, *[1] * (weight.dim() - 1))
    return weight + ((weight / step).round() * step - weight).detach()
