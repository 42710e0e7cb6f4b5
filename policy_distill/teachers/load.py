"""Opens a teacher of any kind: a zip, a folder with one, or a live Stable-Baselines3 model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from policy_distill.device import check_device
from policy_distill.environments import normalization_of, open_environments, without_normalization
from policy_distill.errors import RequestError
from policy_distill.fit import check_fit
from policy_distill.interfaces import Teacher
from policy_distill.teachers.algorithms import ALGORITHMS, algorithm_of, check_name, find_algorithm
from policy_distill.teachers.ensemble import EnsembleTeacher
from policy_distill.teachers.generators import global_generators_kept
from policy_distill.teachers.pickled_spaces import make_space
from policy_distill.teachers.sb3_policy import freeze, rebuild_policy
from policy_distill.teachers.scripted import ScriptedTeacher, missing_of
from policy_distill.teachers.value import ValueTeacher
from policy_distill.teachers.vecnormalize import find_statistics, load_normalizer
from policy_distill.teachers.zip_file import SavedAgent, find_zip, read_zip
from policy_distill.teachers.zoo_config import wrappers_of
from policy_distill.wrappers import parse_wrapper

FOR_TRAINING: dict[str, Any] = {"replay_buffer_class": None, "replay_buffer_kwargs": {}, "buffer_size": 1}
"""What SB3 need not make of a file to act: a replay buffer takes gigabytes, and that of HER wants an environment."""


def load_teacher(
    source: Any,
    *,
    env: Any = None,
    algo: str = "auto",
    vecnormalize: Any = None,
    trust: bool = False,
    device: str = "cpu",
    wrappers: Sequence[str] | None = None,
    temperature: float | None = None,
) -> Teacher:
    """Return a teacher that acts on raw observations and says which distribution it acts from.

    Args:
        source: a zip as SB3 saves it, a folder with one zip, a live SB3 model, any object with SB3's `predict` (its
            actions become hard labels; needs `env`), or a list of these: an ensemble.
        env: checked to fit, where given; a `VecNormalize` lends its statistics where there are no others.
        algo: the algorithm; `auto` finds it from the file.
        vecnormalize: a pickle's path or a live `VecNormalize`; by itself the `vecnormalize.pkl` beside the zip. Of an
            ensemble, one for all members or a list with one for each, None where a member has none of its own.
        trust: load with SB3's own loading, which runs code from the file.
        device: where the teacher's network computes; a live model's stays where it is.
        wrappers: environment wrappers that it was trained with, such as `FrameStack:n_stack=4`; by itself those that
            the RL Zoo's `config.yml` beside the zip names.
        temperature: τ of softmax(Q / τ) for DQN and QR-DQN, in units of return; by itself scaled to the action gap.

    Raises:
        RequestError: for a file that is missing, foreign, damaged, of an unsupported kind or not to be trusted, and for
            spaces or statistics that do not fit.
    """
    check_device(device)
    teacher: Teacher
    if isinstance(source, BaseAlgorithm):
        teacher = _live(source, algo, vecnormalize, env, trust, wrappers)
    elif isinstance(source, list | tuple) and source:
        options: dict[str, Any] = {"algo": algo, "trust": trust, "device": device, "wrappers": wrappers}
        each = zip(source, _for_each(vecnormalize, len(source)), strict=True)
        teacher = EnsembleTeacher([load_teacher(one, env=env, vecnormalize=own, **options) for one, own in each])
    elif isinstance(source, str | Path):
        with global_generators_kept():
            teacher = _saved(find_zip(Path(source)), algo, vecnormalize, env, trust, device, wrappers)
    elif isinstance(source, Teacher):
        teacher = source
    elif lacking := missing_of(source):
        raise RequestError(
            f"expected a teacher as of policy_distill.interfaces.Teacher, found {type(source).__name__} without "
            f"{', '.join(lacking)}; add what is missing, or hand over an object with predict alone for hard labels"
        )
    elif hasattr(source, "predict"):
        teacher = _scripted(source, env, wrappers)
    else:
        kind = type(source).__name__
        raise RequestError(
            f"expected a zip's path, a live Stable-Baselines3 model or an object with predict, found {kind}"
        )
    if temperature is not None:
        _fix_temperature(teacher, temperature)
    if env is not None:
        envs = open_environments(without_normalization(env), 1, teacher.env_wrappers)
        try:
            check_fit(teacher, envs)
        finally:
            envs.close()
    return teacher


def _for_each(vecnormalize: Any, n_members: int) -> list[Any]:
    """Return the statistics of each member of an ensemble."""
    if not isinstance(vecnormalize, list | tuple):
        return [vecnormalize] * n_members
    if len(vecnormalize) != n_members:
        raise RequestError(
            f"expected one vecnormalize for all {n_members} members of the ensemble or a list of as many, found "
            f"{len(vecnormalize)}"
        )
    return list(vecnormalize)


def _live(
    model: BaseAlgorithm, algo: str, vecnormalize: Any, env: Any, trust: bool, wrappers: Sequence[str] | None
) -> Teacher:
    algorithm = algorithm_of(type(model)) if algo == "auto" else check_name(algo)
    statistics = vecnormalize if vecnormalize is not None else model.get_vec_normalize_env() or normalization_of(env)
    provenance = {"source": None, "sha256": None, "env_wrappers": [parse_wrapper(text) for text in wrappers or ()]}
    # The model stays as it is and where it is: its owner may train it on.
    return _teacher(model.policy, algorithm, statistics, trust, provenance)


def _scripted(policy: Any, env: Any, wrappers: Sequence[str] | None) -> Teacher:
    specs = [parse_wrapper(text) for text in wrappers or ()]
    if env is None:
        raise RequestError("expected env beside an object with predict, since it does not say its spaces; found none")
    envs = open_environments(without_normalization(env), 1, specs)
    try:
        return ScriptedTeacher(policy, envs.observation_space, envs.action_space, specs)
    finally:
        envs.close()


def _saved(
    path: Path, algo: str, vecnormalize: Any, env: Any, trust: bool, device: str, wrappers: Sequence[str] | None
) -> Teacher:
    statistics = vecnormalize if vecnormalize is not None else find_statistics(path) or normalization_of(env)
    agent = read_zip(path) if not trust else None
    specs = wrappers_of(path) if wrappers is None else [parse_wrapper(text) for text in wrappers]
    provenance: dict[str, Any] = {"source": path.name, "env_wrappers": specs}
    if agent is None:
        model, algorithm = _load_trusted(path, algo)
        policy = freeze(model.policy).to(device)
        return _teacher(policy, algorithm, statistics, trust, {**provenance, "sha256": None})
    algorithm = find_algorithm(agent.data, algo, str(path))
    provenance |= {"sha256": agent.sha256, "library_versions": agent.versions}
    return _teacher(rebuild(agent).to(device), algorithm, statistics, trust, provenance)


def rebuild(agent: SavedAgent) -> Any:
    """Return the policy that a safely read zip describes."""
    for name in ("observation_space", "action_space"):
        if name not in agent.data:
            raise RequestError(f"{agent.path} says nothing of its {name}; not an agent that Stable-Baselines3 saved")
    observation_space, action_space = (
        make_space(agent.data[name], f"{agent.path}, {name}") for name in ("observation_space", "action_space")
    )
    return rebuild_policy(agent, observation_space, action_space)


def _load_trusted(path: Path, algo: str) -> tuple[BaseAlgorithm, str]:
    """Let SB3 load the file, as the caller vouches for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data, _, _ = load_from_zip_file(path, device="cpu")
            name = find_algorithm(data or {}, algo, str(path))
            algorithm = ALGORITHMS[name]
            cls = getattr(import_module(algorithm.package), algorithm.cls)
            return cls.load(path, device="cpu", custom_objects=FOR_TRAINING), name
        except RequestError:
            raise
        except Exception as error:
            # SB3 and the file's own code may fail in any way.
            failure = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            raise RequestError(f"Stable-Baselines3 itself cannot load {path} ({failure})") from None


def _teacher(policy: Any, algorithm: str, statistics: Any, trust: bool, provenance: dict[str, Any]) -> Teacher:
    normalizer = None
    if statistics is not None:
        normalizer = load_normalizer(statistics, policy.observation_space, trust=trust)
    provenance = {
        "algorithm": algorithm,
        "policy_class": type(policy).__name__,
        "normalized_observations": normalizer is not None,
        **provenance,
    }
    return ALGORITHMS[algorithm].make(policy, normalizer, provenance)


def _fix_temperature(teacher: Teacher, temperature: float) -> None:
    if not isinstance(teacher, ValueTeacher):
        raise RequestError(
            f"expected a DQN or QR-DQN teacher for a temperature, found {teacher.provenance['algorithm']}"
        )
    if not 0.0 < temperature < float("inf"):
        raise RequestError(f"expected a temperature above 0, found {temperature}")
    teacher.calibration, teacher.fixed = temperature, True
