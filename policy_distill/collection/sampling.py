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
from typing import Any

import numpy as np
import torch
from gymnasium import Space

from policy_distill.interfaces import Policy
from policy_distill.seeds import purpose_seed
from policy_distill.student.runtime import Student
from policy_distill.system.generators import LentGenerators


def has_distribution(policy: Any) -> bool:
    """Say whether a policy has a distribution of its own to sample from.

    Not so where SB3 acts alike with `deterministic=False` (TD3, DDPG, ARS, DQN, QR-DQN), and where only actions are
    known, as of a script.
    """
    if isinstance(policy, Student):
        return policy.plan.samples
    samples = getattr(policy, "samples", not getattr(policy, "acts_greedily", False))
    return bool(samples and hasattr(policy, "label") and policy.family.has_density)


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
    return SampledTeacher(policy, mixed) if has_distribution(policy) else SampledObject(policy, mixed)


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


class SampledTeacher:
    """A teacher that draws each action from its distribution, whose σ is taken as it is."""

    def __init__(self, teacher: Any, seed: int) -> None:
        self.teacher = teacher
        self.n_params, self.observation_space = teacher.n_params, teacher.observation_space
        self.takes_action_masks = bool(getattr(teacher, "takes_action_masks", False))
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
        one_step = {k: v[None] for k, v in observation.items()} if isinstance(observation, dict) else observation[None]
        masks = None if action_masks is None else action_masks[None]
        params, next_state = self.teacher.label(one_step, episode_start[None], state, masks)
        actions = self._draw(params[0], one_step, episode_start, state)
        return self.teacher.action_map.execute(actions.numpy()), next_state

    def again(self, index: int) -> None:
        """Draw again what the last episode of environment `index` drew."""
        self._generators.again(index)

    def _draw(self, params: torch.Tensor, one_step: Any, episode_start: np.ndarray, state: Any) -> torch.Tensor:
        family, generators = self.teacher.family, self._generators.begin(episode_start)
        if not family.has_log_std:
            rows = zip(params.split(1), generators, strict=True)
            return torch.cat([torch.as_tensor(family.sample(row, generator)) for row, generator in rows])
        mean, log_std = params.chunk(2, dim=-1)
        explore = getattr(self.teacher, "exploration", None)
        correlated = explore(one_step, episode_start[None], state) if explore else None
        if correlated is None:
            drawn = [torch.randn(mean.shape[1:], generator=generator) for generator in generators]
            noise = log_std.exp() * torch.stack(drawn)
        else:
            features, spread = correlated
            noise = self._state_dependent(features, spread, episode_start, generators)
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


class SampledObject:
    """Any object with `predict`, which is lent generators while it is asked."""

    def __init__(self, policy: Any, seed: int) -> None:
        generators, space = LentGenerators(seed), getattr(policy, "action_space", None)
        self.n_params = getattr(policy, "n_params", 0)
        self.observation_space = getattr(policy, "observation_space", None)
        self.takes_action_masks = getattr(policy, "takes_action_masks", None)
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
