"""Gradients of losses written out, in NumPy: value and gradient of one batch without an autograd graph.

In: teacher and student parameters with the batch *last*, `[P, B]`, so that every reduction runs over short rows.
Out: the loss `[B]` and its gradient with respect to the student's parameters, `[P, B]`. What has no closed form
goes through autograd on the outputs alone.
"""

from __future__ import annotations

import numpy as np
import torch

from policy_distill.interfaces.students import ActionDistribution, Gradient, Loss
from policy_distill.losses.kl import forward_kl
from policy_distill.losses.regression import mse


def gradient_of(loss: Loss, family: ActionDistribution) -> Gradient:
    """Return value and gradient of `loss` for a family: the closed form where there is one, else by autograd."""
    return closed_form(loss, family) or _through_autograd(loss, family)


def closed_form(loss: Loss, family: ActionDistribution) -> Gradient | None:
    """Return value and gradient where they are written out; all work elementwise or over the first dimension."""
    if loss is forward_kl:
        return family.kl_gradient()
    # The parameters are the action.
    return _squared_error if loss is mse and family.head.kind == "mean" and not family.head.extra else None


def _through_autograd(loss: Loss, family: ActionDistribution) -> Gradient:
    def gradient(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        leaf = torch.from_numpy(student.T.copy()).requires_grad_()
        values = loss(family, torch.from_numpy(teacher.T.copy()), leaf)
        (found,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach().numpy(), found.numpy().T

    return gradient


def _squared_error(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error = student - teacher
    return (error * error).sum(axis=0), 2 * error
