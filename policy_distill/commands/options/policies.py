"""Finds the environment of whatever the user calls a policy, a student file or a teacher zip."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_distill.errors import RequestError, one_line
from policy_distill.interfaces.policies import Policy, WrapperSpec
from policy_distill.student.onboard.origins import StudentProvenance, TeacherProvenance
from policy_distill.student.runtime import Student
from policy_distill.teachers.sources import load_policy

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec


def find_env(
    env: str | None,
    path: Path,
    policy: Any = None,
    *,
    env_kwargs: Sequence[str] = (),
    gym_packages: Sequence[str] = (),
) -> str | EnvSpec:
    """Return the environment asked for, or the one that a policy was made in, as the policy knows it; with notices.

    Args:
        env: a Gymnasium id, which may name its package; None for the policy's own.
        path: where the policy was loaded from.
        policy: the policy; loaded from `path` where None.
        env_kwargs: constructor arguments, as `key:value`, before the policy's own.
        gym_packages: packages to import first, since they register environments.

    Raises:
        RequestError: where neither the policy nor what lies beside it names an environment that can be made.
    """
    from policy_distill.environments.choice import adapted, recorded_in
    from policy_distill.environments.names import parse_kwargs, to_env, with_packages, working_folder_on_path

    working_folder_on_path()
    given, notes = parse_kwargs(env_kwargs), []
    chosen: Any = with_packages(env, gym_packages)
    policy = policy if policy is not None else load_policy(path)
    if own := _packages_needed(env, path, policy):
        chosen, gym_packages = with_packages(env, own), [*gym_packages, *own]
        notes.append(f"imported {', '.join(own)}, which args.yml names for the agent's environment")
    recorded = recorded_in(policy)
    if chosen is None and recorded is not None:
        chosen = to_env(recorded)
        notes.append(f"environment: {recorded.text}")
    elif chosen is None:
        chosen, note = _found_in(path, policy, gym_packages, given)
        notes.append(note)
    chosen, more = adapted(chosen, policy, given)
    for note in [*notes, *more]:
        print(one_line(note), file=sys.stderr)
    return chosen


def _found_in(path: Path, policy: Any, gym_packages: Sequence[str], env_kwargs: dict[str, Any]) -> tuple[Any, str]:
    """Return the environment that the files beside a policy name, in a version that is there, and a notice of it.

    Raises:
        RequestError: where they name none that is registered here.
    """
    from policy_distill.environments.choice import choose_version
    from policy_distill.environments.names import with_packages

    known = str(with_packages(_environment_in(path, policy), gym_packages))
    if ":" in known:
        with_packages(None, [known.partition(":")[0]])
    packages = " ".join(_packages_in(path, policy)) or "pkg"
    try:
        chosen, words = choose_version(known, policy, env_kwargs)
    except RequestError as error:
        raise RequestError(
            f"expected --env: {path} names no environment that is registered here ({error}); where a package "
            f"registers it, name that too: --env pkg:Id, or --gym-packages {packages}"
        ) from None
    return chosen, f"environment: {chosen}" + (f" ({'; '.join(words)})" if words else "")


def load_named(
    path: Path,
    env_kwargs: Sequence[str],
    *,
    trust: bool,
    vecnormalize: Path | None = None,
    wrappers: Sequence[str] | None = None,
    task: str | None = None,
) -> Policy:
    """Return a policy as `load_policy` does; of constructor arguments that its files disagree on, those given count.

    Of a student of several tasks it is the one of `task`.
    """
    from policy_distill.environments.names import parse_kwargs

    kwargs = parse_kwargs(env_kwargs)
    found = load_policy(path, vecnormalize=vecnormalize, trust=trust, wrappers=wrappers, env_kwargs=kwargs)
    if task is None:
        return found
    if not isinstance(found, Student):
        raise RequestError(f"expected a student for --task, found a teacher at {path}; leave --task out")
    return found.task(task)


def say_applied(policy: Any) -> None:
    """Say on stderr what comes with a policy: its normalisation, and the wrappers put around the environment."""
    # A student's statistics are part of it, and need not be VecNormalize's.
    known = TeacherProvenance.of(policy.provenance)
    if known.hub:
        print(one_line(f"fetched from the hub: {known.hub.get('repo')} at {known.hub.get('commit')}"), file=sys.stderr)
    own = policy.metadata or known.algorithm == "student"
    if not own and policy.normalizer is not None:
        statistics = known.vecnormalize or "VecNormalize"
        print(one_line(f"observations normalised by the statistics of {statistics}"), file=sys.stderr)
    if policy.env_wrappers:
        parts = [_spec_text(spec) for spec in policy.env_wrappers]
        print(one_line(f"environment wrapped in: {', '.join(parts)}"), file=sys.stderr)
    for spec in policy.own_wrappers:
        print(one_line(f"seen by the student alone through: {_spec_text(spec)}"), file=sys.stderr)


def _spec_text(spec: WrapperSpec) -> str:
    # The numbers of a blank frame are for machines.
    kwargs = {key: value for key, value in spec["kwargs"].items() if key != "blank"}
    return spec["name"] + (f" {kwargs}" if kwargs else "")


def _environment_in(path: Path, policy: Any) -> str:
    if policy.metadata:
        # A student of a version that recorded the id alone.
        return str(StudentProvenance.of(policy.metadata["provenance"]).env_id)
    from policy_distill.teachers.files.zip_file import find_zip
    from policy_distill.teachers.files.zoo_config import environment_of

    return environment_of(find_zip(path))


def _packages_in(path: Path, policy: Any) -> list[str]:
    """Return the packages that an agent's configuration names, which register its environment."""
    if policy.metadata:
        return []
    from policy_distill.teachers.files.zip_file import find_zip
    from policy_distill.teachers.files.zoo_config import packages_of

    return packages_of(find_zip(path))


def _packages_needed(env: str | None, path: Path, policy: Any) -> list[str]:
    """Return the packages of an agent whose environment is not registered yet."""
    from policy_distill.environments.make import is_registered

    packages = _packages_in(path, policy)
    named = env or (_environment_in(path, policy) if packages else "")
    return [] if ":" in named or is_registered(named) else packages
