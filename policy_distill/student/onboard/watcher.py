"""A monitor at work beside a student that acts: it remembers the step before. NumPy alone.

In: one raw observation after another, and what was done. Out: how novel each of them is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.student.engines.single import batch_of_one
from policy_distill.student.onboard.monitor import LARGEST, Monitor, numbers_of
from policy_distill.student.plan import Plan


class Watcher:
    """Looks at one episode at a time; not to be shared by threads."""

    def __init__(self, plan: Plan, monitor: Monitor) -> None:
        self._plan, self.monitor = plan, monitor
        n = len(monitor.center)
        # [observation, the one before, the action between them], less their means. In double, of which the square of a
        # broken sensor's reading is still a number.
        self._x = np.zeros(monitor.step.shape[1])
        self._now, self._before, self._done = self._x[:n], self._x[n : 2 * n], self._x[2 * n :]
        self._shape = plan.featurizer.parts[0].shape
        self._place, self._step = (np.ascontiguousarray(rows.T, float) for rows in (monitor.place, monitor.step))
        self._going_on = False
        self._note = self._noter()

    def reset(self) -> None:
        """Begin an episode: there is no step before."""
        self._going_on = False

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
        np.subtract(obs, self.monitor.center, self._now)
        z = self._now.dot(self._place)
        found = z.dot(z)
        if self._going_on:
            z = self._x.dot(self._step)
            found = max(found, z.dot(z))
        return float(found) if found <= LARGEST else LARGEST

    def did(self, action: Any) -> None:
        """Remember the observation and what was executed then."""
        self._before[...] = self._now
        self._note(action)
        self._going_on = True

    def _noter(self) -> Callable[[Any], None]:
        """Return what notes an executed action, in a fraction of the time that `Plan.taken` takes for any batch."""
        plan, done, mean = self._plan, self._done, self.monitor.action_center.astype(float)
        taken = plan.taken
        if plan.is_choice:
            rows, start = np.eye(taken.n) - mean, int(taken.starts[0])

            def note(action: Any) -> None:
                done[...] = rows[action - start]

        elif taken.sizes:

            def note(action: Any) -> None:
                done[...] = taken(np.asarray(action)[None])[0] - mean

        else:
            middle, factor = (values.astype(float) for values in taken.scale)
            shift, ravel = middle * factor + mean, np.ravel

            def note(action: Any) -> None:
                np.subtract(ravel(action) * factor, shift, done)

        return note
