"""Whole episodes, side by side, on seeds of one's own choice.

In: a policy and environments. Out: an `Evaluation`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.environments.limit import limit_of, say_cut
from policy_distill.evaluation.on_workers import players_for
from policy_distill.evaluation.policy_records import ReturnsRecord
from policy_distill.evaluation.side_by_side import OnStep, SideBySide
from policy_distill.evaluation.statistics import interval, iqm, json_number, worst
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.records import dump
from policy_distill.system.threads import threads_for


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

    def record(self) -> ReturnsRecord:
        """Return what files say of the returns; NaN becomes None."""
        return ReturnsRecord(
            mean=self.mean,
            std=self.std,
            iqm=self.iqm,
            ci95=[json_number(x) for x in self.ci95],
            median=float(np.median(self.returns)),
            worst5=worst(self.returns),
            n_cut=self.n_cut or None,
            phases=None if self.phases is None else self.phases.mean(axis=0).tolist(),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the statistics of the returns as JSON values."""
        return dump(self.record())


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
    began, limit = time.perf_counter(), limit_of(envs, max_episode_steps)
    if players := players_for(envs):
        found = players.play(policy, envs, n_episodes, seed, limit, deterministic, on_episode)
    else:
        with threads_for(policy):
            found = SideBySide(policy, envs, n_episodes, seed, limit).run(deterministic, on_episode)
    say_cut(envs.env_id, found.n_cut, found.lengths)
    seconds = time.perf_counter() - began
    told = found.phases, found.paired, found.n_cut
    return Evaluation(envs.env_id, seed, found.returns, found.lengths, seconds, *told)


def join_evaluations(parts: Sequence[Evaluation]) -> Evaluation:
    """Return evaluations of one policy on seeds that follow each other as one."""
    returns = np.concatenate([part.returns for part in parts])
    lengths = np.concatenate([part.lengths for part in parts])
    known = [part.phases for part in parts if part.phases is not None]
    phases = np.concatenate(known) if len(known) == len(parts) else None
    seconds = sum(part.wall_seconds for part in parts)
    paired, n_cut = all(part.paired for part in parts), sum(part.n_cut for part in parts)
    return Evaluation(parts[0].env_id, parts[0].seed, returns, lengths, seconds, phases, paired, n_cut)
