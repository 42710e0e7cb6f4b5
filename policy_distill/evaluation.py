"""Evaluation: returns on seeds of one's own choice, and what a student keeps of its teacher.

In: policies and an environment. Out: an `Evaluation` each, and the `Retention` between them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.actors import RandomPolicy
from policy_distill.env_faults import check_observations, checked_returns
from policy_distill.environments import Environments, open_environments, without_normalization
from policy_distill.errors import RequestError
from policy_distill.fit import check_fit
from policy_distill.interfaces import Policy
from policy_distill.statistics import Retention, interval, iqm, json_number, retention
from policy_distill.threads import threads_for

N_ENVS = 16
"""Environments stepped side by side; it does not change which episodes are run."""

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
        """Return `mean`, `std`, `iqm` and `ci95` as JSON values."""
        return {
            "mean": self.mean,
            "std": self.std,
            "iqm": self.iqm,
            "ci95": [json_number(x) for x in self.ci95],
        }


@dataclass(frozen=True)
class Comparison:
    """Teacher, student and a random policy on the same episode seeds."""

    teacher: Evaluation
    student: Evaluation
    random: Evaluation
    retention: Retention


def evaluate(
    policy: Policy, env: Any, n_episodes: int = 100, seed: int = 0, deterministic: bool = True, *, n_envs: int = N_ENVS
) -> Evaluation:
    """Run whole episodes and return what they scored.

    Every seed's episode is run to its end, so short episodes are not favoured. Vector environments that restart
    themselves run `n_episodes` divided evenly, and only their first episodes start from given seeds.

    Args:
        policy: a teacher, a student, or anything with SB3's `predict`.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment.
        n_episodes: episodes to run, at least 1.
        seed: episode i starts from reset(seed=seed + i).
        deterministic: act by the mode of the distribution.
        n_envs: environments stepped side by side where `env` can be made.

    Raises:
        RequestError: for an environment that is unknown or does not fit the policy.
        RunFault: for observations that are not finite.
    """
    _check_counts(n_episodes, seed)
    envs = _open(policy, env, min(n_envs, n_episodes))
    try:
        check_fit(policy, envs)
        return run_episodes(policy, envs, n_episodes, seed, deterministic)
    finally:
        envs.close()


def compare(teacher: Policy, student: Policy, env: Any, n_episodes: int = 100, seed: int = 0) -> Retention:
    """Return the share of the teacher's gain over a random policy that the student keeps, on paired episode seeds.

    Arguments and errors as of `evaluate`; both act deterministically.
    """
    return compare_policies(teacher, student, env, n_episodes, seed).retention


def compare_policies(
    teacher: Policy,
    student: Policy,
    env: Any,
    n_episodes: int,
    seed: int,
    *,
    n_envs: int = N_ENVS,
    on_episode: OnStep | None = None,
) -> Comparison:
    """Evaluate teacher, student and a random policy on the same episode seeds; see `compare`."""
    _check_counts(n_episodes, seed)
    envs = _open(teacher, env, min(n_envs, n_episodes))
    try:
        for policy in (teacher, student):
            check_fit(policy, envs)
        masked = bool(getattr(teacher, "takes_action_masks", False))
        random_policy = RandomPolicy(envs.action_space, envs.n_envs, seed, takes_action_masks=masked)
        runs: list[Evaluation] = []
        for policy in (teacher, student, random_policy):
            advance = _offset(on_episode, len(runs) * n_episodes)
            runs.append(run_episodes(policy, envs, n_episodes, seed, True, advance))
    finally:
        envs.close()
    teacher_run, student_run, random_run = runs
    kept = retention(student_run.returns, teacher_run.returns, random_run.returns, seed)
    return Comparison(teacher_run, student_run, random_run, kept)


def run_episodes(
    policy: Policy,
    envs: Environments,
    n_episodes: int,
    seed: int,
    deterministic: bool,
    on_episode: OnStep | None = None,
) -> Evaluation:
    """Run episodes `seed` to `seed + n_episodes - 1` to their ends, side by side."""
    with threads_for(policy):
        return _run_episodes(policy, envs, n_episodes, seed, deterministic, on_episode)


def _run_episodes(
    policy: Policy, envs: Environments, n_episodes: int, seed: int, deterministic: bool, on_episode: OnStep | None
) -> Evaluation:
    began = time.perf_counter()
    returns, lengths = np.zeros(n_episodes), np.zeros(n_episodes, dtype=np.int64)
    schedule = _schedule(envs, n_episodes)
    current = [queue.pop(0) if queue else -1 for queue in schedule]
    for index, episode in enumerate(current):
        if episode >= 0 or envs.resets_itself:
            envs.reset(index, seed + max(episode, 0))
    state, starts, n_done, episodes = None, np.ones(envs.n_envs, dtype=bool), 0, np.array(current)
    masked = bool(getattr(policy, "takes_action_masks", False))
    while n_done < n_episodes:
        options = {"action_masks": envs.action_masks()} if masked else {}
        actions, state = policy.predict(envs.obs, state, starts, deterministic, **options)
        active = episodes >= 0
        counted = active & ~envs.restarting
        rewards, terminated, truncated = envs.step(actions, active)
        returns[episodes[active]] += rewards[active]
        lengths[episodes[counted]] += 1
        check_observations(envs, "in the evaluation")
        starts = active & (terminated | truncated)
        for index in np.flatnonzero(starts).tolist():
            n_done += 1
            episodes[index] = schedule[index].pop(0) if schedule[index] else -1
            if episodes[index] >= 0 and not envs.resets_itself:
                envs.reset(index, seed + int(episodes[index]))
        if on_episode and starts.any():
            on_episode(n_done)
    returns = checked_returns(envs.env_id, returns, seed)
    return Evaluation(envs.env_id, seed, returns, lengths, time.perf_counter() - began)


def _schedule(envs: Environments, n_episodes: int) -> list[list[int]]:
    """Return each environment's episodes, fixed beforehand: who is quick must not be given more."""
    return [list(range(index, n_episodes, envs.n_envs)) for index in range(envs.n_envs)]


def _offset(on_episode: OnStep | None, done_before: int) -> OnStep | None:
    return (lambda n_done: on_episode(done_before + n_done)) if on_episode else None


def _open(policy: Any, env: Any, n_envs: int) -> Environments:
    takes_raw = hasattr(policy, "label") or hasattr(policy, "distribution_params")
    wrappers = getattr(policy, "env_wrappers", ())
    return open_environments(without_normalization(env) if takes_raw else env, n_envs, wrappers)


def _check_counts(n_episodes: int, seed: int) -> None:
    if n_episodes < 1:
        raise RequestError(f"expected at least 1 episode, found {n_episodes}; set --episodes")
    if seed < 0:
        raise RequestError(f"expected a seed of at least 0, found {seed}; set --seed")
