"""Teachers of what is in memory already: an SB3 model, or a policy alone, as imitation learning makes them."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from policy_distill.environments.open import normalization_of
from policy_distill.interfaces.policies import Teacher, WrapperSpec
from policy_distill.system.foreign import asked
from policy_distill.teachers.algorithms import algorithm_of, check_name, find_algorithm
from policy_distill.teachers.files.needed_statistics import check_model
from policy_distill.teachers.finite import check_weights
from policy_distill.teachers.make_teacher import kind_of_policy, make_teacher
from policy_distill.teachers.request import Request

LIVE: dict[str, Any] = {"source": None, "sha256": None}
"""Provenance of what has no file."""


def teacher_of_model(model: BaseAlgorithm, request: Request) -> Teacher:
    """Return the teacher of a live model, which stays as it is and where it is: its owner may train it on.

    Raises:
        RequestError: for a model of an unknown algorithm, or one whose statistics are missing.
    """
    algorithm = algorithm_of(type(model)) if request.algo == "auto" else check_name(request.algo)
    statistics = _statistics(request, model.get_vec_normalize_env())
    if statistics is None and not request.declines_statistics:
        check_model(model)
    wrappers, origin = _stack_around(model.get_env(), statistics), {"seed": model.seed}
    belonging: dict[str, Any] = {"wrappers": wrappers, "origin": origin, "discount": asked(model, "gamma")}
    return _make(model.policy, algorithm, statistics, request, **belonging)


def _stack_around(env: Any, statistics: Any) -> list[WrapperSpec]:
    """Return the stack of frames that a model's environment puts around its statistics, as a wrapper; else nothing."""
    while env is not None and env is not statistics:
        held = vars(env)
        if "stacked_obs" in held and statistics is not None:
            return [{"name": "FrameStack", "kwargs": {"n_stack": env.stacked_obs.n_stack}}]
        env = held.get("venv")
    return []


def teacher_of_policy(policy: BasePolicy, request: Request) -> Teacher:
    """Return the teacher of a live policy, which says which distribution it acts from as a model's does.

    Raises:
        RequestError: for a policy that no algorithm of SB3 or sb3-contrib has.
    """
    name = type(policy).__name__
    algorithm = find_algorithm({"policy_class": type(policy)}, request.algo, f"the policy {name}")
    origin = kind_of_policy(algorithm, request, True)
    return _make(policy, algorithm, _statistics(request, None), request, origin=origin)


def _statistics(request: Request, of_model: Any) -> Any:
    """Return the statistics named, else those of the model's environment, else those of the environment given."""
    if request.declines_statistics:
        return None
    if request.vecnormalize is not None:
        return request.vecnormalize
    return of_model or normalization_of(request.env)


def _make(
    policy: BasePolicy,
    algorithm: str,
    statistics: Any,
    request: Request,
    *,
    wrappers: list[WrapperSpec] | None = None,
    origin: dict[str, Any] | None = None,
    discount: Any = None,
) -> Teacher:
    check_weights(policy, f"the {type(policy).__name__}")
    named = request.named_wrappers()
    return make_teacher(
        policy,
        algorithm,
        statistics,
        request,
        wrappers=(wrappers or []) if named is None else named,
        env_kwargs=dict(request.env_kwargs or {}),
        origin={**LIVE, **(origin or {})},
        discount=discount,
    )
