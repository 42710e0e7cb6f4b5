"""Gradient steps of a population: many small students that learn from the same minibatches, on the CPU.

In: minibatches. Out: better weights of each, and their running average. Each member goes where a `DenseStep` of its own
would take it, up to rounding; together they cost far less, since on networks of a few units nearly all of a step is the
overhead of its calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.gradients_for_many import gradient_for_many
from policy_distill.training.adam import VECTORS
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.population.adam import PopulationAdam
from policy_distill.training.population.layout import Blocks, Layout
from policy_distill.training.population.members import common_sizes, flat_weights, members_of, write_weights
from policy_distill.training.population.passes import PopulationPass

ACTIVE = -1
"""In place of the step at which a member stopped."""


class PopulationStep:
    """Members bear the numbers 0..K-1 in the order in which they are given, and keep them when others are dropped."""

    _layout: Layout | None
    _passes: PopulationPass | None
    _adam: PopulationAdam
    _flat_gradient: np.ndarray
    _weights: Blocks
    _gradients: Blocks

    def __init__(
        self,
        students: Sequence[StudentPolicy],
        loss: Loss,
        max_grad_norm: float,
        rate_scales: Sequence[float] | None = None,
    ) -> None:
        """Start from the students' weights.

        Args:
            students: dense ones of one family, with the same features.
            loss: the divergence that all of them minimise.
            max_grad_norm: to which each member's gradient is shortened.
            rate_scales: what each member's learning rate is multiplied by; 1 for all by default.

        Raises:
            ValueError: for no student, or students that cannot learn together.
        """
        self._sizes, self._squashed = common_sizes(students)
        self._members = members_of(students, self._sizes)
        self._loss_gradient = gradient_for_many(loss, students[0].spec.family)
        self._max_grad_norm = max_grad_norm
        self._rate_scales = np.ones(len(students)) if rate_scales is None else np.array(rate_scales, np.float64)
        weights = np.concatenate([flat_weights(student) for student in students])
        # All members one after another, in an order that does not depend on who takes part.
        self._kept = {name: np.zeros_like(weights) for name in VECTORS} | {
            "weights": weights,
            "average": weights.copy(),
        }
        self._stopped = np.full(len(students), ACTIVE)
        self._diverged = np.zeros(len(students), bool)
        self.n_steps = 0
        self._arrange()

    @property
    def active(self) -> tuple[int, ...]:
        """Numbers of the members that still learn."""
        return tuple(np.flatnonzero(self._stopped == ACTIVE).tolist())

    @property
    def diverged(self) -> dict[int, int]:
        """Numbers of the members whose loss or gradient was not finite, and after how many steps that was."""
        return {number: int(self._stopped[number]) for number in np.flatnonzero(self._diverged).tolist()}

    def step(self, batch: Batch, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Make one step on a minibatch; return mean losses and gradients' norms, `[K]` each.

        Both are NaN for members that were dropped before. A member whose loss or gradient is not finite keeps the
        weights that it has, and is dropped.
        """
        losses, norms = np.full((2, len(self._members)), np.nan)
        if self._layout is None:
            return losses, norms
        order, gradient = self._layout.order, self._flat_gradient
        # What is not finite is told from the others below, member by member.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            losses[order] = self._differentiate(batch)
            norms[order] = self._adam.norms(gradient)
        finite = np.isfinite(losses[order]) & np.isfinite(norms[order])
        if not finite.all():
            lost = order[~finite]
            self._diverged[lost] = True
            everywhere = np.zeros_like(self._kept["weights"])
            everywhere[self._layout.places] = gradient
            self.drop(lost)
            gradient = everywhere[self._layout.places] if self._layout else gradient
        if self._layout is not None:
            self._adam.step(gradient, norms[self._layout.order], rate)
            self.n_steps += 1
        return losses, norms

    def losses(self, batch: Batch) -> np.ndarray:
        """Return the mean loss `[K]` of the averaged weights on labelled states; NaN for members that were dropped."""
        losses = np.full(len(self._members), np.nan)
        if self._layout is not None:
            averaged = self._layout.blocks(self._adam.average)
            passes = PopulationPass(self._layout, averaged, len(batch.features), self._squashed)
            outputs = passes.forward(batch.features.numpy())
            values, _ = self._loss_gradient(batch, outputs)
            losses[self._layout.order] = values.mean(axis=1)
        return losses

    def drop(self, numbers: Iterable[int]) -> None:
        """Let members learn no more; their weights are kept, and the others' steps no longer pay for them."""
        self._keep()
        stopping = [number for number in numbers if self._stopped[number] == ACTIVE]
        self._stopped[stopping] = self.n_steps
        self._arrange()

    def write(self, number: int, student: StudentPolicy) -> None:
        """Give a student the averaged weights of a member, also of one that was dropped."""
        member = self._members[number]
        if self._layout is not None:
            self._kept["average"][self._layout.places] = self._adam.average
        write_weights(student, self._kept["average"][member.start : member.start + self._sizes.count(member.widths)])

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""
        self._keep()
        vectors = {name: vector.copy() for name, vector in self._kept.items()}
        steps = {"n_steps": np.array(self.n_steps), "stopped": self._stopped.copy(), "diverged": self._diverged.copy()}
        return {**vectors, **steps}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, with the members that were active then.

        Raises:
            ValueError: where that is of other students.
        """
        own = {**self._kept, "stopped": self._stopped, "diverged": self._diverged}
        if any(state[name].shape != array.shape for name, array in own.items()) or int(state["n_steps"]) < 0:
            raise ValueError("the optimiser's state is of another population")
        for name, array in own.items():
            array[:] = state[name]
        self.n_steps = int(state["n_steps"])
        self._arrange()

    def _differentiate(self, batch: Batch) -> np.ndarray:
        """Return the mean losses in the layout's order, and leave their gradient in `_flat_gradient`."""
        assert self._layout is not None
        n = len(batch.features)
        if self._passes is None or self._passes.n != n:
            self._passes = PopulationPass(self._layout, self._weights, n, self._squashed)
        outputs = self._passes.forward(batch.features.numpy())
        values, gradient = self._loss_gradient(batch, outputs)
        self._passes.backward(gradient, self._gradients)
        self._flat_gradient *= np.float32(1.0 / n)
        return values.mean(axis=1)

    def _keep(self) -> None:
        """Bring what the active members have learnt to the vectors of all members."""
        if self._layout is not None:
            for name, vector in self._adam.vectors().items():
                self._kept[name][self._layout.places] = vector

    def _arrange(self) -> None:
        """Lay out the active members anew, from the vectors of all members."""
        active, self._passes = self.active, None
        self._layout = Layout(self._sizes, self._members, active) if active else None
        if self._layout is None:
            return
        scales = self._rate_scales[self._layout.order]
        self._adam = PopulationAdam(self._layout.owners, scales, self._max_grad_norm)
        self._adam.n_steps = self.n_steps
        for name, vector in self._adam.vectors().items():
            vector[:] = self._kept[name][self._layout.places]
        self._flat_gradient = np.zeros(self._layout.n, np.float32)
        self._weights, self._gradients = (
            self._layout.blocks(flat) for flat in (self._adam.weights, self._flat_gradient)
        )
