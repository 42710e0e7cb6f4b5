"""Who acts while data is collected: the student, the teacher, a mixture of both, or a random policy.

In: raw observations. Out: executed actions, through SB3's `predict`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete, MultiBinary
from gymnasium.vector.utils import batch_space

from policy_distill.collection.policy_defaults import PolicyDefaults, with_masks
from policy_distill.environments.spaces import choices_of, start_of
from policy_distill.errors import RequestError, RunFault
from policy_distill.interfaces.policies import Actor, Teacher
from policy_distill.system.nested import with_axis


def check_labels(params: torch.Tensor) -> None:
    """Stop where a teacher's distribution parameters are NaN.

    Raises:
        RunFault: with the share of such parameters.
    """
    if bool(params.isnan().any()):
        share = float(params.isnan().float().mean())
        raise RunFault(f"the teacher's outputs are not finite: {share:.0%} of them are NaN; check its weights")


def check_values(values: torch.Tensor | None, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a teacher's values `[T, N]`, on the CPU.

    Raises:
        RequestError: where its labels have none, or of another shape.
        RunFault: where they are not finite.
    """
    if values is None or tuple(values.shape) != shape:
        found = "none" if values is None else f"the shape {tuple(values.shape)}"
        raise RequestError(
            f"expected values of shape {shape} in the labels of the teacher, found {found}; return "
            "Labels(params, state, value), or leave values out"
        )
    if not bool(values.isfinite().all()):
        raise RunFault("the teacher's values are not finite; check its weights and its statistics")
    return values.float().cpu()


class TeacherActor:
    """The teacher, sampling from a generator of our own: SB3's `predict` would draw from torch's global one."""

    def __init__(self, teacher: Teacher, seed: int) -> None:
        self.teacher = teacher
        self._generator = torch.Generator().manual_seed(seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[N, ...]` for raw observations `[N, ...]`."""
        assert episode_start is not None
        params, state, _ = self.teacher.label(
            with_axis(observation), episode_start[None], state, with_axis(action_masks)
        )
        check_labels(params)
        # Where the generator is, and actions are needed.
        family, params = self.teacher.family, params.cpu()
        greedy = deterministic or self.teacher.acts_greedily
        actions = family.mode(params[0]) if greedy else family.sample(params[0], self._generator)
        return self.teacher.action_map.execute(actions.numpy()), state


class MixedActor:
    """The teacher chooses each action with probability `teacher_share`, else the student (DAgger's β)."""

    def __init__(
        self,
        teacher: Actor,
        student: Actor,
        teacher_share: float,
        rng: np.random.Generator,
        remember: Callable[[Any, np.ndarray], Any] | None = None,
    ) -> None:
        """Mix both; `remember` writes executed actions `[N, ...]` into the student's state, where it keeps them."""
        self.teacher = teacher
        self.student = student
        self.teacher_share = teacher_share
        self._rng = rng
        self._remember = remember

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[N, ...]`; who has a memory sees every step, acting or not."""
        of_both = isinstance(state, dict) and "student" in state
        of_teacher, of_student = (state["teacher"], state["student"]) if of_both else (state, None)
        told = with_masks(action_masks)
        taught, of_teacher = self.teacher.predict(observation, of_teacher, episode_start, deterministic, **told)
        chosen, of_student = self.student.predict(observation, of_student, episode_start, deterministic, **told)
        actions = chosen.copy()
        by_teacher = self._rng.random(len(actions)) < self.teacher_share
        actions[by_teacher] = taught[by_teacher]
        if self._remember is not None and of_student is not None:
            of_student = self._remember(of_student, actions)
        return actions, of_teacher if of_student is None else {"teacher": of_teacher, "student": of_student}


class TakesOver:
    """Whoever goes on in the middle of episodes where another one acted, whose memory is none of its own."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._begun = False

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return its actions `[N, ...]`; it begins with nothing remembered."""
        state, self._begun = state if self._begun else None, True
        return self._actor.predict(observation, state, episode_start, deterministic, **with_masks(action_masks))


class RandomPolicy(PolicyDefaults):
    """Uniformly random actions, the zero of the retention scale."""

    def __init__(
        self,
        action_space: Space[Any],
        n_envs: int,
        seed: int,
        *,
        takes_action_masks: bool = False,
        rewindable: bool = False,
    ) -> None:
        """Draw from `seed`; `rewindable` remembers the draws of running episodes for `again`."""
        self._draws = Draws(n_envs) if rewindable else None
        self._single = action_space
        self._space = batch_space(action_space, n_envs)
        self._space.seed(seed)
        self._rng = np.random.default_rng(seed)
        self.takes_action_masks = takes_action_masks

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return one random action for each environment, among those that `action_masks` `[N, A]` allows."""
        drawn = np.asarray(self._space.sample()) if action_masks is None else self._rng.random(action_masks.shape)
        if self._draws is not None and episode_start is not None:
            drawn = self._draws.next(drawn, episode_start)
        if action_masks is not None:
            scores = np.where(action_masks, drawn, -1.0)
            if isinstance(self._single, Discrete):
                return scores.argmax(axis=1) + int(self._single.start), state
            # One choice after another; a bit is a choice between two.
            bits = isinstance(self._single, MultiBinary)
            sizes = np.full(self._single.shape or (), 2) if bits else choices_of(self._single)
            heads = np.split(scores, np.cumsum(sizes)[:-1], axis=1)
            chosen = np.stack([head.argmax(axis=1) for head in heads], axis=1)
            return chosen + start_of(self._single), state
        return drawn, state

    def again(self, index: int) -> None:
        """Draw for environment `index` what was drawn since its episode began, and then what would have followed."""
        assert self._draws is not None, "made to be rewindable"
        self._draws.again(index)


class Draws:
    """Random numbers of environments side by side, each of which may go back to where its episode began."""

    def __init__(self, n_envs: int) -> None:
        self._drawn: deque[np.ndarray] = deque()
        self._first = 0
        """The step that the oldest draw was made at."""
        self._step = np.zeros(n_envs, dtype=np.int64)
        """The draw that each environment takes next."""
        self._begun = np.zeros(n_envs, dtype=np.int64)
        """The draw that its episode began with."""

    def next(self, drawn: np.ndarray, episode_start: np.ndarray) -> np.ndarray:
        """Return each environment's next draw, given a new one for all `[N, ...]`."""
        self._drawn.append(drawn)
        self._begun[episode_start] = self._step[episode_start]
        rows = [self._drawn[step - self._first][index] for index, step in enumerate(self._step.tolist())]
        self._step += 1
        for _ in range(int(self._begun.min()) - self._first):
            self._drawn.popleft()
            self._first += 1
        return np.stack(rows)

    def again(self, index: int) -> None:
        """Go back to where the episode of environment `index` began."""
        self._step[index] = self._begun[index]
