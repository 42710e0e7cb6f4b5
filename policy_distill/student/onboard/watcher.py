"""A monitor at work beside a student that acts: it remembers the step before. NumPy alone.

In: one raw observation after another, and what was done. Out: how novel each of them is; or a `Watch`, of which an
engine computes the same beside an action.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.engines.single import batch_of_one
from policy_distill.student.onboard.monitor import LARGEST, Monitor, numbers_of
from policy_distill.student.plan import Plan


@dataclass(frozen=True, eq=False)
class Watch:
    """What the novelty of a step follows from, all float64 and contiguous; `D`, `A`, `K` and `L` as of `Monitor`.

    In double the square of a broken sensor's reading is still a number.
    """

    state: np.ndarray
    """`[2 D + A + 1]`: an observation, the one before and the action between them, less their means; 1 where there is a
    step before. Whoever looks writes it; 0 at its end begins an episode."""
    center: np.ndarray
    """`[D]`."""
    place: np.ndarray
    """`[D, K]`."""
    step: np.ndarray
    """`[2 D + A, L]`."""
    factor: np.ndarray
    """`[A]`: an action is seen as action · factor − shift; a choice is 1 among zeros."""
    shift: np.ndarray
    """`[A]`."""


class Watcher:
    """Looks at one episode at a time; not to be shared by threads.

    Raises:
        RequestError: for a monitor that does not fit the plan.
    """

    def __init__(self, plan: Plan, monitor: Monitor) -> None:
        n, n_taken = sum(part.raw_size for part in plan.featurizer.parts), plan.taken.n
        if not monitor.fits(n, n_taken):
            raise RequestError(
                f"expected a monitor of {n} observed numbers and {n_taken} of an action, found a monitor of another "
                "student; make one with policy-distill equip --monitor"
            )
        self._plan, self.monitor = plan, monitor
        state = np.zeros(2 * n + n_taken + 1)
        place, step = (np.ascontiguousarray(rows.T, float) for rows in (monitor.place, monitor.step))
        self.watch = Watch(state, np.ascontiguousarray(monitor.center, float), place, step, *self._scale())
        self._x, self._going_on = state[:-1], state[-1:]
        self._now, self._before, self._done = state[:n], state[n : 2 * n], state[2 * n : -1]
        self._shape = plan.featurizer.parts[0].shape
        self._note = self._noter()

    def reset(self) -> None:
        """Begin an episode: there is no step before."""
        self._going_on[0] = 0.0

    def novelty(self, obs: Any) -> float:
        """Return the novelty of one raw observation by itself; what it remembers plays no part.

        Raises:
            ValueError: for what is not one observation.
        """
        return float(self.monitor.place_novelty(self.numbers(obs)[None])[0])

    def numbers(self, obs: Any) -> np.ndarray:
        """Return the numbers `[D]` of one raw observation, which may be by name."""
        return numbers_of(self._plan.featurizer, batch_of_one(self._plan, obs))[0]

    def look(self, obs: Any) -> float:
        """Return the novelty of the next observation of an episode."""
        if type(obs) is not np.ndarray or obs.ndim != 1 or obs.shape != self._shape:
            obs = self.numbers(obs)
        np.subtract(obs, self.watch.center, self._now)
        z = self._now.dot(self.watch.place)
        place, step = z.dot(z), 0.0
        if self._going_on[0]:
            z = self._x.dot(self.watch.step)
            step = z.dot(z)
        # A step from what was no number is none either, of which `max` might take the other one.
        return float(max(place, step)) if place <= LARGEST and step <= LARGEST else LARGEST

    def did(self, action: Any) -> None:
        """Remember the observation and what was executed then."""
        self._before[...] = self._now
        self._note(action)
        self._going_on[0] = 1.0

    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        mean, taken = self.monitor.action_center.astype(float), self._plan.taken
        if taken.sizes:
            return np.ones(len(mean)), mean
        middle, factor = (values.astype(float) for values in taken.scale)
        return factor, middle * factor + mean

    def _noter(self) -> Callable[[Any], None]:
        """Return what notes an executed action, in a fraction of the time that `Plan.taken` takes for any batch."""
        plan, done, taken = self._plan, self._done, self._plan.taken
        factor, shift = self.watch.factor, self.watch.shift
        if plan.is_choice:
            rows, start = np.eye(taken.n) - shift, int(taken.starts[0])

            def note(action: Any) -> None:
                done[...] = rows[action - start]

        elif taken.sizes:

            def note(action: Any) -> None:
                done[...] = taken(np.asarray(action)[None])[0] - shift

        else:
            ravel = np.ravel

            def note(action: Any) -> None:
                np.subtract(ravel(action) * factor, shift, done)

        return note
