"""What a source of states returns: steps gathered by one policy, nobody has labelled them yet.

In: columns by name. Out: a `Rollout`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from policy_distill.interfaces.policies import Labels
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.nested import arrays_of, first_of, map_arrays, merged, put, room_for

COLUMNS = ("actions", "rewards", "terminated", "truncated", "terminal_obs")
"""What a rollout holds where it is asked for, beside what it always does."""


@dataclass(frozen=True)
class Rollout:
    """Steps gathered by one policy."""

    obs: Any
    """Raw observations `[T, N, ...]`, or a dict of such: arrays, or tensors where a source has them on a device."""
    episode_starts: np.ndarray
    """bool `[T, N]`."""
    action_masks: np.ndarray | None
    """bool `[T, N, A]`, where the environments have them."""
    teacher_share: float
    """Share of the actions that the teacher chose."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, of these:

    - `actions` `[T, N, ...]`, as they were executed;
    - `rewards` float64 `[T, N]`, raw;
    - `terminated`, `truncated` bool `[T, N]`: how the step ended its episode, where it did; an episode that a fault cut
      short between two steps ends by neither, and `episode_starts` alone tells;
    - `terminal_obs` `[T, N, ...]`, or a dict of such: what was seen last of an episode that ended at this step, zeros
      elsewhere. `obs` has what follows, of the next episode.
    """

    labels: Labels | None = None
    """What the teacher says of it, `[T, N, ...]`, where whoever stepped the environments asked it already."""

    @property
    def device(self) -> torch.device:
        """Where the observations lie: the CPU, unless whoever stepped the environments gave tensors of another one."""
        first = first_of(self.obs)
        return first.device if isinstance(first, torch.Tensor) else torch.device("cpu")

    def as_arrays(self) -> Rollout:
        """Return the rollout with arrays in place of tensors; itself where it has none."""
        parts = {"obs": self.obs, "episode_starts": self.episode_starts}
        parts |= {"action_masks": self.action_masks, "columns": dict(self.columns)}
        if not any(isinstance(array, torch.Tensor) for _, array in arrays_of(parts)):
            return self
        return replace(self, **map_arrays(_array, parts))

    @property
    def flat_obs(self) -> Any:
        """Observations `[T * N, ...]`, or a dict of such."""
        return merged(self.obs)


def _array(value: Any) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


class Recorder:
    """Fills the columns that were asked for, step by step; none cost nothing."""

    def __init__(self, names: Sequence[str], n_steps: int, envs: Environments) -> None:
        """Make room.

        Raises:
            ValueError: for an unknown column.
        """
        if unknown := [name for name in names if name not in COLUMNS]:
            raise ValueError(f"expected columns among {', '.join(COLUMNS)}, found {', '.join(unknown)}")
        self.columns: dict[str, Any] = {}
        self._names = names
        self._n_steps = n_steps
        self._envs = envs

    def took(self, step: int, actions: np.ndarray, outcome: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Note actions `[N, ...]` and what they led to, before any environment begins its next episode."""
        if not self._names:
            return
        values = dict(zip(COLUMNS, (actions, *outcome), strict=False))
        for name in self._names:
            if name == "terminal_obs":
                self._ended(step, outcome[1] | outcome[2])
            else:
                put(self._room(name, values[name]), step, values[name])

    def _ended(self, step: int, ended: np.ndarray) -> None:
        room = self._room("terminal_obs", self._envs.obs)
        map_arrays(lambda array: array[step].fill(0), room)
        for index in np.flatnonzero(ended).tolist():
            put(room, (step, index), self._envs.terminal_obs(index))

    def _room(self, name: str, value: Any) -> Any:
        if name not in self.columns:
            self.columns[name] = room_for(value, self._n_steps)
        return self.columns[name]
