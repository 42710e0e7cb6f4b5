"""Episodes under way, side by side: which environment is in which, what each gave so far, and which begin anew.

In: a policy, environments, and which episodes to run. Out: returns, lengths and phases, in the order of the seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from policy_distill.environments.faults import check_observations, check_return
from policy_distill.environments.limit import are_paired
from policy_distill.evaluation.trace import N_PHASES, Trace
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.interrupts import stop_if_requested

OnStep = Callable[[int], None]
"""Called with the episodes done so far."""


@dataclass(frozen=True)
class Played:
    """Episodes that are over, in any order."""

    episodes: np.ndarray
    """int64 `[n]`, their numbers."""
    returns: np.ndarray
    """float64 `[n]`."""
    lengths: np.ndarray
    """int64 `[n]`, steps."""
    phases: np.ndarray
    """float64 `[n, N_PHASES]`."""
    paired: bool
    """True where episode i begins alike for every policy."""
    n_cut: int
    """Episodes that were stopped at the limit."""
    n_restarts: int
    """Restarts that were made."""


class SideBySide:
    """Runs episodes `seed` to `seed + n_episodes - 1`, each to its end or to `limit` steps."""

    def __init__(
        self,
        policy: Policy,
        envs: Environments,
        n_episodes: int,
        seed: int,
        limit: int,
        part: tuple[int, int] | None = None,
    ) -> None:
        """Begin the first episode of every environment.

        Where environments are a `part` of all, with the number of the first and how many all are, theirs are played.

        Raises:
            RunFault: where an environment fails and no restart is left.
        """
        self._policy = policy
        self._envs = envs
        self._seed = seed
        self._limit = limit
        self.returns = np.zeros(n_episodes)
        """float64 `[n]`, so far."""
        self.lengths = np.zeros(n_episodes, dtype=np.int64)
        """int64 `[n]`, steps so far."""
        self.phases = np.zeros((n_episodes, N_PHASES))
        """float64 `[n, N_PHASES]` of the episodes that are done."""
        self.n_done = 0
        """Episodes that ended, or were cut."""
        self.n_cut = 0
        """Of these, episodes that were stopped at the limit."""
        self._trace = Trace(envs.n_envs)
        # Fixed beforehand: who is quick must not be given more.
        first, n_all = part or (0, envs.n_envs)
        self._waiting = [list(range(first + index, n_episodes, n_all)) for index in range(envs.n_envs)]
        self._own = np.array(sorted(episode for one in self._waiting for episode in one), dtype=np.int64)
        self.paired = are_paired(envs, n_episodes)
        """True where episode i begins alike for every policy."""
        self._episodes = np.array([self._next(index) for index in range(envs.n_envs)])
        """int64 `[N]`, the episode that each environment is in; -1 where none is left for it."""
        for index, episode in enumerate(self._episodes.tolist()):
            # Where there are more environments than episodes too: those that wait are asked for their masks.
            envs.reset(index, seed + max(episode, 0))
        self._begin_again()

    def run(self, deterministic: bool, on_episode: OnStep | None = None) -> Played:
        """Act until all episodes are done, and return them.

        Raises:
            RunFault: where an environment fails and no restart is left.
            Interrupted: within a step, where a run was asked to stop.
        """
        state, starts, masked = None, np.ones(self._envs.n_envs, dtype=bool), self._policy.takes_action_masks
        before, own = self._envs.faults.n_restarts, self._own
        while self.n_done < len(own):
            stop_if_requested("while episodes were run")
            options = {"action_masks": self._envs.action_masks()} if masked else {}
            actions, state = self._policy.predict(self._envs.obs, state, starts, deterministic, **options)
            starts = self._step(actions, on_episode)
        n_restarts = self._envs.faults.n_restarts - before
        known = self.returns[own], self.lengths[own], self.phases[own]
        return Played(own, *known, self.paired, self.n_cut, n_restarts)

    def _step(self, actions: np.ndarray, on_episode: OnStep | None) -> np.ndarray:
        """Step every environment that is in an episode; return where the next observation begins one, bool `[N]`."""
        envs, active = self._envs, self._episodes >= 0
        counted = active & ~envs.restarting
        rewards, terminated, truncated = envs.step(actions, active)
        self.returns[self._episodes[active]] += rewards[active]
        self._trace.add(rewards, counted)
        self.lengths[self._episodes[counted]] += 1
        ended = active & (terminated | truncated)
        cut = counted & ~ended & (self.lengths[self._episodes] >= self._limit)
        over = ended | cut
        again = self._begin_again()
        for index in np.flatnonzero(over & ~again).tolist():
            self._end(index, bool(cut[index]))
        if over.any():
            # Those whose return was no number, and whose new episode begins with what is no observation.
            again |= self._begin_again()
            if on_episode:
                on_episode(self.n_done)
        for index in np.flatnonzero(again).tolist():
            self._trace.begin(index)
        # A vector that begins episodes by itself goes on with the one that was cut.
        return (ended if envs.resets_itself else over) | again

    def _end(self, index: int, cut: bool) -> None:
        """Note the episode that an environment has ended, and begin its next; one without a return is not done."""
        episode = int(self._episodes[index])
        if not check_return(self._envs, index, float(self.returns[episode])):
            return
        self.n_done, self.n_cut = self.n_done + 1, self.n_cut + int(cut)
        self.phases[episode] = self._trace.phases(index)
        self._trace.begin(index)
        self._episodes[index] = following = self._next(index)
        if following >= 0 and not self._envs.resets_itself:
            self._envs.reset(index, self._seed + following)

    def _next(self, index: int) -> int:
        """Return the episode that waits for an environment, -1 where none does."""
        return self._waiting[index].pop(0) if self._waiting[index] else -1

    def _begin_again(self) -> np.ndarray:
        """Begin anew the episodes of environments that failed, until none has; return where, bool `[N]`.

        What these episodes were so far is forgotten: their environments start from the same seeds, and a policy with a
        generator of its own draws again what it drew.

        Raises:
            RunFault: where no restart is left.
        """
        envs, again = self._envs, np.zeros(self._envs.n_envs, dtype=bool)
        while check_observations(envs, "in the evaluation") is not None or envs.faults.failed:
            for index in sorted(envs.faults.failed):
                episode = int(self._episodes[index])
                again[index] = True
                self.returns[episode], self.lengths[episode] = 0.0, 0
                self._policy.again(index)
                envs.reset(index, self._seed + episode)
        return again
