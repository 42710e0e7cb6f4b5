"""Gradients of losses written out, in NumPy: value and slope of one batch without an autograd graph.

In: teacher and student parameters with the batch *last*, `[P, B]`, so that every reduction runs over short rows.
Out: the loss `[B]` and its gradient with respect to the student's parameters, `[P, B]`. What has no entry here goes
through autograd on the outputs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from policy_distill.families._gaussian import LOG_STD_RANGE
from policy_distill.families.categorical import LEAST
from policy_distill.interfaces import ActionDistribution, Loss
from policy_distill.losses.kl import forward_kl
from policy_distill.losses.regression import mse

Gradient = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From teacher and student parameters `[P, B]` to the loss `[B]` and its gradient `[P, B]`."""


def gradient_of(loss: Loss, family: ActionDistribution) -> Gradient:
    """Return value and gradient of `loss` for a family: the closed form where there is one, else by autograd."""
    return closed_form(loss, family) or _through_autograd(loss, family)


def closed_form(loss: Loss, family: ActionDistribution) -> Gradient | None:
    """Return value and gradient where they are written out here. All work elementwise or over the first dimension."""
    if loss is forward_kl and family.name in FORWARD_KL:
        return FORWARD_KL[family.name](family)
    return _squared_error if loss is mse and family.name == "deterministic" else None


def _through_autograd(loss: Loss, family: ActionDistribution) -> Gradient:
    def gradient(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        leaf = torch.from_numpy(student.T.copy()).requires_grad_()
        values = loss(family, torch.from_numpy(teacher.T.copy()), leaf)
        (slope,) = torch.autograd.grad(values.sum(), leaf)
        return values.detach().numpy(), slope.numpy().T

    return gradient


def _softmax_kl(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_p, log_q = _log_softmax(teacher), _log_softmax(student)
    p = np.exp(log_p)
    # An action that the teacher never takes adds nothing, also where its log-probability is minus infinity.
    values = (p * np.maximum(log_p, LEAST)).sum(axis=0) - (p * np.maximum(log_q, LEAST)).sum(axis=0)
    return values, np.exp(log_q) - p


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=0)
    return shifted - np.log(np.exp(shifted).sum(axis=0))


def _heads_kl(nvec: Sequence[int]) -> Gradient:
    ends = np.cumsum(nvec)[:-1]

    def gradient(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(np.split(teacher, ends), np.split(student, ends), strict=True)
        values, slopes = zip(*(_softmax_kl(p, q) for p, q in pairs), strict=True)
        return np.sum(values, axis=0), np.concatenate(slopes)

    return gradient


def _bits_kl(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = np.exp(-np.logaddexp(0, -teacher))
    # log σ(x) = -softplus(-x), and log(1 - σ(x)) = -softplus(x).
    ones = np.logaddexp(0, -student) - np.logaddexp(0, -teacher)
    zeros = np.logaddexp(0, student) - np.logaddexp(0, teacher)
    return (p * ones + (1 - p) * zeros).sum(axis=0), np.exp(-np.logaddexp(0, -student)) - p


def _gaussian_kl(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dim = len(student) // 2
    low, high = LOG_STD_RANGE
    log_std = np.clip(student[dim:], low, high)
    ratio = np.clip(teacher[dim:], low, high) - log_std
    precision = np.exp(-log_std)
    distance = (student[:dim] - teacher[:dim]) * precision
    growth = np.expm1(2 * ratio)
    squared = distance * distance
    values = 0.5 * (growth - 2 * ratio + squared).sum(axis=0)
    slope = np.empty_like(student)
    np.multiply(distance, precision, out=slope[:dim])
    np.negative(growth + squared, out=slope[dim:])
    # Beyond its range log σ no longer matters.
    slope[dim:] *= log_std == student[dim:]
    return values, slope


def _squared_error(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    error = student - teacher
    return (error * error).sum(axis=0), 2 * error


FORWARD_KL: dict[str, Callable[[ActionDistribution], Gradient]] = {
    "categorical": lambda family: _softmax_kl,
    "multi_categorical": lambda family: _heads_kl(family.config()["nvec"]),
    "bernoulli": lambda family: _bits_kl,
    "diagonal_gaussian": lambda family: _gaussian_kl,
    "squashed_gaussian": lambda family: _gaussian_kl,
}
"""By family; the KL of a squashed Gaussian is that of its base."""
