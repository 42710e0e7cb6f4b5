"""Policies that act by sampling, from generators of a seed: the same seed draws the same actions.

In: any policy. Out: one that answers `predict` by sampling, without a trace in the policy or in a global generator.
"As SB3 samples" is `predict(deterministic=False)` of a model that was just loaded: independent noise in every step, and
with gSDE (Raffin et al. 2021, arXiv 2005.05719) one matrix of noise for a whole episode. SB3 draws that matrix as it
loads a model and keeps it for all that the model then acts; here each episode draws its own, so that a mean over
episodes is one over matrices, and not the luck of one of them.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from gymnasium import Space

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.interfaces.policies import Policy, Teacher
from policy_distill.seeds import purpose_seed
from policy_distill.student.runtime import Student
from policy_distill.system.generators import LentGenerators
from policy_distill.system.nested import with_axis


def sampled(policy: Policy, seed: int) -> Policy:
    """Return a policy that acts as `policy` does by sampling, with generators of `seed` of its own.

    An object that draws from a generator of its own is beyond reach: it samples as it does.
    """
    # Not the episodes' own seed: actions and environments are not to draw the same numbers.
    mixed = purpose_seed(seed, "sampled actions")
    if isinstance(policy, Student):
        student = copy.copy(policy)
        student.seed(mixed)
        return student
    # What has a distribution and is no student is a teacher.
    return SampledTeacher(cast(Teacher, policy), mixed) if policy.samples else SampledObject(policy, mixed)


class EpisodeGenerators:
    """A generator for each environment, which begins anew with each episode: what is run again draws again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._begun: dict[int, int] = {}
        self._again: set[int] = set()
        self._generators: list[torch.Generator] = []

    def begin(self, episode_start: np.ndarray) -> list[torch.Generator]:
        """Return the generators `[N]`, new ones where an episode begins."""
        while len(self._generators) < len(episode_start):
            self._generators.append(torch.Generator())
        for index in np.flatnonzero(episode_start).tolist():
            number = self._begun.get(index, 0) + (index not in self._again)
            self._again.discard(index)
            self._begun[index] = number
            self._generators[index].manual_seed(purpose_seed(self._seed, index, number))
        return self._generators[: len(episode_start)]

    def again(self, index: int) -> None:
        """Let the next episode of environment `index` be the last one, run again."""
        self._again.add(index)


class SampledTeacher(PolicyDefaults):
    """A teacher that draws each action from its distribution, whose σ is taken as it is."""

    def __init__(self, teacher: Teacher, seed: int) -> None:
        self.teacher = teacher
        self.n_params, self.observation_space = teacher.n_params, teacher.observation_space
        self.takes_action_masks = teacher.takes_action_masks
        self._generators = EpisodeGenerators(seed)
        self._matrices: torch.Tensor | None = None
        """gSDE's noise of the running episodes, `[N, F, A]`."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions `[N, ...]` for raw observations `[N, ...]`, sampled whatever `deterministic` says."""
        assert episode_start is not None
        one_step = with_axis(observation)
        labels = self.teacher.label(one_step, episode_start[None], state, with_axis(action_masks))
        actions = self._draw(labels.params[0].cpu(), one_step, episode_start, state)
        return self.teacher.action_map.execute(actions.numpy()), labels.state

    def again(self, index: int) -> None:
        """Draw again what the last episode of environment `index` drew."""
        self._generators.again(index)

    def _draw(self, params: torch.Tensor, one_step: Any, episode_start: np.ndarray, state: Any) -> torch.Tensor:
        family, generators = self.teacher.family, self._generators.begin(episode_start)
        if not family.has_log_std:
            rows = zip(params.split(1), generators, strict=True)
            return torch.cat([torch.as_tensor(family.sample(row, generator)) for row, generator in rows])
        mean, log_std = params.chunk(2, dim=-1)
        correlated = self.teacher.exploration(one_step, episode_start[None], state)
        if correlated is None:
            drawn = [torch.randn(mean.shape[1:], generator=generator) for generator in generators]
            noise = log_std.exp() * torch.stack(drawn)
        else:
            features, spread = correlated
            noise = self._state_dependent(features.cpu(), spread.cpu(), episode_start, generators)
        return torch.tanh(mean + noise) if family.head.kind == "tanh" else mean + noise

    def _state_dependent(
        self,
        features: torch.Tensor,
        spread: torch.Tensor,
        episode_start: np.ndarray,
        generators: list[torch.Generator],
    ) -> torch.Tensor:
        """Return gSDE's noise `[N, A]` for features `[N, F]`; matrices of `spread` `[F, A]` last an episode."""
        if self._matrices is None:
            self._matrices = torch.zeros(len(features), *spread.shape)
        for index in np.flatnonzero(episode_start).tolist():
            self._matrices[index] = spread * torch.randn(spread.shape, generator=generators[index])
        return torch.bmm(features[:, None], self._matrices)[:, 0]


class SampledObject(PolicyDefaults):
    """Any object with `predict`, which is lent generators while it is asked."""

    def __init__(self, policy: Policy, seed: int) -> None:
        generators, space = LentGenerators(seed), policy.action_space
        self.n_params, self.observation_space = policy.n_params, policy.observation_space
        self.takes_action_masks = policy.takes_action_masks
        of_space = np.random.default_rng(seed)

        # With the object's own signature, by which others see what it takes.
        @functools.wraps(policy.predict)
        def predict(*arguments: Any, **options: Any) -> tuple[np.ndarray, Any]:
            with generators, _lent(space, of_space):
                found: tuple[np.ndarray, Any] = policy.predict(*arguments, **options)
                return found

        self.predict = predict


@contextmanager
def _lent(space: Any, rng: np.random.Generator) -> Iterator[None]:
    """Let a space draw from `rng` within: SB3's DQN explores by the generator of its model's action space."""
    if not isinstance(space, Space):
        yield
        return
    own, space._np_random = space._np_random, rng
    try:
        yield
    finally:
        space._np_random = own
