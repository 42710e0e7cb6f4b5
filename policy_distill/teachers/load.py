"""Opens a teacher of any kind: a zip, a folder with one, a policy's file, or a live model or policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from policy_distill.environments.choice import adapted
from policy_distill.environments.fit import check_fit
from policy_distill.environments.open import open_environments, without_normalization
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.student.file import is_student_file
from policy_distill.student.runtime import Student
from policy_distill.system.device import check_device
from policy_distill.system.foreign import said
from policy_distill.system.generators import global_generators_kept
from policy_distill.teachers.combining.combination import Combination, combination_of
from policy_distill.teachers.files.agent_file import find_agent
from policy_distill.teachers.hub import origin_on_hub, pinned
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from policy_distill.teachers.kinds.scripted import ScriptedTeacher
from policy_distill.teachers.kinds.student import teacher_of_student
from policy_distill.teachers.kinds.value import ValueTeacher
from policy_distill.teachers.live import teacher_of_model, teacher_of_policy
from policy_distill.teachers.outside import teacher_from
from policy_distill.teachers.request import Request
from policy_distill.teachers.saved import teacher_of_file


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
    env_kwargs: Mapping[str, Any] | None = None,
    combine: Any = None,
) -> Teacher:
    """Return a teacher that acts on raw observations and says which distribution it acts from.

    What an agent was trained with is looked for beside it (docs/teachers.md says where).

    Args:
        source: a zip as SB3 saves it, a folder with one, the file of a policy's `save`, `hf://user/repository` of the
            Hugging Face hub, a live SB3 model or policy, a student or the path of one, any object with SB3's `predict`
            (its actions become hard labels; needs `env`), or a list of these: an ensemble.
        env: checked to fit, where given; a `VecNormalize` lends its statistics where there are no others.
        algo: the algorithm; `auto` finds it from the file.
        vecnormalize: a pickle's path or a live `VecNormalize`; False for a teacher that takes observations as they are;
            by default the statistics among the agent's files. Of an ensemble, one for all members or a list with one
            for each, None where a member has none of its own.
        trust: load with SB3's own loading, which runs code from the file.
        device: where the teacher's network computes; a live model's stays where it is.
        wrappers: environment wrappers that it was trained with, such as `FrameStack:n_stack=4`; an empty list for none;
            by default those that the RL Zoo's `config.yml` names.
        temperature: τ of softmax(Q / τ) for DQN and QR-DQN, in units of return; by default scaled to the action gap.
        env_kwargs: constructor arguments of its environment, before those in the agent's configuration.
        combine: how several teachers say one thing: `mixture`, `mean`, `best`, `best:module:function`,
            `dispatch:module:function`, `dispatch:key`, or a function of raw observations `[B, ...]` that returns which
            teacher labels, `[B]` (docs/several_teachers.md); by default a mixture for one choice, else the mean.

    Raises:
        RequestError: for a file that is missing, foreign, damaged, of an unsupported kind or not to be trusted, for
            spaces or statistics that do not fit, and for statistics or wrappers that are needed and missing.
    """
    check_device(device)
    request = Request(env, algo, vecnormalize, trust, device, wrappers, env_kwargs)
    teacher = _opened(source, request, combination_of(combine))
    if temperature is not None:
        teacher = _with_temperature(teacher, temperature)
    paths = source if isinstance(source, list | tuple) else [source]
    if all(isinstance(path, str | Path) for path in paths):
        teacher.asked_for = request.to_json([pinned(path) for path in paths], temperature, combine)
    if env is not None:
        _check(teacher, env, env_kwargs)
    return teacher


def _check(teacher: Teacher, env: Any, env_kwargs: Mapping[str, Any] | None) -> None:
    chosen, _ = adapted(without_normalization(env), teacher, env_kwargs)
    with closing(open_environments(chosen, 1, teacher.env_wrappers)) as envs:
        check_fit(teacher, envs)


def _opened(source: Any, request: Request, how: Combination) -> Teacher:
    if isinstance(source, list | tuple) and source:
        each = zip(source, _for_each(request.vecnormalize, len(source)), strict=True)
        return EnsembleTeacher([_open(one, replace(request, vecnormalize=own)) for one, own in each], how)
    if how.kind != "all":
        raise RequestError(f"expected several teachers to combine by {how.text}, found one; leave --combine out")
    return _open(source, request)


def _open(source: Any, request: Request) -> Teacher:
    if isinstance(source, BaseAlgorithm):
        return teacher_of_model(source, request)
    if isinstance(source, BasePolicy):
        return teacher_of_policy(source, request)
    if isinstance(source, list | tuple) and source:
        return _opened(source, request, Combination())
    if isinstance(source, str | Path):
        with global_generators_kept():
            path = find_agent(source)
            opened = teacher_of_student if is_student_file(path) else teacher_of_file
            found: Teacher = opened(path, request)
            found.provenance |= origin_on_hub(source)
            return found
    if isinstance(source, Student):
        return teacher_of_student(source, request)
    if (teacher := teacher_from(source)) is not None:
        return teacher
    if said(source, "predict"):
        return _scripted(source, request)
    kind = type(source).__name__
    raise RequestError(f"expected a zip's path, a Stable-Baselines3 model or an object with predict, found {kind}")


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


def _scripted(policy: Any, request: Request) -> Teacher:
    specs = request.named_wrappers() or []
    if request.env is None:
        raise RequestError("expected env with an object with predict, which does not give its spaces; found none")
    envs = open_environments(without_normalization(request.env), 1, specs)
    try:
        return ScriptedTeacher(policy, envs.observation_space, envs.action_space, specs)
    finally:
        envs.close()


def _with_temperature(teacher: Teacher, temperature: float) -> Teacher:
    if not isinstance(teacher, ValueTeacher):
        raise RequestError(
            f"expected a DQN or QR-DQN teacher for a temperature, found {teacher.provenance['algorithm']}"
        )
    if not 0.0 < temperature < float("inf"):
        raise RequestError(f"expected a temperature above 0, found {temperature}")
    return teacher.with_calibration(temperature, by_hand=True)
