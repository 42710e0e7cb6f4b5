"""Training through the rounding to four bits or three values, on stored labels.

In: a trained student and labelled states. Out: whole weights with one step for each output, ready to be packed.

In the forward pass weights and inputs are rounded as they will be; in the backward pass the rounding is taken for the
identity (Bengio et al. 2013, arXiv 1308.3432). The steps are learnt along with the weights (Esser et al. 2020, arXiv
1902.08153): of seven or three values no one can tell beforehand how far apart they should lie.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from policy_distill.interfaces import Loss
from policy_distill.student.low_bit import BITS, LIMITS, LowBitLayers
from policy_distill.student.plan import Plan
from policy_distill.student.quantization import QuantizedLayer, quantize_plan
from policy_distill.training.buffer import Batch
from policy_distill.training.dense_step import is_dense
from policy_distill.training.policy import StudentPolicy

STEPS = 4000
BATCH = 256
LEARNING_RATE = 2e-3
HALF = torch.tensor(0.5)
N_TRIED = 64
"""Steps that are tried for each output before training."""


def train_low_bit(
    student: StudentPolicy, states: Batch, loss: Loss, method: str, *, steps: int = STEPS, seed: int = 0
) -> LowBitLayers:
    """Return a student's layers with few bits, trained to keep the loss small on labelled states.

    Args:
        student: a dense one; it stays as it is.
        states: features `[B, D]` and labels `[B, P]`; they also tell the ranges of all inputs.
        loss: the divergence from the labels.
        method: a key of `BITS`: `int4` or `ternary`.
        steps: gradient steps; 0 rounds the weights as they are.
        seed: of the minibatches.

    Raises:
        ValueError: for a student that is not dense, or an unknown method.
    """
    if not is_dense(student) or method not in BITS:
        raise ValueError(f"expected a dense student and a method of {', '.join(BITS)}, found {method!r}")
    plan = student.to_record({}).plan
    rounded = quantize_plan(plan, states.features.numpy())
    bits = {place: BITS[method] if index else 8 for index, place in enumerate(rounded)}
    layers = {place: _Rounded(plan, place, one, LIMITS[bits[place]]) for place, one in rounded.items()}
    optimizer = torch.optim.Adam([leaf for layer in layers.values() for leaf in layer.leaves()], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(states.features), (BATCH,), generator=generator)
        params = _params(student, plan, layers, states.features[rows])
        value = loss(student.spec.family, states.teacher_params[rows], params).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return LowBitLayers({place: layer.finished() for place, layer in layers.items()}, bits)


class _Rounded:
    """A linear layer whose weights and inputs are rounded, and whose weights, bias and steps learn."""

    def __init__(self, plan: Plan, place: int, one: QuantizedLayer, limit: int) -> None:
        names = plan.layers[place]
        self.one, self.limit = one, limit
        weight = plan.tensors[names["weight"]] / (1.0 if one.input_scale is None else one.input_scale)
        self.weight = torch.tensor(weight, dtype=torch.float32, requires_grad=True)
        self.bias = torch.tensor(plan.tensors[names["bias"]], requires_grad=True)
        self.log_step = torch.tensor(np.log(best_steps(weight, limit)), dtype=torch.float32, requires_grad=True)
        # The step of a row collects the slopes of all its weights.
        self._share = 1.0 / math.sqrt(weight.shape[1] * limit)

    def leaves(self) -> list[torch.Tensor]:
        """Return what learns."""
        return [self.weight, self.bias, self.log_step]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's outputs `[B, out]` for float inputs `[B, in]`."""
        one = self.one
        # As `QuantizedLayer.quantize` rounds: tanh at its ends lies half way between two counts.
        counts = (x * torch.from_numpy(one.per_step)).clamp(-128 - one.input_zero, 127 - one.input_zero)
        away = (counts + torch.copysign(HALF, counts)).trunc()
        inputs = (counts + (away - counts).detach()) * one.input_step
        log_step = self.log_step * self._share + (self.log_step * (1 - self._share)).detach()
        step = log_step.exp()[:, None]
        weight = (self.weight / step).clamp(-self.limit, self.limit)
        weight = (weight + (weight.round() - weight).detach()) * step
        return nn.functional.linear(inputs, weight, self.bias)

    @torch.no_grad()
    def finished(self) -> QuantizedLayer:
        """Return the layer in whole numbers."""
        one, step = self.one, self.log_step.exp().numpy().astype(np.float64)
        counts = np.clip(np.round(self.weight.numpy() / step[:, None]), -self.limit, self.limit)
        output_step = step * one.input_step
        bias = self.bias.numpy() - one.input_zero * counts.sum(axis=1) * output_step
        return QuantizedLayer(
            weight=counts.astype(np.int8),
            bias=bias.astype(np.float32),
            input_scale=one.input_scale,
            input_step=one.input_step,
            input_zero=one.input_zero,
            output_step=output_step.astype(np.float32),
        )


def best_steps(weight: np.ndarray, limit: int) -> np.ndarray:
    """Return for each row of weights `[out, in]` the step, float64 `[out]`, at which rounding loses least of it.

    Counts go from -`limit` to `limit`; what is lost is measured by its square.
    """
    widest = np.maximum(np.abs(weight).max(axis=1), 1e-12).astype(np.float64) / limit
    tried = widest[:, None] * np.linspace(1.0, 0.1, N_TRIED)
    counts = np.clip(np.round(weight[:, None] / tried[:, :, None]), -limit, limit)
    lost = np.square(counts * tried[:, :, None] - weight[:, None]).sum(axis=2)
    return np.asarray(tried[np.arange(len(tried)), lost.argmin(axis=1)])


def _params(student: StudentPolicy, plan: Plan, layers: dict[int, _Rounded], x: torch.Tensor) -> torch.Tensor:
    for place, layer in enumerate(plan.layers):
        x = layers[place](x) if place in layers else {"tanh": torch.tanh, "relu": torch.relu}[layer["op"]](x)
    return x if student.log_std is None else torch.cat([x, student.log_std.detach().expand_as(x)], dim=1)
