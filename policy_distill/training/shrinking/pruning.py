"""A narrower student out of a trained one: the units that matter least are taken out, the weights of the rest kept.

In: a student with hidden layers, and features that it sees. Out: a student to train on, on stored labels alone.

A unit that is taken out is replaced by its mean over the features, which goes into the next bias. So what counts is how
far it strays from that mean, and what follows from it: through its outgoing weights (`unit_importance`), or through the
loss to first order (`unit_sensitivity`; Molchanov et al. 2017, arXiv 1611.06440).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.training.dense_step import is_dense
from policy_distill.training.policy import StudentPolicy


@torch.no_grad()
def unit_importance(student: StudentPolicy, features: torch.Tensor) -> list[np.ndarray]:
    """Return how much the units of each hidden layer move what follows, on features `[B, D]`.

    That is the mean of |activation - its mean| times the sum of the outgoing |weights|, `[units]` for each layer.

    Raises:
        ValueError: for a student that is not dense.
    """
    hidden, _ = _activations(student, features)
    return [
        (_strays(units).abs().mean(dim=0) * after.weight.abs().sum(dim=0)).numpy()
        for units, after in zip(hidden, _linears(student)[1:], strict=True)
    ]


def unit_sensitivity(student: StudentPolicy, batch: Batch, loss: Loss) -> list[np.ndarray]:
    """Return the mean of |(activation - its mean) · dL/d activation| on labelled states, `[units]` for each layer.

    To first order that is what a state's loss changes by, in the loss's unit, where a unit becomes its mean.

    Raises:
        ValueError: for a student that is not dense.
    """
    hidden, outputs = _activations(student, batch.features)
    params = outputs if student.log_std is None else torch.cat([outputs, student.log_std.expand_as(outputs)], dim=1)
    total = loss(batch, Outputs(student.spec.family, params)).sum()
    gradients = torch.autograd.grad(total, hidden) if hidden else ()
    pairs = zip(hidden, gradients, strict=True)
    return [(_strays(units) * gradient).abs().mean(dim=0).detach().numpy() for units, gradient in pairs]


@torch.no_grad()
def prune(
    student: StudentPolicy, features: torch.Tensor, scores: Sequence[np.ndarray], widths: Sequence[int]
) -> StudentPolicy:
    """Return a student of hidden layers of `widths`, which keeps the units with the highest scores.

    Args:
        student: a dense one; it stays as it is.
        features: `[B, D]`, the states whose means stand in for the units that go.
        scores: `[units]` for each hidden layer, as of `unit_importance` or `unit_sensitivity`.
        widths: units of each hidden layer that stay.

    Raises:
        ValueError: for a student that is not dense, or widths that are not from 1 to its own.
    """
    wide = _linears(student)
    own = [layer.out_features for layer in wide[:-1]]
    if len(widths) != len(own) or not all(1 <= width <= most for width, most in zip(widths, own, strict=True)):
        raise ValueError(f"expected a width from 1 to each of {own}, found {list(widths)}")
    network = f"mlp:{','.join(map(str, widths))}" if own else student.spec.network
    pruned = StudentPolicy(replace(student.spec, network=network), torch.Generator())
    if student.log_std is not None and pruned.log_std is not None:
        pruned.log_std.copy_(student.log_std)
    stays = [np.sort(np.argsort(-score, kind="stable")[:width]) for score, width in zip(scores, widths, strict=True)]
    stays.append(np.arange(wide[-1].out_features))
    means = [units.mean(dim=0) for units in _activations(student, features)[0]]
    for level, layer in enumerate(_linears(pruned)):
        weight, bias = wide[level].weight.detach(), wide[level].bias.detach()
        if level:
            came = torch.from_numpy(stays[level - 1])
            gone = torch.from_numpy(np.setdiff1d(np.arange(own[level - 1]), stays[level - 1]))
            weight, bias = weight[:, came], bias + weight[:, gone] @ means[level - 1][gone]
        rows = torch.from_numpy(stays[level])
        layer.weight.copy_(weight[rows])
        layer.bias.copy_(bias[rows])
    return pruned


def _activations(student: StudentPolicy, features: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the units of each hidden layer, `[B, units]`, and the outputs of the network."""
    if not is_dense(student):
        raise ValueError("expected a student of linear layers, tanh and ReLU on the CPU")
    hidden: list[torch.Tensor] = []
    n_hidden, x = len(_linears(student)) - 1, features
    for module in student.network:
        x = module(x)
        if not isinstance(module, nn.Linear) and len(hidden) < n_hidden:
            hidden.append(x)
    return hidden, x


def _strays(units: torch.Tensor) -> torch.Tensor:
    return units - units.mean(dim=0)


def _linears(student: StudentPolicy) -> list[nn.Linear]:
    return [module for module in student.network if isinstance(module, nn.Linear)]
