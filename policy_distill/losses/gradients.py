"""Gradients of losses written out, in NumPy: value and gradient of one batch without an autograd graph.

In: a batch, and the student's parameters with the batch *last*, `[P, B]`, so that every reduction runs over short rows.
Out: the loss `[B]` and its gradient with respect to the student's parameters, `[P, B]`. What has no closed form
goes through autograd on the outputs alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from policy_distill.interfaces.students import ActionDistribution, Gradient, Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.kl import forward_kl
from policy_distill.losses.regression import mse

BatchGradient = Callable[[Batch, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From labelled states and the student's parameters `[P, B]` to the loss `[B]` and its gradient `[P, B]`."""


def gradient_of(loss: Loss, family: ActionDistribution) -> BatchGradient:
    """Return value and gradient of `loss` for a family: the closed form where there is one, else by autograd."""
    closed = closed_form(loss, family)
    if closed is None:
        return _through_autograd(loss, family)
    return lambda batch, student: closed(taught(batch), student)


def taught(batch: Batch) -> np.ndarray:
    """Return the labels with the batch last, `[P, B]`."""
    return np.ascontiguousarray(batch.teacher_params.numpy().T)


def closed_form(loss: Loss, family: ActionDistribution) -> Gradient | None:
    """Return value and gradient where they are written out; all work elementwise or over the first dimension."""
    if loss is forward_kl:
        return family.kl_gradient()
    # The parameters are the action.
    return _squared_error if loss is mse and family.head.kind == "mean" and not family.head.extra else None


def _through_autograd(loss: Loss, family: ActionDistribution) -> BatchGradient:
    def gradient(batch: Batch, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        leaf = torch.from_numpy(student.T.copy()).requires_grad_()
        values = loss(batch, Outputs(family, leaf))
        (found,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach().numpy(), found.numpy().T

    return gradient


def _squared_error(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error = student - teacher
    return (error * error).sum(axis=0), 2 * error
