"""Forward KL of discrete families for many students at once, with as few passes over their outputs as it needs.

In: logits of the teacher, `[P, B]`, and of K students, `[P, K, B]`. Out: the loss `[K, B]`, its gradient `[P, K, B]`.
On students of a few units that is most of a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy_distill.interfaces.students import Gradient

LEAST = -1e8
"""Log-probabilities are held above this, so that a masked action (minus infinity) meets no 0 x infinity."""
ONE = np.float32(1.0)


def softmax_kl_for_many(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return forward KL `[K, B]` and its gradient `[n, K, B]` for logits `[n, B]` and `[n, K, B]`."""
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


def heads_kl_for_many(nvec: Sequence[int]) -> Gradient:
    """Return the same for several choices, whose logits stand side by side."""
    ends = np.cumsum(nvec)[:-1]

    def gradient(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(np.split(teacher, ends), np.split(students, ends), strict=True)
        values, gradients = zip(*(softmax_kl_for_many(p, q) for p, q in pairs), strict=True)
        return np.sum(values, axis=0), np.concatenate(gradients)

    return gradient


def bits_kl_for_many(teacher: np.ndarray, students: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the same for bits, `[n, B]` and `[n, K, B]`."""
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
