"""Whether a policy and an environment fit: the same kind of observations and actions."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np

from policy_distill.environments.frame_stack import has_blank_frames
from policy_distill.environments.make import version_of, versions_of
from policy_distill.environments.names import with_kwargs
from policy_distill.environments.open import open_environments
from policy_distill.environments.spaces import choices_of, subspaces
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stepping import Environments
from policy_distill.student.pixels import is_image
from policy_distill.student.spaces import describe_space, make_space

LOG = logging.getLogger("policy_distill")


def check_fit(policy: Policy, envs: Environments) -> None:
    """Check that a policy's spaces are those of the environments, and what stands before the first of stacked frames.

    Raises:
        RequestError: with both spaces, or with what stacks frames as the policy knows it.
    """
    for name, expected, found in _spaces(policy, envs):
        if expected is not None and not _same_kind(expected, found):
            raise RequestError(
                f"the {name} of {envs.env_id} does not fit: expected {_brief(expected)} "
                f"as the policy has, found {_brief(found)}; {_advice(policy, envs, expected, found)}"
            )
    _check_frames(policy, envs)


def _check_frames(policy: Policy, envs: Environments) -> None:
    stacks = [spec for spec in policy.env_wrappers if "blank" in spec.get("kwargs", {})]
    if stacks and not has_blank_frames(envs):
        n_stack = stacks[-1]["kwargs"].get("n_stack", 4)
        raise RequestError(
            f"the policy was trained on frames that were normalised before they were stacked, and {envs.env_id} "
            "stacks them differently; pass the environment's id, without a frame stack: the policy applies "
            f"FrameStack:n_stack={n_stack} itself, with the right first frames"
        )


def fits(policy: Policy, envs: Environments) -> bool:
    """Say whether a policy's spaces are those of the environments."""
    return all(expected is None or _same_kind(expected, found) for _, expected, found in _spaces(policy, envs))


def _spaces(policy: Policy, envs: Environments) -> list[tuple[str, Any, Any]]:
    """Return the names of both spaces, with the policy's own, None where it does not say, and the environments'."""
    return [
        ("observation space", _observed(policy, envs), envs.observation_space),
        ("action space", policy.action_space, envs.action_space),
    ]


def _observed(policy: Policy, envs: Environments) -> Any:
    """Return the space that a policy takes: of a student that sees a part, that or the whole, as the environments."""
    own, whole = policy.observation_space, (policy.metadata.get("view") or {}).get("space")
    return own if whole is None or _same_kind(own, envs.observation_space) else make_space(whole)


def fitting_versions(policy: Policy, env_id: str, kwargs: Mapping[str, Any] | None = None) -> list[str]:
    """Return the other versions of an environment that can be made and fit a policy, the nearest first.

    The nearest changed least: a Walker of v3 walks in v4, and stumbles in v5.
    """
    found = []
    for name in sorted(versions_of(env_id), key=lambda name: abs(version_of(name) - version_of(env_id))):
        try:
            named = with_kwargs(name, kwargs)
            with closing(open_environments(named, 1, policy.env_wrappers)) as envs:
                if fits(policy, envs):
                    found.append(name)
        except Exception as error:
            # Whatever keeps a version from being made, it is none to propose.
            LOG.debug("%s: %s", name, error)
    return found


def _advice(policy: Policy, envs: Environments, expected: Any, found: Any) -> str:
    """Return what to do about spaces that do not fit: another version, or the wrapper that pads."""
    versions = fitting_versions(policy, envs.env_id, envs.identity.own_kwargs)
    if versions:
        return f"choose a version that fits: --env {' or '.join(versions)}"
    shapes = [space.shape or () for space in (expected, found)]
    if envs.env_id.startswith("Ant-") and shapes == [(111,), (27,)]:
        return "Ant-v3 ended in 84 zeros: --wrapper PadObservation:size=111"
    if envs.env_id.startswith("Ant-") and shapes[0] == (111,):
        return "Ant-v3 ended in 84 zeros: --env Ant-v4 --wrapper PadObservation:size=111"
    return (
        "choose the environment that the policy was trained in, with its constructor arguments (--env-kwargs) and "
        "wrappers (--wrapper)"
    )


def _same_kind(expected: Any, found: Any) -> bool:
    """Compare type, shape and sizes; bounds and dtypes may differ between versions of one environment."""
    if type(expected).__name__ != type(found).__name__:
        return False
    if expected.shape != found.shape and not _transposed(expected, found):
        return False
    if keys := subspaces(expected):
        others = subspaces(found)
        return keys.keys() <= others.keys() and all(_same_kind(sub, others[key]) for key, sub in keys.items())
    one, other = choices_of(expected), choices_of(found)
    return (one is None and other is None) or np.array_equal(one, other)


def _transposed(expected: Any, found: Any) -> bool:
    """Say whether two image spaces differ only in where the channels stand; SB3 moves them to the front."""
    shapes = (expected.shape, found.shape)
    if any(shape is None or len(shape) != 3 for shape in shapes) or not is_image(describe_space(expected)):
        return False
    height, width, channels = found.shape
    return bool(expected.shape == (channels, height, width))


def _brief(space: Any) -> str:
    if keys := subspaces(space):
        return "Dict(" + ", ".join(f"{key}: {_brief(sub)}" for key, sub in keys.items()) + ")"
    size = choices_of(space)
    return f"{type(space).__name__}{tuple(space.shape)}" if size is None else f"{type(space).__name__}({size})"
