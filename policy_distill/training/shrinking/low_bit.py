"""Training through the rounding to four bits or three values, on stored labels.

In: a trained student and labelled states. Out: whole weights with one step for each output, ready to be packed.

In the forward pass weights and inputs are rounded as they will be; in the backward pass the rounding is taken for the
identity (Bengio et al. 2013, arXiv 1308.3432). The steps are learnt along with the weights (Esser et al. 2020, arXiv
1902.08153): of seven or three values no one can tell beforehand how far apart they should lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.student.bits.low_bit import BITS, LIMITS
from policy_distill.student.bits.quantization import QuantizedLayer, quantize_plan
from policy_distill.student.operations.table import find_operation
from policy_distill.student.plan import Plan
from policy_distill.system.threads import threads_for
from policy_distill.training.policy import StudentPolicy

STEPS = 4000
BATCH = 256
LEARNING_RATE = 2e-3
HALF = torch.tensor(0.5)
N_TRIED = 64
"""Steps that are tried for each output before training."""

LossOfRows = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From outputs of the network `[B, n_outputs]` and the rows of their states, int64 `[B]`, to the mean loss."""


def train_low_bit(
    student: StudentPolicy, states: Batch, loss: Loss, method: str, *, steps: int | None = None, seed: int = 0
) -> dict[int, QuantizedLayer]:
    """Return a student's layers with few bits, by their place, trained to keep the loss small on labelled states.

    Args:
        student: one of linear layers; it stays as it is.
        states: features `[B, D]` and labels `[B, P]`; they also tell the ranges of all inputs.
        loss: the divergence from the labels.
        method: a key of `BITS`: `int4` or `ternary`.
        steps: gradient steps, `STEPS` where None; 0 rounds the weights as they are.
        seed: of the minibatches.

    Raises:
        RequestError: for another method, or weights that are not those of linear layers.
    """

    def loss_of(outputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        log_std = [] if student.log_std is None else [student.log_std.detach().expand_as(outputs)]
        params = torch.cat([outputs, *log_std], dim=1)
        return loss(states.rows(rows), Outputs(student.spec.family, params)).mean()

    plan = student.to_record({}).plan
    return train_plan(plan, states.features.numpy(), loss_of, method, steps=steps, seed=seed)


def train_plan(
    plan: Plan, features: np.ndarray, loss_of: LossOfRows, method: str, *, steps: int | None = None, seed: int = 0
) -> dict[int, QuantizedLayer]:
    """Return the layers of a plan with few bits, trained on features `[B, D]`; as `train_low_bit`, for any loss.

    Raises:
        RequestError: for another method, or weights that are not those of linear layers.
    """
    if method not in BITS:
        raise RequestError(f"expected a method among {', '.join(BITS)}, found {method!r}")
    rounded = quantize_plan(plan, features)
    _require_linear(plan)
    steps = STEPS if steps is None else steps
    bits = [8] + [BITS[method]] * (len(rounded) - 1)
    layers = {place: _Rounded(plan, place, one, n) for (place, one), n in zip(rounded.items(), bits, strict=True)}
    optimizer = torch.optim.Adam([leaf for layer in layers.values() for leaf in layer.leaves()], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    generator, x = torch.Generator().manual_seed(seed), torch.from_numpy(features)
    with threads_for():
        for _ in range(steps):
            rows = torch.randint(len(x), (BATCH,), generator=generator)
            value = loss_of(_forward(plan, layers, x[rows]), rows)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
    return {place: layer.finished() for place, layer in layers.items()}


class _Rounded:
    """A linear layer whose weights and inputs are rounded, and whose weights, bias and steps learn."""

    def __init__(self, plan: Plan, place: int, one: QuantizedLayer, bits: int) -> None:
        names = plan.layers[place]
        self.one, self.bits, self.limit = one, bits, LIMITS[bits]
        weight = plan.tensors[names["weight"]] / (1.0 if one.input_scale is None else one.input_scale)
        self.weight = torch.tensor(weight, dtype=torch.float32, requires_grad=True)
        self.bias = torch.tensor(plan.tensors[names["bias"]], requires_grad=True)
        self.log_step = torch.tensor(np.log(best_steps(weight, self.limit)), dtype=torch.float32, requires_grad=True)
        # The step of a row collects the slopes of all its weights.
        self._share = 1.0 / math.sqrt(weight.shape[1] * self.limit)

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
            bits=self.bits,
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


def _forward(plan: Plan, layers: dict[int, _Rounded], x: torch.Tensor) -> torch.Tensor:
    for place, layer in enumerate(plan.layers):
        x = layers[place](x) if place in layers else find_operation(layer["op"]).form("torch", "training")(layer, {})(x)
    return x


def _require_linear(plan: Plan) -> None:
    other = [layer["op"] for layer in plan.layers if "weight" in layer and layer["op"] != "linear"]
    if other:
        raise RequestError(f"the operation {other[0]!r} has no form for weights of few bits; use int8 or int8-trained")
