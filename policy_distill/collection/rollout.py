"""Collects rollouts: one policy acts in all environments, nobody labels yet.

In: environments and whoever acts. Out: a `Rollout` of raw observations `[T, N, ...]`, to be labelled in one batch.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.collection.replay import EpisodeLog
from policy_distill.environments.faults import Misbehaviour, check_observations
from policy_distill.environments.open import Environments
from policy_distill.interfaces import Actor
from policy_distill.seeds import training_seed
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import equal, merged, room_for, take, write

EpisodeSeed = Callable[[int, int, int], int]
"""From a seed, an environment's index and the number of an episode in it, to what the episode starts from."""

RETURN_WINDOW = 100
"""Episodes over which the collected return is averaged, as in SB3's logs."""


@dataclass(frozen=True)
class Rollout:
    """Steps gathered by one policy."""

    obs: Any
    """Raw observations `[T, N, ...]`, or a dict of such."""
    episode_starts: np.ndarray
    """bool `[T, N]`."""
    action_masks: np.ndarray | None
    """bool `[T, N, A]`, where the environments have them."""
    teacher_share: float
    """Share of the actions that the teacher chose."""

    @property
    def flat_obs(self) -> Any:
        """Observations `[T * N, ...]`, or a dict of such."""
        return merged(self.obs)


class Collector:
    """Steps the environments and remembers where their episodes stand between rollouts.

    Episode k of environment i starts from a seed that is a function of (seed, i, k) alone: `seed_of` them.
    """

    def __init__(self, envs: Environments, seed: int, seed_of: EpisodeSeed = training_seed) -> None:
        self.envs = envs
        self.seed = seed
        self.seed_of = seed_of
        self.n_episodes = np.zeros(envs.n_envs, dtype=np.int64)
        """Episodes begun in each environment."""
        self.returns: deque[float] = deque(maxlen=RETURN_WINDOW)
        """Returns of the last episodes that ended."""
        self.env_seconds = 0.0
        """Time spent in the environments themselves."""
        self.running = np.zeros(envs.n_envs)
        """Returns of the running episodes so far."""
        self.starts = np.ones(envs.n_envs, dtype=bool)
        """True where the current observation is an episode's first."""
        self.state: Any = None
        """What the policy that acts carries from step to step."""
        self.log = None if envs.resets_itself else EpisodeLog(envs.n_envs)
        """What running episodes are brought back from; None where the environments start episodes by themselves."""
        self.begun = False
        """True once all environments are in an episode."""

    def begin(self) -> None:
        """Start an episode in every environment."""
        for index in range(self.envs.n_envs):
            self._reset(index)
        self.running[:] = 0.0
        self.starts[:] = True
        self.state = None
        self.begun = True

    def collect(
        self, actor: Actor, n_steps: int, deterministic: bool, teacher_share: float, *, masked: bool = False
    ) -> Rollout:
        """Let `actor` act for `n_steps` in each environment; `masked` asks these for their action masks.

        Raises:
            RunFault: where an observation is not finite.
            Interrupted: within a step, where a run was asked to stop.
        """
        if not self.begun:
            self.begin()
        if self.log is not None:
            self.log.trim()
        obs = room_for(self.envs.obs, n_steps)
        episode_starts = np.empty((n_steps, self.envs.n_envs), dtype=bool)
        masks: list[np.ndarray] = []
        for step in range(n_steps):
            stop_if_requested("while states were collected")
            # Before anybody acts on it: a policy given NaN fails in ways that hide the cause.
            while (failed := check_observations(self.envs, f"at step {step} of the rollout")) is not None:
                self.running[failed], self.starts[failed] = 0.0, True
                self._reset(failed)
            write(obs, step, self.envs.obs)
            episode_starts[step] = self.starts
            options = {}
            if masked:
                masks.append(self.envs.action_masks())
                options = {"action_masks": masks[-1]}
            actions, self.state = actor.predict(self.envs.obs, self.state, self.starts, deterministic, **options)
            if self.log is not None:
                self.log.took(actions)
            self._advance(actions)
        return Rollout(obs, episode_starts, np.stack(masks) if masked else None, teacher_share)

    def _advance(self, actions: np.ndarray) -> None:
        began = time.perf_counter()
        rewards, terminated, truncated = self.envs.step(actions)
        self.running += rewards
        self.starts = terminated | truncated
        # Mostly nobody has ended, and a list says so sooner than an array.
        for index in np.flatnonzero(self.starts).tolist() if True in self.starts.tolist() else ():
            if math.isfinite(self.running[index]):
                self.returns.append(float(self.running[index]))
            else:
                self.envs.restart(
                    index, Misbehaviour(index, f"the rewards of its episode sum to {self.running[index]}")
                )
            self.running[index] = 0.0
            if not self.envs.resets_itself:
                self._reset(index)
        self.env_seconds += time.perf_counter() - began

    def lost(self) -> dict[int, str]:
        """Return, for each environment whose running episode is known to end with this process, why."""
        if self.log is None:
            return dict.fromkeys(range(self.envs.n_envs), "the vector starts its episodes by itself")
        return self.log.forgotten()

    def go_on(self, obs: Any, on_step: Callable[[], None] | None = None) -> dict[int, str]:
        """Bring the environments back to where `obs` `[N, ...]` were seen; all else here is already as it was then.

        Episodes that cannot be brought back restart. `on_step` is called before each step.

        Returns:
            For each environment whose episode restarts, why.
        """
        if self.log is None:
            self.begin()
            return self.lost()
        self.begun = True
        returns, failed = self.log.replay(self.envs, on_step)
        for index in range(self.envs.n_envs):
            if index in failed:
                pass
            elif not equal(take(self.envs.obs, index), take(obs, index)):
                failed[index] = "the same seed and actions led to another observation"
            elif returns[index] != self.running[index]:
                failed[index] = "the same seed and actions led to another return"
        for index in failed:
            self.running[index], self.starts[index] = 0.0, True
            self._reset(index)
        return failed

    def _reset(self, index: int) -> None:
        seed = self.seed_of(self.seed, index, int(self.n_episodes[index]))
        if self.log is not None:
            self.log.began(index, seed)
        self.envs.reset(index, seed)
        self.n_episodes[index] += 1
