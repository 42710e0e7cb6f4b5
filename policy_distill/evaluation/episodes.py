"""Whole episodes, side by side, on seeds of one's own choice.

In: a policy and environments. Out: an `Evaluation`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.environments.faults import check_observations, check_return
from policy_distill.environments.limit import are_paired, limit_of, say_cut
from policy_distill.environments.open import Environments
from policy_distill.evaluation.statistics import interval, iqm, json_number, worst
from policy_distill.evaluation.trace import N_PHASES, Trace
from policy_distill.interfaces import Policy
from policy_distill.system.interrupts import stop_if_requested
from policy_distill.system.threads import threads_for

OnStep = Callable[[int], None]
"""Called with the episodes done so far."""


@dataclass(frozen=True)
class Evaluation:
    """Returns of whole episodes, in the order of their seeds."""

    env_id: str
    """Gymnasium id of the environment."""
    seed: int
    """Episode i started from reset(seed=seed + i)."""
    returns: np.ndarray
    """float64 `[n]`, undiscounted."""
    lengths: np.ndarray
    """int64 `[n]`, steps."""
    wall_seconds: float
    """Time that it took."""
    phases: np.ndarray | None = None
    """float64 `[n, N_PHASES]`, the return gained in each tenth of the episode; an episode's sum is its return."""
    paired: bool = True
    """True where episode i begins alike for every policy, as resets from one seed show. That an environment draws from
    elsewhere in its steps (`numpy.random`, say) is not noticed."""
    n_cut: int = 0
    """Episodes that were stopped at the limit of steps, and count with what they had gained by then."""

    @property
    def n_episodes(self) -> int:
        """Episodes run."""
        return len(self.returns)

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """Standard deviation of the returns over episodes."""
        return float(self.returns.std())

    @property
    def iqm(self) -> float:
        """Interquartile mean of the returns."""
        return float(iqm(self.returns))

    @cached_property
    def ci95(self) -> tuple[float, float]:
        """95% bootstrap interval of the interquartile mean."""
        return interval(self.returns, self.seed)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics of the returns as JSON values."""
        phases = {} if self.phases is None else {"phases": self.phases.mean(axis=0).tolist()}
        return {
            "mean": self.mean,
            "std": self.std,
            "iqm": self.iqm,
            "ci95": [json_number(x) for x in self.ci95],
            "median": float(np.median(self.returns)),
            "worst5": worst(self.returns),
            **({"n_cut": self.n_cut} if self.n_cut else {}),
            **phases,
        }


def run_episodes(
    policy: Policy,
    envs: Environments,
    n_episodes: int,
    seed: int,
    deterministic: bool,
    on_episode: OnStep | None = None,
    *,
    max_episode_steps: int | None = None,
) -> Evaluation:
    """Run episodes `seed` to `seed + n_episodes - 1` to their ends, or to so many steps, side by side.

    Where an environment fails and may be restarted, its whole episode is run again, so that the evaluation is the one
    without the fault wherever an episode is a function of its seed and of a policy that acts by what it sees.

    Raises:
        RunFault: where an environment fails and no restart is left.
        Interrupted: within a step, where a run was asked to stop.
    """
    limit = limit_of(envs, max_episode_steps)
    with threads_for(policy):
        found = _run_episodes(policy, envs, n_episodes, seed, deterministic, on_episode, limit)
    say_cut(envs.env_id, found.n_cut, found.lengths)
    return found


def _run_episodes(
    policy: Policy,
    envs: Environments,
    n_episodes: int,
    seed: int,
    deterministic: bool,
    on_episode: OnStep | None,
    limit: int,
) -> Evaluation:
    began = time.perf_counter()
    returns, lengths = np.zeros(n_episodes), np.zeros(n_episodes, dtype=np.int64)
    trace, phases = Trace(envs.n_envs), np.zeros((n_episodes, N_PHASES))
    schedule, paired = _schedule(envs, n_episodes), are_paired(envs, n_episodes)
    current = [queue.pop(0) if queue else -1 for queue in schedule]
    for index, episode in enumerate(current):
        if episode >= 0 or envs.resets_itself:
            envs.reset(index, seed + max(episode, 0))
    state, starts, n_done, n_cut = None, np.ones(envs.n_envs, dtype=bool), 0, 0
    episodes = np.array(current)
    _begin_again(policy, envs, episodes, seed, returns, lengths)
    masked = policy.takes_action_masks
    while n_done < n_episodes:
        stop_if_requested("while episodes were run")
        options = {"action_masks": envs.action_masks()} if masked else {}
        actions, state = policy.predict(envs.obs, state, starts, deterministic, **options)
        active = episodes >= 0
        counted = active & ~envs.restarting
        rewards, terminated, truncated = envs.step(actions, active)
        returns[episodes[active]] += rewards[active]
        trace.add(rewards, counted)
        lengths[episodes[counted]] += 1
        ended = active & (terminated | truncated)
        cut = counted & ~ended & (lengths[episodes] >= limit)
        starts = ended | cut
        again = _begin_again(policy, envs, episodes, seed, returns, lengths)
        for index in np.flatnonzero(starts & ~again).tolist():
            if not check_return(envs, index, float(returns[episodes[index]])):
                continue
            n_done, n_cut = n_done + 1, n_cut + int(cut[index])
            phases[episodes[index]] = trace.phases(index)
            trace.begin(index)
            episodes[index] = schedule[index].pop(0) if schedule[index] else -1
            if episodes[index] >= 0 and not envs.resets_itself:
                envs.reset(index, seed + int(episodes[index]))
        if starts.any():
            # Those whose return was no number, and whose new episode begins with what is no observation.
            again |= _begin_again(policy, envs, episodes, seed, returns, lengths)
            if on_episode:
                on_episode(n_done)
        for index in np.flatnonzero(again).tolist():
            trace.begin(index)
        # A vector that begins episodes by itself goes on with the one that was cut.
        starts = (ended if envs.resets_itself else starts) | again
    return Evaluation(envs.env_id, seed, returns, lengths, time.perf_counter() - began, phases, paired, n_cut)


def _begin_again(
    policy: Policy, envs: Environments, episodes: np.ndarray, seed: int, returns: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Begin anew the episodes of environments that failed, until none has; return where, bool `[N]`.

    What these episodes were so far is forgotten: their environments start from the same seeds, and a policy with a
    generator of its own draws again what it drew.

    Raises:
        RunFault: where no restart is left.
    """
    again = np.zeros(envs.n_envs, dtype=bool)
    while check_observations(envs, "in the evaluation") is not None or envs.faults.failed:
        for index in sorted(envs.faults.failed):
            episode = int(episodes[index])
            again[index] = True
            returns[episode], lengths[episode] = 0.0, 0
            policy.again(index)
            envs.reset(index, seed + episode)
    return again


def join(parts: Sequence[Evaluation]) -> Evaluation:
    """Return evaluations of one policy on seeds that follow each other as one."""
    returns, lengths = (np.concatenate([getattr(part, name) for part in parts]) for name in ("returns", "lengths"))
    known = [part.phases for part in parts if part.phases is not None]
    phases = np.concatenate(known) if len(known) == len(parts) else None
    seconds = sum(part.wall_seconds for part in parts)
    paired, n_cut = all(part.paired for part in parts), sum(part.n_cut for part in parts)
    return Evaluation(parts[0].env_id, parts[0].seed, returns, lengths, seconds, phases, paired, n_cut)


def _schedule(envs: Environments, n_episodes: int) -> list[list[int]]:
    """Return each environment's episodes, fixed beforehand: who is quick must not be given more."""
    return [list(range(index, n_episodes, envs.n_envs)) for index in range(envs.n_envs)]
