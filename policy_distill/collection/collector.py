"""Collects rollouts: one policy acts in all environments, nobody labels yet.

In: environments and whoever acts. Out: a `Rollout` of raw observations `[T, N, ...]`, to be labelled in one batch.
"""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from policy_distill.collection.policy_defaults import with_masks
from policy_distill.collection.replay import EpisodeLog
from policy_distill.collection.rollout import Recorder, Rollout
from policy_distill.environments.faults import Misbehaviour, check_observations
from policy_distill.interfaces.policies import Actor
from policy_distill.interfaces.stepping import Environments
from policy_distill.seeds import training_seed
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.nested import equal, put, room_for, take
from policy_distill.system.packing import alike, pack, pack_or_none, unpack

EpisodeSeed = Callable[[int, int, int], int]
"""From a seed, an environment's index and the number of an episode in it, to what the episode starts from."""

RETURN_WINDOW = 100
"""Episodes over which the collected return is averaged, as in SB3's logs."""


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
        self.ended: list[tuple[int, int, float]] = []
        """Step, environment and return of each episode that ended in the newest rollout."""
        self.env_seconds = 0.0
        """Time spent in the environments themselves."""
        self.running = np.zeros(envs.n_envs)
        """Returns of the running episodes so far."""
        self.starts = np.ones(envs.n_envs, dtype=bool)
        """True where the current observation is an episode's first."""
        self.actor_state: Any = None
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
        self.actor_state = None
        self.begun = True

    def collect(
        self,
        actor: Actor,
        n_steps: int,
        deterministic: bool,
        teacher_share: float,
        *,
        masked: bool = False,
        columns: Sequence[str] = (),
    ) -> Rollout:
        """Let `actor` act for `n_steps` in each environment; see `Source.collect`."""
        if not self.begun:
            self.begin()
        if self.log is not None:
            self.log.trim()
        obs = room_for(self.envs.obs, n_steps)
        episode_starts = np.empty((n_steps, self.envs.n_envs), dtype=bool)
        masks: list[np.ndarray] = []
        recorder = Recorder(columns, n_steps, self.envs)
        self.ended = []
        for step in range(n_steps):
            stop_if_requested("while states were collected")
            # Before anybody acts on it: a policy given NaN fails in ways that hide the cause.
            while (failed := check_observations(self.envs, f"at step {step} of the rollout")) is not None:
                self.running[failed], self.starts[failed] = 0.0, True
                self._reset(failed)
            put(obs, step, self.envs.obs)
            episode_starts[step] = self.starts
            if masked:
                masks.append(self.envs.action_masks())
            told = with_masks(masks[-1] if masked else None)
            actions, self.actor_state = actor.predict(
                self.envs.obs, self.actor_state, self.starts, deterministic, **told
            )
            if self.log is not None:
                self.log.took(actions)
            self._advance(actions, step, recorder)
        return Rollout(obs, episode_starts, np.stack(masks) if masked else None, teacher_share, recorder.columns)

    def _advance(self, actions: np.ndarray, step: int, recorder: Recorder) -> None:
        began = time.perf_counter()
        rewards, terminated, truncated = outcome = self.envs.step(actions)
        recorder.took(step, actions, outcome)
        self.running += rewards
        self.starts = terminated | truncated
        # Mostly nobody has ended, and a list says so sooner than an array.
        for index in np.flatnonzero(self.starts).tolist() if True in self.starts.tolist() else ():
            if math.isfinite(self.running[index]):
                self.returns.append(float(self.running[index]))
                self.ended.append((step, index, self.returns[-1]))
            else:
                self.envs.restart(
                    index, Misbehaviour(index, f"the rewards of its episode sum to {self.running[index]}")
                )
            self.running[index] = 0.0
            if not self.envs.resets_itself:
                self._reset(index)
        self.env_seconds += time.perf_counter() - began

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what the next rollout depends on; see `Source.state`."""
        arrays = {
            "collector.n_episodes": self.n_episodes,
            "collector.running": self.running,
            "collector.starts": self.starts,
            "collector.returns": np.array(self.returns, dtype=np.float64),
        }
        if self.log is not None:
            arrays |= {f"log.{name}": array for name, array in self.log.arrays().items()}
        obs = pack("obs", self.envs.obs, arrays)
        return arrays, {"obs": obs, "actor": pack_or_none("state.actor", self.actor_state, arrays)}

    def restore(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned; see `Source.restore`."""
        obs = unpack(record["obs"], arrays)
        if self.log is not None:
            if not alike(obs, self.envs.obs):
                raise ValueError("its observations come from another environment")
            self.log.restore({name: arrays[f"log.{name}"] for name in ("ages", "seeds", "actions")})
        for name, now in (("n_episodes", self.n_episodes), ("running", self.running), ("starts", self.starts)):
            saved = arrays[f"collector.{name}"]
            if not alike(saved, now) or ((saved < 0).any() and name == "n_episodes"):
                raise ValueError(f"{name} come from other environments")
            now[:] = saved
        returns = arrays["collector.returns"]
        if returns.ndim != 1 or not np.isfinite(returns).all():
            raise ValueError("its returns are not a list of numbers")
        self.returns.clear()
        self.returns.extend(returns.tolist())
        self.actor_state = None if record["actor"] is None else unpack(record["actor"], arrays)
        return obs

    def mark(self) -> Any:
        """Return where it stands between two rollouts, for `go_back`."""
        counts = self.n_episodes.copy(), self.running.copy(), self.starts.copy(), self.returns.copy()
        log = None if self.log is None else self.log.mark()
        return copy.deepcopy(self.envs.obs), counts, self.actor_state, log

    def go_back(self, mark: Any) -> None:
        """Forget the rollout since a mark; see `Source.go_back`."""
        obs, counts, self.actor_state, log = mark
        put(self.envs.obs, ..., obs)
        self.n_episodes, self.running, self.starts, self.returns = counts
        if self.log is not None:
            self.log.go_back(log)

    def close(self) -> None:
        """Let go of nothing: the environments are their owner's."""

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
