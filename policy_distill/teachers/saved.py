"""Teachers of files: a zip that SB3 saved, with all that lies beside it, or the file of a policy alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from policy_distill.environments.open import open_environments, without_normalization
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.teachers.algorithm_names import check_named, kind_asked
from policy_distill.teachers.algorithms import algorithm_named, find_algorithm
from policy_distill.teachers.files.cleanrl import as_its_script, normalizes, read_cleanrl
from policy_distill.teachers.files.gym_names import gym_names
from policy_distill.teachers.files.needed_statistics import HOW, statistics_of
from policy_distill.teachers.files.old_agents import as_it_acted, modern, wrappers_of_old
from policy_distill.teachers.files.pickled_spaces import read_space
from policy_distill.teachers.files.policy_file import is_policy_file, load_trusted_policy, read_policy_file
from policy_distill.teachers.files.zip_file import SavedAgent, read_zip
from policy_distill.teachers.files.zoo_config import env_kwargs_of
from policy_distill.teachers.files.zoo_wrappers import wrappers_of
from policy_distill.teachers.finite import check_weights
from policy_distill.teachers.make_teacher import kind_of_policy, make_teacher
from policy_distill.teachers.request import MissingCompanion, Request
from policy_distill.teachers.sb3_policy import freeze, rebuild_policy

FOR_TRAINING: dict[str, Any] = {
    "replay_buffer_class": None,
    "replay_buffer_kwargs": {},
    "buffer_size": 1,
    "optimize_memory_usage": False,
    "learning_rate": 0.0,
    **dict.fromkeys(("lr_schedule", "clip_range", "exploration_schedule", "delta_std_schedule"), lambda _: 0.0),
}
"""What SB3 need not make of a file to act: a replay buffer takes gigabytes, and that of HER wants an environment;
schedules are functions, which another Python cannot read."""


def teacher_of_file(path: Path, request: Request) -> Teacher:
    """Return the teacher of an agent's file and of what lies beside it.

    Raises:
        RequestError: as of `load_teacher`.
    """
    if kind := kind_asked(request.algo):
        return _of_cleanrl(path, kind, request)
    check_named(path)
    if request.trust:
        policy, algorithm, data, origin = _trusted(path, request.algo)
    else:
        agent = modern(read_policy_file(path) if is_policy_file(path) else read_zip(path))
        algorithm = find_algorithm(agent.data, request.algo, str(path))
        policy, data = rebuild(agent), agent.data
        origin = {"sha256": agent.sha256, "library_versions": agent.versions}
    policy = policy.to(request.device)
    check_weights(policy, str(path))
    named = request.named_wrappers()
    wrappers = wrappers_of(path) + wrappers_of_old(data) if named is None else named
    env_kwargs = env_kwargs_of(path, request.env_kwargs or {})
    statistics = statistics_of(request, path, data, policy.observation_space)
    # Its training began from there: a proof keeps away.
    origin |= {"seed": data["seed"]} if type(data.get("seed")) is int else {}
    origin = {"source": path.name, **origin, **kind_of_policy(algorithm, request, is_policy_file(path))}
    belonging: dict[str, Any] = {"wrappers": wrappers, "env_kwargs": env_kwargs, "origin": origin}
    return make_teacher(policy, algorithm, statistics, request, **belonging, discount=data.get("gamma"))


def _of_cleanrl(path: Path, kind: str, request: Request) -> Teacher:
    """Return the teacher of a file of CleanRL, which names neither its script nor its environment."""
    agent = read_cleanrl(path, kind, None if request.env is None else _action_space(request.env))
    if normalizes(agent) and request.vecnormalize is None:
        raise MissingCompanion(
            f"{path} comes from CleanRL's PPO for continuous actions, which normalises observations and does not save "
            f"the statistics; {HOW} if it ran without NormalizeObservation"
        )
    observed, acted = agent.data["observation_space"], agent.data["action_space"]
    policy = as_its_script(rebuild_policy(agent, observed, acted), kind).to(request.device)
    check_weights(policy, str(path))
    statistics = None if request.declines_statistics else request.vecnormalize
    origin = {"source": path.name, "sha256": agent.sha256, "library_versions": {}, "library": "CleanRL"}
    belonging: dict[str, Any] = {
        "wrappers": request.named_wrappers() or [],
        "env_kwargs": dict(request.env_kwargs or {}),
    }
    teacher: Any = make_teacher(policy, kind, statistics, request, **belonging, origin=origin)
    found: Teacher = teacher.without_values("which does not save the units of its rewards")
    return found


def _action_space(env: Any) -> Any:
    with closing(open_environments(without_normalization(env), 1)) as envs:
        return envs.action_space


def rebuild(agent: SavedAgent) -> Any:
    """Return the policy that a safely read zip describes."""
    for name in ("observation_space", "action_space"):
        if name not in agent.data:
            raise RequestError(f"{agent.path} has no {name}: it is not an agent that Stable-Baselines3 saved")
    observation_space, action_space = (
        read_space(agent.data[name], f"{agent.path}, {name}") for name in ("observation_space", "action_space")
    )
    return as_it_acted(rebuild_policy(agent, observation_space, action_space), agent)


def _trusted(path: Path, algo: str) -> tuple[Any, str, dict[str, Any], dict[str, Any]]:
    if is_policy_file(path):
        policy = _vouched(path, load_trusted_policy)
        return freeze(policy), find_algorithm({"policy_class": type(policy)}, algo, str(path)), {}, {"sha256": None}
    model, algorithm = _vouched(path, lambda path: _load_trusted(path, algo))
    return freeze(model.policy), algorithm, vars(model), {"sha256": None}


def _vouched(path: Path, load: Callable[[Path], Any]) -> Any:
    """Let others load a file, as the caller vouches for it."""
    with warnings.catch_warnings(), gym_names():
        warnings.simplefilter("ignore")
        try:
            return load(path)
        except RequestError:
            raise
        except Exception as error:
            # SB3 and the file's own code may fail in any way.
            failure = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            raise RequestError(f"Stable-Baselines3 itself cannot load {path} ({failure})") from None


def _load_trusted(path: Path, algo: str) -> tuple[BaseAlgorithm, str]:
    data, _, _ = load_from_zip_file(path, device="cpu", custom_objects=FOR_TRAINING)
    name = find_algorithm(data or {}, algo, str(path))
    algorithm = algorithm_named(name)
    cls = resolve_name(f"{algorithm.package}:{algorithm.cls}")
    return cls.load(path, device="cpu", custom_objects=FOR_TRAINING), name
