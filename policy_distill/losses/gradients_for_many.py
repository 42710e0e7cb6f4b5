"""Gradients of one loss for many students at once: the teacher's part is computed once for all of them.

In: a batch, and the parameters of K students, `[P, K, B]`. Out: the loss `[K, B]`, its gradient `[P, K, B]`.
The losses are those of `gradients`; a family may have a quicker form of its forward KL for many.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from policy_distill.interfaces.students import ActionDistribution, Gradient, Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.gradients import BatchGradient, closed_form, gradient_of, taught
from policy_distill.losses.kl import forward_kl
from policy_distill.system.foreign import asked


def gradient_for_many(loss: Loss, family: ActionDistribution) -> BatchGradient:
    """Return value and gradient of `loss` for many students of a family."""
    quick: Callable[[], Gradient] | None = asked(family, "kl_gradient_for_many")
    if loss is forward_kl and quick is not None:
        many = quick()
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
