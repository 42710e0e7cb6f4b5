"""Puts a teacher together: a policy, its observation statistics, its environment's wrappers and arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.teachers.algorithms import algorithm_named
from policy_distill.teachers.files.frame_statistics import normalizer_and_wrappers
from policy_distill.teachers.files.vecnormalize import read_statistics, return_scale_of
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
    discount: Any = None,
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
        discount: the agent's `gamma`, where its file or model has one.
    """
    normalizer, return_scale = None, 1.0 if statistics is None else None
    if statistics is not None:
        space = policy.observation_space
        attributes, place = read_statistics(statistics, request.trust)
        normalizer, wrappers = normalizer_and_wrappers(attributes, place, space, wrappers)
        return_scale = return_scale_of(attributes)
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
    teacher: Any = algorithm_named(algorithm).make(policy, normalizer, provenance)
    teacher.return_scale = return_scale
    if isinstance(discount, float | int) and 0 < discount <= 1:
        teacher.discount = float(discount)
    made: Teacher = teacher
    return made


def kind_of_policy(algorithm: str, request: Request, alone: bool) -> dict[str, Any]:
    """Return the provenance of a policy that came `alone`: PPO, A2C and TRPO share theirs, which does not tell them."""
    return {"algorithm": "actor-critic"} if alone and algorithm == "a2c" and request.algo == "auto" else {}
