"""Evaluation: returns on seeds of one's own choice, and what a student keeps of its teacher.

In: policies and an environment. Out: an `Evaluation` each, and the `Retention` between them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from policy_distill.actors import RandomPolicy
from policy_distill.background import Background, has_idle_core
from policy_distill.env_watch import step_limit
from policy_distill.environments import Environments, is_recipe, open_environments, without_normalization
from policy_distill.episodes import Evaluation, OnStep, run_episodes, takes_masks
from policy_distill.errors import RequestError
from policy_distill.fit import check_fit
from policy_distill.interfaces import Policy
from policy_distill.restarts import Restarts
from policy_distill.sampling import sampled
from policy_distill.statistics import Retention, retention
from policy_distill.verdict import MARGIN

N_ENVS = 16
"""Environments stepped side by side; it does not change which episodes are run."""


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
        deterministic: act by the mode of the distribution; else by sampling, from generators of `seed`, which leaves
            policy and global generators as they are; see `sampling.py`.
        n_envs: environments stepped side by side where `env` can be made.

    Raises:
        RequestError: for an environment that is unknown or does not fit the policy.
        RunFault: for observations that are not finite.
    """
    _check_counts(n_episodes, seed)
    with closing(_open(policy, env, min(n_envs, n_episodes))) as envs:
        check_fit(policy, envs)
        actor = policy if deterministic else sampled(policy, seed)
        return run_episodes(actor, envs, n_episodes, seed, deterministic)


class Reference:
    """Teacher and random policy on the episodes of a proof, run beside whatever else happens where a core is idle."""

    def __init__(
        self,
        teacher: Policy,
        env: Any,
        n_episodes: int,
        seed: int,
        n_envs: int = N_ENVS,
        *,
        env_timeout: float = 0.0,
        restarts: Restarts | None = None,
    ) -> None:
        """Start at once; arguments as of `compare_policies`, and the seconds that a step may take (0: any)."""
        _check_counts(n_episodes, seed)
        self._episodes = (teacher, env, n_episodes, seed, n_envs)
        self._env_timeout = env_timeout
        self._restarts = restarts.beside() if restarts else None
        self._background = Background(self._run, forked=has_idle_core() and is_recipe(env))

    def result(self, on_episode: OnStep | None = None) -> tuple[Evaluation, Evaluation]:
        """Return the evaluations of teacher and random policy; errors as of `evaluate`."""
        return self._background.result(on_episode)

    def close(self) -> None:
        """Stop, whether there is a result or not."""
        self._background.close()

    def _run(self, on_episode: OnStep) -> tuple[Evaluation, Evaluation]:
        teacher, env, n_episodes, seed, n_envs = self._episodes
        opened = closing(_open(teacher, env, min(n_envs, n_episodes), self._restarts))
        # A forked process has none of the threads that watch in this one.
        with step_limit(self._env_timeout), opened as envs:
            check_fit(teacher, envs)
            random_policy = RandomPolicy(
                envs.action_space,
                envs.n_envs,
                seed,
                takes_action_masks=takes_masks(teacher),
                rewindable=self._restarts is not None and self._restarts.allowed > 0,
            )
            return (
                run_episodes(teacher, envs, n_episodes, seed, True, on_episode),
                run_episodes(random_policy, envs, n_episodes, seed, True, _offset(on_episode, n_episodes)),
            )


def compare_policies(
    teacher: Policy,
    student: Policy,
    env: Any,
    n_episodes: int,
    seed: int,
    *,
    margin: float = MARGIN,
    n_envs: int = N_ENVS,
    on_episode: OnStep | None = None,
    reference: Reference | None = None,
    restarts: Restarts | None = None,
) -> Comparison:
    """Evaluate teacher, student and a random policy on the same episode seeds; see `comparison.compare`.

    `reference` is one of the same teacher, environment and episodes that was started before; `restarts` are those that
    may be made of environments that fail.
    """
    with closing(reference or Reference(teacher, env, n_episodes, seed, n_envs, restarts=restarts)) as reference:
        with closing(_open(teacher, env, min(n_envs, n_episodes), restarts)) as envs:
            check_fit(student, envs)
            student_run = run_episodes(student, envs, n_episodes, seed, True, on_episode)
        teacher_run, random_run = reference.result(_offset(on_episode, n_episodes))
    kept = retention(student_run.returns, teacher_run.returns, random_run.returns, seed, margin)
    return Comparison(teacher_run, student_run, random_run, kept)


def _offset(on_episode: OnStep | None, done_before: int) -> OnStep | None:
    return (lambda n_done: on_episode(done_before + n_done)) if on_episode else None


def _open(policy: Any, env: Any, n_envs: int, restarts: Restarts | None = None) -> Environments:
    takes_raw = hasattr(policy, "label") or hasattr(policy, "distribution_params")
    wrappers = getattr(policy, "env_wrappers", ())
    return open_environments(without_normalization(env) if takes_raw else env, n_envs, wrappers, restarts)


def _check_counts(n_episodes: int, seed: int) -> None:
    if n_episodes < 1:
        raise RequestError(f"expected at least 1 episode, found {n_episodes}; set --episodes")
    if seed < 0:
        raise RequestError(f"expected a seed of at least 0, found {seed}; set --seed")
