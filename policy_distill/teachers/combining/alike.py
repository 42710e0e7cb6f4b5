"""What several teachers must have in common to be one, and the world that they have in common.

In: teachers. Out: the constructor arguments of the environment in which they are together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from policy_distill.environments.spaces import subspaces
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.combining.combination import Combination

LOG = logging.getLogger("policy_distill")

SHARED: dict[str, Callable[[Teacher], Any]] = {
    "actions": lambda teacher: teacher.action_map.to_json(),
    "observations": lambda teacher: sorted(subspaces(teacher.observation_space)),
    "wrappers": lambda teacher: list(teacher.env_wrappers),
}
"""What members must have in common, beside their family and the shape of their observations."""


def check_alike(teachers: Sequence[Teacher], how: Combination) -> None:
    """Check that teachers act from one family, on one kind of observation, in one environment.

    Raises:
        RequestError: where they do not, and for a mixture of what has none.
    """
    first = teachers[0]
    if how.kind == "mixture" and asked(first.family, "mixture") is None:
        raise RequestError(
            f"expected teachers of one discrete choice for --combine mixture, found {first.family}; use mean, which "
            "averages their parameters, or best or dispatch, which average nothing"
        )
    for other in teachers[1:]:
        if other.family != first.family or other.observation_space.shape != first.observation_space.shape:
            raise RequestError(
                f"expected teachers of one family and observation, found {first.family} and {other.family} on "
                f"{first.observation_space} and {other.observation_space}; distil them one by one"
            )
        for name, of in SHARED.items():
            if of(other) != of(first):
                raise RequestError(
                    f"expected teachers of one environment, found {name} {of(first)} and {of(other)}; distil them "
                    "one by one"
                )


def shared_world(teachers: Sequence[Teacher]) -> dict[str, Any]:
    """Return the constructor arguments that all experts were trained under; those that differ are said, and left out.

    Each of them knows a world of its own, and they meet in one that has them all.
    """
    worlds = [dict(teacher.env_kwargs) for teacher in teachers]
    shared = {key: value for key, value in worlds[0].items() if all(one.get(key) == value for one in worlds)}
    if differing := {key for world in worlds for key in world} - set(shared):
        LOG.warning(
            "the teachers were trained under other arguments (%s), so none of these is used: choose with "
            "--env-kwargs, or name an environment that has them all",
            "; ".join(
                f"{key}: {', '.join(repr(one.get(key, 'unset')) for one in worlds)}" for key in sorted(differing)
            ),
        )
    return shared


def one_world(teachers: Sequence[Teacher]) -> dict[str, Any]:
    """Return the constructor arguments of the one environment that all members were trained in.

    Raises:
        RequestError: where they were trained in several.
    """
    worlds = [dict(teacher.env_kwargs) for teacher in teachers]
    for other in worlds[1:]:
        if other != worlds[0]:
            raise RequestError(
                f"expected teachers of one environment, found arguments {worlds[0]} and {other}; choose with "
                "--env-kwargs (env_kwargs in Python)"
            )
    return worlds[0]
