"""What another task shows and asks for, as a student is made for it.

In: an environment, and whoever goes on in it. Out: a `NextTask`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces

from policy_distill.collection.actors import RandomPolicy
from policy_distill.collection.measuring import measure_normalizer
from policy_distill.collection.state_sample import sample_states
from policy_distill.environments.open import open_environments, without_normalization
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.table import make_family
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.actions import ActionMap
from policy_distill.student.features import Normalizer
from policy_distill.student.onboard.names import observation_names
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import SpaceRecord, describe_space
from policy_distill.teachers.kinds.network import box_map, discrete_family

N_MEASURED = 2_000
"""States that statistics of new components are measured on."""


@dataclass(frozen=True)
class NextTask:
    """What a student is to do next."""

    env_id: str
    observation_space: SpaceRecord
    action_space: SpaceRecord
    family: ActionDistribution
    """What actions are drawn from there."""
    action_map: ActionMap
    log_std: str | None
    """Where log σ comes from: `vector`, `head`, or None for a family without."""
    takes_action_masks: bool
    """True where it rules out actions."""
    statistics: Normalizer | None = None
    """Of its observations, for components that a student did not see before; None where nobody measured any."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What the components of its observations are called; empty where nobody says."""
        return observation_names(self.env_id, self.observation_space) or ()


def task_by_reward(origin: Student, env: Any) -> NextTask:
    """Return the task of an environment for a student that goes on by reward: its own distribution, where that fits."""
    with closing(open_environments(without_normalization(env), 1, origin.env_wrappers)) as envs:
        task = _by_actions(origin, envs)
        return replace(task, statistics=_measured(envs, task.takes_action_masks))


def _measured(envs: Environments, masked: bool) -> Normalizer | None:
    """Return statistics of a vector of numbers, of states that random actions lead to; None for what is no vector."""
    space = envs.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        return None
    anybody = RandomPolicy(envs.action_space, envs.n_envs, 0, takes_action_masks=masked)
    sample = sample_states(envs, 0, anybody, N_MEASURED, masked=masked, max_steps=N_MEASURED)
    return measure_normalizer(sample.obs, space.low, space.high)


def _by_actions(origin: Student, envs: Environments) -> NextTask:
    said, space = origin.description, envs.action_space
    seen, acted = describe_space(envs.observation_space), describe_space(space)
    own = said.action_space
    same = acted["type"] == own["type"] and all(acted.get(key) == own.get(key) for key in ("shape", "n", "nvec"))
    if same:
        family = make_family(said.distribution.family, said.distribution.config)
        action_map = said.action_map
        if isinstance(space, spaces.Box) and action_map.kind in ("clip", "unsquash"):
            action_map = replace(action_map, low=space.low, high=space.high)
        elif (found := discrete_family(space)) is not None:
            action_map = found[1]
        log_std = "vector" if said.architecture.log_std == "dropped" else said.architecture.log_std
        return NextTask(envs.env_id, seen, acted, family, action_map, log_std, origin.takes_action_masks)
    if isinstance(space, spaces.Box):
        gaussian = DiagonalGaussian(int(np.prod(space.shape)))
        return NextTask(envs.env_id, seen, acted, gaussian, box_map(space, False), "vector", False)
    found = discrete_family(space)
    assert found is not None, "of a Box there are Gaussians"
    return NextTask(envs.env_id, seen, acted, *found, None, False)


def task_by_teacher(teacher: Teacher, env: Any) -> NextTask:
    """Return the task that a teacher was trained in: its own distribution."""
    with closing(open_environments(without_normalization(env), 1, teacher.env_wrappers)) as envs:
        seen, env_id = describe_space(envs.observation_space), envs.env_id
        known = (
            teacher.normalizer
            if isinstance(teacher.normalizer, Normalizer)
            else _measured(envs, teacher.takes_action_masks)
        )
    log_std = None
    if teacher.family.has_log_std:
        log_std = "head" if teacher.state_dependent_std else "vector"
    acted = describe_space(teacher.action_space)
    masked = teacher.takes_action_masks
    return NextTask(env_id, seen, acted, teacher.family, teacher.action_map, log_std, masked, known)
