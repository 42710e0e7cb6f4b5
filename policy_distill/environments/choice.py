"""The environment that a policy was made for: its constructor arguments, its frame skip, its version.

In: what the user calls the environment, and a policy. Out: the same, as the policy knows it, and in words what was
changed. Arguments that the user gives win, key by key; what is handed over made stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gymnasium.envs.registration import EnvSpec

from policy_distill.environments.fit import fitting_versions
from policy_distill.environments.identity import EnvIdentity, identify, identity_from, named_spec
from policy_distill.environments.make import is_registered, spec_of, version_of, versions_of
from policy_distill.environments.names import to_env, with_kwargs
from policy_distill.environments.open import is_recipe
from policy_distill.environments.wrappers import missing_in, own_frame_skip
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.student.onboard.origins import StudentProvenance

LOG = logging.getLogger("policy_distill")


def for_policy(
    env: Any, policy: Policy, env_kwargs: Mapping[str, Any] | None = None, student: Policy | None = None
) -> Any:
    """Return an environment with the constructor arguments that a policy was trained with; see `adapted`.

    Those that a `student` was distilled with come before its teacher's. What was done is said in the log.
    """
    kwargs = {**own_kwargs(student, env), **(env_kwargs or {})} if student is not None else env_kwargs
    chosen, notes = adapted(env, policy, kwargs)
    for note in notes:
        LOG.warning(note)
    return chosen


def adapted(env: Any, policy: Policy, env_kwargs: Mapping[str, Any] | None = None) -> tuple[Any, list[str]]:
    """Return an environment as a policy knows it, and what was done in words.

    An id gets the policy's own constructor arguments. A specification is taken at its word, and so is a callable.

    Raises:
        RequestError: where `env_kwargs` are given and `env` cannot be made with them.
    """
    notes = []
    own = {key: value for key, value in own_kwargs(policy, env).items() if key not in (env_kwargs or {})}
    if own:
        notes.append("environment arguments of the policy: " + ", ".join(f"{k}={v!r}" for k, v in own.items()))
    env = with_kwargs(env, {**own, **(env_kwargs or {})})
    specs = list(policy.env_wrappers)
    skips = any(one["name"] == "AtariWrapper" and one["kwargs"].get("frame_skip", 4) != 1 for one in specs)
    if skips and isinstance(env, str | EnvSpec):
        spec = env if isinstance(env, EnvSpec) else spec_of(env)
        if own_frame_skip(spec):
            own_skip, env = spec.kwargs["frameskip"], named_spec(spec, {"frameskip": 1}, identify(env).module)
            notes.append(f"frameskip=1 in place of {own_skip} for {spec.id}, since AtariWrapper skips frames itself")
    absent = [] if is_recipe(env) else missing_in(env, specs)
    if absent:
        names = ", ".join(one["name"] for one in absent)
        notes.append(f"not wrapped in the policy's {names}: an environment that is passed in stays as it is")
    return env, notes


def own_kwargs(policy: Policy, env: Any) -> dict[str, Any]:
    """Return the constructor arguments that a policy brings for an environment that is named by its id."""
    if not isinstance(env, str):
        return {}
    recorded = recorded_in(policy)
    if recorded is None:
        return dict(policy.env_kwargs)
    # A student that is tried in another task has no arguments for that one.
    same = _name(recorded.id) == _name(env)
    return recorded.own_kwargs if same and not recorded.missing else {}


def recorded_in(policy: Policy) -> EnvIdentity | None:
    """Return the environment that a student says it was distilled in; None for any other policy and for old files."""
    env = StudentProvenance.of(policy.metadata.get("provenance")).env
    return None if env is None else identity_from(env)


def env_of(policy: Policy) -> str | EnvSpec | None:
    """Return what the environment that a student was distilled in is made from; None where it says none.

    Raises:
        RequestError: where it cannot be made from its record, or not here.
    """
    recorded = recorded_in(policy)
    if recorded is not None:
        return to_env(recorded)
    env_id = StudentProvenance.of(policy.metadata["provenance"]).env_id
    return env_id if env_id is not None and is_registered(env_id) else None


def other_than_recorded(env: Any, policy: Policy) -> str:
    """Return in words that `env` is another environment than the one that a student was distilled in; else nothing."""
    recorded = recorded_in(policy)
    if recorded is None or not isinstance(env, str | EnvSpec) or recorded.same_as(identify(env)):
        return ""
    return f"the student was distilled in {recorded.text}, and acts here in {identify(env).text}"


def say_where_other(policy: Policy, envs: Environments) -> None:
    """Warn of a policy that acts in another world than its own, as far as that can be seen of open environments."""
    for text in (_other_statistics(policy, envs), _other_arguments(policy, envs)):
        if text:
            LOG.warning("%s: %s", envs.env_id, text)


def _other_statistics(policy: Policy, envs: Environments) -> str:
    told = (policy.metadata.get("provenance") or {}).get("env_statistics") or []
    if not told or told == envs.statistics:
        return ""
    found = "others" if envs.statistics else "none"
    return (
        "the student was distilled on observations that NormalizeObservation normalised, by the statistics in its "
        f"provenance (env_statistics), and finds {found} here: wrap the environment in "
        "policy_distill.environments.frozen_normalization.FrozenNormalization(env, **statistics)"
    )


def _other_arguments(policy: Policy, envs: Environments) -> str:
    here, recorded = envs.identity, recorded_in(policy)
    if recorded is not None:
        other = not (recorded.missing or here.missing or recorded.same_as(here))
        return f"the student was distilled in {recorded.text}, and acts here in {here.text}" if other else ""
    differing = {k: v for k, v in policy.env_kwargs.items() if k not in here.kwargs or repr(here.kwargs[k]) != repr(v)}
    if not differing:
        return ""
    wanted = ", ".join(f"{key}={value!r}" for key, value in differing.items())
    found = ", ".join(f"{key}={here.kwargs[key]!r}" for key in differing if key in here.kwargs)
    unseen = "in an environment that does not say its arguments" if here.missing else "without them"
    return f"the policy was trained with {wanted}, and acts here {f'with {found}' if found else unseen}"


def choose_version(known: str, policy: Policy, env_kwargs: Mapping[str, Any] | None = None) -> tuple[str, list[str]]:
    """Return the version that a policy was trained in where it can be made, else the nearest that fits; and words.

    Raises:
        RequestError: where no version is registered here.
    """
    if is_registered(known):
        return known, []
    kwargs = {**own_kwargs(policy, known), **(env_kwargs or {})}
    fitting = fitting_versions(policy, known, kwargs)
    if fitting:
        others = f"; {', '.join(fitting[1:])} would fit too: name it with --env" if fitting[1:] else ""
        return fitting[0], [f"instead of {known}, which cannot be made here{others}"]
    # Where there is one, opening it says what does not fit, and what to do.
    nearest = min(versions_of(known), key=lambda name: abs(version_of(name) - version_of(known)), default=None)
    if nearest is None:
        raise RequestError(f"no environment {known!r} is registered here")
    return nearest, [f"instead of {known}, which cannot be made here"]


def _name(env: str) -> str:
    return env.rpartition(":")[2].rpartition("-v")[0] or env
