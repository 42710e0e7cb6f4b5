"""Gradients of one loss for many students at once: the teacher's part is computed once for all of them.

In: a batch, and the parameters of K students, `[P, K, B]`. Out: the loss `[K, B]`, its gradient `[P, K, B]`.
The losses are those of `gradients`; on students of a few units they are most of a step, so here those of discrete
families are written with as few passes over the outputs as they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from policy_distill.families.categorical import LEAST
from policy_distill.interfaces.students import ActionDistribution, Gradient, Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.gradients import BatchGradient, closed_form, gradient_of, taught
from policy_distill.losses.kl import forward_kl

ONE = np.float32(1.0)


def gradient_for_many(loss: Loss, family: ActionDistribution) -> BatchGradient:
    """Return value and gradient of `loss` for many students of a family."""
    if loss is forward_kl and family.name in FORWARD_KL:
        many = FORWARD_KL[family.name](family)
        return lambda batch, students: many(taught(batch), students)
    closed = closed_form(loss, family)
    if closed is not None:
        return lambda batch, students: closed(taught(batch)[:, None], students)
    return _flattened(gradient_of(loss, family))


def _flattened(gradient: BatchGradient) -> BatchGradient:
    """Return the gradient for many of one that takes `[P, B]` alone."""

    def flattened(batch: Batch, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, found = gradient(batch.repeated(students.shape[1]), students.reshape(len(students), -1))
        return values.reshape(students.shape[1:]), found.reshape(students.shape)

    return flattened


def _softmax_kl(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Σ p (log p - log q) = Σ p log p - Σ p logit + log Σ exp logit, since p sums to 1.
    shifted = teacher - teacher.max(axis=0)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=0))
    p = np.exp(log_p)
    logits = students - students.max(axis=0)
    values = (p * np.maximum(log_p, LEAST)).sum(axis=0) - np.einsum("pb,pkb->kb", p, logits)
    gradient = np.exp(logits, out=logits)
    total = gradient.sum(axis=0)
    values += np.log(total)
    gradient *= np.divide(ONE, total, out=total)
    gradient -= p[:, None]
    return values, gradient


def _heads_kl(nvec: Sequence[int]) -> Gradient:
    ends = np.cumsum(nvec)[:-1]

    def gradient(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(np.split(teacher, ends), np.split(students, ends), strict=True)
        values, gradients = zip(*(_softmax_kl(p, q) for p, q in pairs), strict=True)
        return np.sum(values, axis=0), np.concatenate(gradients)

    return gradient


def _bits_kl(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Σ p (log p - log q) over a bit and its opposite = softplus(x) - p x - entropy(p), with x the student's logit.
    growth, p = _softplus(teacher)
    entropy = growth - p * teacher
    values, gradient = _softplus(students)
    values -= p[:, None] * students
    values -= entropy[:, None]
    gradient -= p[:, None]
    return values.sum(axis=0), gradient


def _softplus(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log(1 + exp x) and its gradient, the sigmoid; several times as fast as `logaddexp`."""
    small = np.exp(-np.abs(x))
    whole = 1.0 + small
    gradient = np.where(x > 0, np.float32(1.0), small)
    gradient /= whole
    return np.maximum(x, 0.0) + np.log(whole), gradient


FORWARD_KL: dict[str, Callable[[ActionDistribution], Gradient]] = {
    "categorical": lambda family: _softmax_kl,
    "multi_categorical": lambda family: _heads_kl(family.config()["nvec"]),
    "bernoulli": lambda family: _bits_kl,
}
"""By family; for others the form of `gradients` serves as it is."""
