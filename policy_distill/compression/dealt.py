"""Several students act at once, each in the environments that are dealt to it.

In: raw observations of all environments. Out: executed actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from policy_distill.student.runtime import Student
from policy_distill.system.nested import take


class Dealt:
    """Each environment is acted in by a student of its own; one student may have several."""

    def __init__(self, students: Sequence[Student]) -> None:
        """Deal environment i to `students[i]`."""
        rows: dict[int, list[int]] = {}
        for index, student in enumerate(students):
            rows.setdefault(id(student), []).append(index)
        self._parts = [(students[own[0]], np.array(own)) for own in rows.values()]

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[N, ...]` for raw observations `[N, ...]`."""
        if len(self._parts) == 1:
            return self._parts[0][0].predict(observation, state, episode_start, deterministic, action_masks)
        found = []
        for student, rows in self._parts:
            own = take(observation, rows)
            masks = None if action_masks is None else action_masks[rows]
            found.append(student.predict(own, None, None, deterministic, masks)[0])
        actions = np.empty((sum(len(part) for part in found), *found[0].shape[1:]), found[0].dtype)
        for (_, rows), part in zip(self._parts, found, strict=True):
            actions[rows] = part
        return actions, state
