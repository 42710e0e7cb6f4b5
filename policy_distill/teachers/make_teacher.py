"""Puts a teacher together: a policy, its observation statistics, its environment's wrappers and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.teachers.algorithms import algorithm_named
from policy_distill.teachers.files.frame_statistics import normalizer_and_wrappers
from policy_distill.teachers.request import Request


def make_teacher(
    policy: Any,
    algorithm: str,
    statistics: Any,
    request: Request,
    *,
    wrappers: list[WrapperSpec],
    env_kwargs: dict[str, Any],
    origin: dict[str, Any],
) -> Teacher:
    """Return the teacher of a policy.

    Args:
        policy: an SB3 policy.
        algorithm: its name, as `find_algorithm` returns it.
        statistics: the path of a `VecNormalize` pickle, a live one, or None.
        request: what the caller asked for.
        wrappers: of its environment, innermost first.
        env_kwargs: constructor arguments of its environment.
        origin: further provenance: `source`, `sha256`, `library_versions`.
    """
    normalizer = None
    if statistics is not None:
        space = policy.observation_space
        normalizer, wrappers = normalizer_and_wrappers(statistics, space, wrappers, request.trust)
    provenance = {
        "algorithm": algorithm,
        "policy_class": type(policy).__name__,
        "normalized_observations": normalizer is not None,
        "env_wrappers": wrappers,
        **origin,
    }
    if isinstance(statistics, str | Path):
        provenance["vecnormalize"] = Path(statistics).name
    if env_kwargs:
        provenance["env_kwargs"] = env_kwargs
    return algorithm_named(algorithm).make(policy, normalizer, provenance)


def kind_of_policy(algorithm: str, request: Request, alone: bool) -> dict[str, Any]:
    """Return the provenance of a policy that came `alone`: PPO, A2C and TRPO share theirs, which does not tell them."""
    return {"algorithm": "actor-critic"} if alone and algorithm == "a2c" and request.algo == "auto" else {}
