"""Finds the environment of whatever the user calls a policy, a student file or a teacher zip."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError, one_line
from policy_distill.sources import in_run_folder
from policy_distill.student_file import is_student_file


def find_env(env: str | None, path: Path) -> str:
    """Return the environment asked for, or the one that a policy was made in, in its newest version, with a notice.

    Raises:
        RequestError: where neither the policy nor what lies beside it names an environment that is registered.
    """
    if env is not None:
        return env
    known = _environment_in(path)
    from policy_distill.make_env import is_registered, successor

    newest = successor(known)
    if not is_registered(known) and newest is None:
        raise RequestError(f"expected --env: {path} names no environment that is registered here ({known!r} is none)")
    chosen = newest if newest is not None and not is_student_file(in_run_folder(path)) else known
    instead = f" (instead of {known}, which is an older version)" if chosen != known else ""
    print(one_line(f"environment: {chosen}{instead}"), file=sys.stderr)
    return chosen


def say_applied(policy: Any) -> None:
    """Say on stderr what comes with a policy: its normalisation, and the wrappers put around the environment."""
    # A student's statistics are part of it, and need not be VecNormalize's.
    if hasattr(policy, "label") and getattr(policy, "normalizer", None) is not None:
        name = policy.provenance.get("vecnormalize")
        print(one_line(f"observations normalised by the statistics of {name or 'VecNormalize'}"), file=sys.stderr)
    if policy.env_wrappers:
        parts = [_spec_text(spec) for spec in policy.env_wrappers]
        print(one_line(f"environment wrapped in: {', '.join(parts)}"), file=sys.stderr)
    if kwargs := getattr(policy, "env_kwargs", None):
        parts = [f"{key}={value!r}" for key, value in kwargs.items()]
        print(one_line(f"environment made with: {', '.join(parts)}"), file=sys.stderr)


def _spec_text(spec: dict[str, Any]) -> str:
    # The numbers of a blank frame are for machines.
    kwargs = {key: value for key, value in spec["kwargs"].items() if key != "blank"}
    return spec["name"] + (f" {kwargs}" if kwargs else "")


def _environment_in(path: Path) -> str:
    path = in_run_folder(path)
    if is_student_file(path):
        from policy_distill.runtime import load_student

        return str(load_student(path).metadata["provenance"].get("env_id"))
    from policy_distill.teachers.zip_file import find_zip
    from policy_distill.teachers.zoo_config import environment_of

    return environment_of(find_zip(path))
