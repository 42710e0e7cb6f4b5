"""What a caller may hand over in place of a teacher or a policy: a path, a live model, or what was opened before.

In: any of these, and the environment. Out: what acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policy_distill.environments.open import normalization_of
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Policy, Teacher
from policy_distill.student.file import in_run_folder, is_student_file
from policy_distill.student.runtime import load_student
from policy_distill.system.foreign import said
from policy_distill.teachers.outside import policy_from, teacher_from


def as_teacher(source: Any, env: Any, env_kwargs: Mapping[str, Any] | None = None) -> Teacher:
    """Return a teacher for whatever `load_teacher` takes; one that it opened, or that labels by itself, as it is.

    `env_kwargs` go before those in the agent's files.

    Raises:
        RequestError: as of `load_teacher`.
    """
    if (teacher := teacher_from(source)) is not None:
        return teacher
    return _load_teacher(source, env, env_kwargs)


def as_policy(source: Any, env: Any, env_kwargs: Mapping[str, Any] | None = None) -> Policy:
    """Return what acts: a student for the path of one, a teacher for the path of a zip, what has `predict` as a policy.

    `env_kwargs` go before those in an agent's files.

    Raises:
        RequestError: as of `load_student` and `load_teacher`, for what cannot act, and for a live model of normalised
            observations where neither it nor `env` normalises.
    """
    if isinstance(source, str | Path):
        return load_policy(source, env, env_kwargs=env_kwargs)
    if isinstance(source, list | tuple) or _is_normalized(source):
        # Its statistics come with it, so that what it is given may be raw, and stay as they are.
        return _load_teacher(source, env, env_kwargs)
    if _is_model(source) and normalization_of(env) is None:
        from policy_distill.teachers.files.needed_statistics import check_model

        check_model(source)
    if not said(source, "predict"):
        raise RequestError(
            "expected a teacher, a student, the path of one, or an object with predict, found "
            f"{type(source).__name__}; open a zip with load_teacher, a student with load_student"
        )
    return policy_from(source)


def load_policy(
    path: str | Path,
    env: Any = None,
    *,
    vecnormalize: Any = None,
    trust: bool = False,
    wrappers: Sequence[str] | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
) -> Policy:
    """Return the student of a file or a run folder, else a teacher; the options are those of `load_teacher`.

    Raises:
        RequestError: where the file is neither, or is broken.
    """
    inside = in_run_folder(path)
    if is_student_file(inside):
        return load_student(inside)
    # Stable-Baselines3 takes a second to import, which a program that evaluates a student need not pay.
    from policy_distill.teachers.load import load_teacher

    return load_teacher(path, env=env, vecnormalize=vecnormalize, trust=trust, wrappers=wrappers, env_kwargs=env_kwargs)


def _is_normalized(model: Any) -> bool:
    """Say whether a live SB3 model was trained on observations that its own environment normalises."""
    return _is_model(model) and model.get_vec_normalize_env() is not None


def _is_model(source: Any) -> bool:
    # By what it has: Stable-Baselines3 need not be imported to know that something else is none of its models.
    return bool(said(source, "get_vec_normalize_env"))


def _load_teacher(source: Any, env: Any, env_kwargs: Mapping[str, Any] | None) -> Teacher:
    from policy_distill.teachers.load import load_teacher

    return load_teacher(source, env=env, env_kwargs=env_kwargs)
