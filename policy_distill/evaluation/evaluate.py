"""Evaluation: returns on seeds of one's own choice.

In: a policy and an environment. Out: an `Evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from policy_distill.collection.sampling import sampled
from policy_distill.environments.choice import for_policy, say_where_other
from policy_distill.environments.fit import check_fit
from policy_distill.environments.open import open_environments, without_normalization
from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.episodes import Evaluation, run_episodes
from policy_distill.evaluation.on_workers import played_by
from policy_distill.evaluation.proof.plan import N_ENVS, check_counts
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.system.workers.settings import WorkerSettings
from policy_distill.teachers.sources import as_policy


def evaluate(
    policy: Any,
    env: Any,
    n_episodes: int = 100,
    seed: int = 0,
    deterministic: bool = True,
    *,
    n_envs: int = N_ENVS,
    max_episode_steps: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    workers: int | WorkerSettings = 0,
) -> Evaluation:
    """Run whole episodes and return what they scored.

    Every seed's episode is run to its end, so short episodes are not favoured. Vector environments that restart
    themselves run `n_episodes` divided evenly, and only their first episodes start from given seeds.

    Args:
        policy: a teacher, a student, the path of one, or anything with SB3's `predict`.
        env: a Gymnasium id, an EnvSpec, a callable, or a vector environment.
        n_episodes: episodes to run, at least 1.
        seed: episode i starts from reset(seed=seed + i).
        deterministic: act by the mode of the distribution; else by sampling, from generators of `seed`, which leaves
            policy and global generators as they are; see `collection/sampling.py`.
        n_envs: environments stepped side by side where `env` can be made.
        max_episode_steps: steps after which an episode is stopped, and counts with what it gained; None or 0 for the
            limit that the environment was registered with, or `episode_limit.DEFAULT_STEPS`.
        env_kwargs: arguments of its constructor, before those that the policy was made with.
        workers: processes that play the episodes, which changes none of them.

    Raises:
        RequestError: for an environment that is unknown or does not fit the policy.
        RunFault: for observations that are not finite.
    """
    check_counts(n_episodes, seed)
    policy = as_policy(policy, env, env_kwargs)
    env = for_policy(env, policy, env_kwargs)
    with closing(open_for(policy, env, min(n_envs, n_episodes))) as envs:
        check_fit(policy, envs)
        say_where_other(policy, envs)
        actor = policy if deterministic else sampled(policy, seed)
        with played_by(workers):
            return run_episodes(actor, envs, n_episodes, seed, deterministic, max_episode_steps=max_episode_steps)


def open_for(
    policy: Policy, env: Any, n_envs: int, restarts: Restarts | None = None, like: Policy | None = None
) -> Environments:
    """Return environments as a policy needs them: with its wrappers, and raw where it normalises by itself.

    With `like` they are as another policy needs them, seen through this one's own wrappers.
    """
    like = like or policy
    env = without_normalization(env) if like.takes_raw else env
    return open_environments(env, n_envs, [*like.env_wrappers, *policy.own_wrappers], restarts)
