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
        self._begun = False
        self._parts = [(students[own[0]], np.array(own)) for own in rows.values()]

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[N, ...]` for raw observations `[N, ...]`.

        Students of one rollout are not those of the next, so each begins it with nothing remembered.
        """
        if not self._begun:
            self._begun, state = True, [None] * len(self._parts)
        found, after = [], []
        for (student, rows), remembered in zip(self._parts, state, strict=True):
            masks = None if action_masks is None else action_masks[rows]
            starts = None if episode_start is None else episode_start[rows]
            part, own = student.predict(take(observation, rows), remembered, starts, deterministic, masks)
            found.append(part)
            after.append(own)
        actions = np.empty((sum(len(part) for part in found), *found[0].shape[1:]), found[0].dtype)
        for (_, rows), part in zip(self._parts, found, strict=True):
            actions[rows] = part
        return actions, after
