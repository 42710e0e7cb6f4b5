"""Gradients of one loss for many students at once: the teacher's part is computed once for all of them.

In: teacher parameters `[P, B]` and those of K students, `[P, K, B]`. Out: the loss `[K, B]`, its gradient `[P, K, B]`.
The losses are those of `gradients`; on students of a few units they are most of a step, so here those of discrete
families are written with as few passes over the outputs as they need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from policy_distill.families.categorical import LEAST
from policy_distill.interfaces import ActionDistribution, Loss
from policy_distill.losses.gradients import Gradient, closed_form, gradient_of
from policy_distill.losses.kl import forward_kl

ONE = np.float32(1.0)


def gradient_for_many(loss: Loss, family: ActionDistribution) -> Gradient:
    """Return value and gradient of `loss` for many students of a family."""
    if loss is forward_kl and family.name in FORWARD_KL:
        return FORWARD_KL[family.name](family)
    closed = closed_form(loss, family)
    if closed is not None:
        return lambda teacher, students: closed(teacher[:, None], students)
    return _flattened(gradient_of(loss, family))


def _flattened(gradient: Gradient) -> Gradient:
    """Return the gradient for many of one that takes `[P, B]` alone."""

    def flattened(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        repeated = np.broadcast_to(teacher[:, None], students.shape).reshape(len(students), -1)
        values, slope = gradient(repeated, students.reshape(len(students), -1))
        return values.reshape(students.shape[1:]), slope.reshape(students.shape)

    return flattened


def _softmax_kl(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Σ p (log p - log q) = Σ p log p - Σ p logit + log Σ exp logit, since p sums to 1.
    shifted = teacher - teacher.max(axis=0)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=0))
    p = np.exp(log_p)
    logits = students - students.max(axis=0)
    values = (p * np.maximum(log_p, LEAST)).sum(axis=0) - np.einsum("pb,pkb->kb", p, logits)
    slope = np.exp(logits, out=logits)
    total = slope.sum(axis=0)
    values += np.log(total)
    slope *= np.divide(ONE, total, out=total)
    slope -= p[:, None]
    return values, slope


def _heads_kl(nvec: Sequence[int]) -> Gradient:
    ends = np.cumsum(nvec)[:-1]

    def gradient(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(np.split(teacher, ends), np.split(students, ends), strict=True)
        values, slopes = zip(*(_softmax_kl(p, q) for p, q in pairs), strict=True)
        return np.sum(values, axis=0), np.concatenate(slopes)

    return gradient


def _bits_kl(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Σ p (log p - log q) over a bit and its opposite = softplus(x) - p x - entropy(p), with x the student's logit.
    growth, p = _softplus(teacher)
    entropy = growth - p * teacher
    values, slope = _softplus(students)
    values -= p[:, None] * students
    values -= entropy[:, None]
    slope -= p[:, None]
    return values.sum(axis=0), slope


def _softplus(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log(1 + exp x) and its slope, the sigmoid; several times as fast as `logaddexp`."""
    small = np.exp(-np.abs(x))
    whole = 1.0 + small
    slope = np.where(x > 0, np.float32(1.0), small)
    slope /= whole
    return np.maximum(x, 0.0) + np.log(whole), slope


FORWARD_KL: dict[str, Callable[[ActionDistribution], Gradient]] = {
    "categorical": lambda family: _softmax_kl,
    "multi_categorical": lambda family: _heads_kl(family.config()["nvec"]),
    "bernoulli": lambda family: _bits_kl,
}
"""By family; for others the form of `gradients` serves as it is."""
