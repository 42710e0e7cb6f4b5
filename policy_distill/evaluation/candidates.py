"""Many candidates for one student's weights, scored at once in the same episodes.

In: a student, an environment, and weights as flat vectors. Out: their mean returns, and the student of one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from policy_distill.environments.choice import for_policy
from policy_distill.environments.faults import check_observations
from policy_distill.environments.fit import check_fit
from policy_distill.environments.limit import limit_of
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import open_for
from policy_distill.student.runtime import Student
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import take


class CandidateReturns:
    """Environments in which all candidates of a generation act side by side, each in all of its episodes at once."""

    def __init__(
        self,
        student: Student,
        env: Any,
        *,
        n_candidates: int,
        n_episodes: int = 1,
        max_episode_steps: int | None = None,
    ) -> None:
        """Open `n_candidates * n_episodes` environments; `close` when done.

        Args:
            student: whose weights vary; statistics, and log σ, which acting by the mode does not need, stay.
            env: a Gymnasium id, an EnvSpec, or a callable.
            n_candidates: `K`.
            n_episodes: `E`, episodes of each.
            max_episode_steps: as of `evaluate`.

        Raises:
            RequestError: for an environment that does not fit, one that restarts itself, and a student that is a tree.
        """
        if student.plan.is_tree:
            raise RequestError("expected a student with weights to vary, found a tree; use linear or mlp:8")
        self._student = student
        self._places = _varied(student)
        self.n_candidates, self.n_episodes = n_candidates, n_episodes
        self._envs = open_for(student, for_policy(env, student), n_candidates * n_episodes)
        check_fit(student, self._envs)
        if self._envs.resets_itself or self._envs.n_envs != n_candidates * n_episodes:
            raise RequestError(
                "expected an id, an EnvSpec or a callable to score candidates in, found open environments"
            )
        self._limit = limit_of(self._envs, max_episode_steps)
        self.env_steps = 0
        """Steps taken so far, of all environments."""

    @property
    def start(self) -> np.ndarray:
        """The student's own weights, float32 `[P]`."""
        tensors = self._student.tensors
        return np.concatenate([tensors[name][:n].ravel() for name, n in self._places.items()]).astype(np.float32)

    def student(self, weights: np.ndarray) -> Student:
        """Return the student with other weights, `[P]`; its retention is not known.

        Raises:
            ValueError: for another number of them.
        """
        tensors, taken = dict(self._student.tensors), 0
        if np.shape(weights) != self.start.shape:
            raise ValueError(f"expected weights {list(self.start.shape)}, found an array of shape {np.shape(weights)}")
        for name, n_rows in self._places.items():
            old = tensors[name][:n_rows]
            new = np.asarray(weights[taken : taken + old.size], old.dtype).reshape(old.shape)
            tensors[name] = np.concatenate([new, tensors[name][n_rows:]])
            taken += old.size
        return Student.of(
            self._student.record.with_weights(tensors, self._student.provenance, None), self._student.runtime
        )

    def score(self, weights: np.ndarray, first_seed: int) -> np.ndarray:
        """Return the mean return of each candidate, float64 `[K]`, by the mode of its distribution.

        Args:
            weights: the candidates, `[K, P]`.
            first_seed: episode e of every candidate starts from reset(seed=first_seed + e).

        Raises:
            ValueError: for another number of candidates.
            RunFault: where an environment fails, or an observation is not finite.
            Interrupted: within a step, where a run was asked to stop.
        """
        if len(weights) != self.n_candidates:
            raise ValueError(f"expected {self.n_candidates} candidates, found {len(weights)}")
        envs, n_episodes = self._envs, self.n_episodes
        actor = _SideBySide([self.student(one) for one in weights], n_episodes)
        for index in range(envs.n_envs):
            envs.reset(index, first_seed + index % n_episodes)
        returns, running, n_steps = np.zeros(envs.n_envs), np.ones(envs.n_envs, dtype=bool), 0
        while running.any() and n_steps < self._limit:
            stop_if_requested("while candidates were scored")
            check_observations(envs, "while candidates were scored")
            masks = envs.action_masks() if self._student.takes_action_masks else None
            rewards, terminated, truncated = envs.step(actor.actions(envs.obs, running, masks), running)
            returns[running] += rewards[running]
            self.env_steps += int(running.sum())
            running &= ~(terminated | truncated)
            n_steps += 1
        return returns.reshape(self.n_candidates, n_episodes).mean(axis=1)

    def close(self) -> None:
        """Close the environments."""
        self._envs.close()


def _varied(student: Student) -> dict[str, int]:
    """Return the arrays whose first rows vary, and how many of them: outputs that say log σ are not among these."""
    head, last = student.plan.head, student.plan.layers[-1]
    outputs = {last[key] for key in ("weight", "bias") if key in last} if head.extra else set()
    return {
        name: head.n_modes if name in outputs else len(array)
        for name, array in student.tensors.items()
        if name != "log_std" and array.dtype.kind == "f"
    }


class _SideBySide:
    """Candidates in the episodes of one generation; one whose episodes are over is not asked."""

    def __init__(self, students: Sequence[Student], n_episodes: int) -> None:
        self._parts = [(one, slice(n * n_episodes, (n + 1) * n_episodes)) for n, one in enumerate(students)]
        self._states: list[Any] = [None] * len(students)
        self._actions: Any = None

    def actions(self, obs: Any, running: np.ndarray, masks: np.ndarray | None) -> np.ndarray:
        """Return executed actions `[N, ...]`; of environments where nobody runs, whatever they were before."""
        for number, (student, rows) in enumerate(self._parts):
            if running[rows].any():
                own = None if masks is None else masks[rows]
                seen, state = take(obs, rows), self._states[number]
                part, self._states[number] = student.predict(seen, state, None, True, own)
                if self._actions is None:
                    self._actions = np.empty((len(running), *part.shape[1:]), part.dtype)
                self._actions[rows] = part
        found: np.ndarray = self._actions
        return found
