"""What the numbers of observations and actions are called, in environments that many know. NumPy alone.

In: an environment's id and a described space. Out: a name for each component, or None where nobody has given any. The
order is that of the environments' own documentation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from policy_distill.errors import RequestError

LONGEST = 60
"""Letters of a name."""

_LANDER = ("x", "y", "x_velocity", "y_velocity", "angle", "angular_velocity", "left_leg", "right_leg")
_HIP_AND_KNEE = ("hip_{}_angle", "hip_{}_speed", "knee_{}_angle", "knee_{}_speed", "leg_{}_contact")
_WALKER = (
    *("hull_angle", "hull_angular_velocity", "x_velocity", "y_velocity"),
    *(name.format(leg) for leg in (1, 2) for name in _HIP_AND_KNEE),
    *(f"lidar_{ray}" for ray in range(10)),
)


def _joints(body: Sequence[str], joints: Sequence[str], place: Sequence[str]) -> tuple[str, ...]:
    """Return MuJoCo's order: positions of body and joints, then velocities; `place` has velocities alone."""
    return (*body, *joints, *(f"{name}_velocity" for name in (*place, *body, *joints)))


_CHEETAH = ("back_thigh", "back_shin", "back_foot", "front_thigh", "front_shin", "front_foot")
_HOPPER = ("thigh", "leg", "foot")
_LEGS = ("right_thigh", "right_leg", "right_foot", "left_thigh", "left_leg", "left_foot")

OBSERVATIONS: dict[str, tuple[str, ...]] = {
    "CartPole": ("x", "x_velocity", "theta", "theta_velocity"),
    "MountainCar": ("position", "velocity"),
    "Acrobot": ("cos_theta_1", "sin_theta_1", "cos_theta_2", "sin_theta_2", "theta_1_velocity", "theta_2_velocity"),
    "Pendulum": ("cos_theta", "sin_theta", "theta_velocity"),
    "LunarLander": _LANDER,
    "BipedalWalker": _WALKER,
    "HalfCheetah": _joints(("z", "pitch"), _CHEETAH, ("x",)),
    "Hopper": _joints(("z", "pitch"), _HOPPER, ("x",)),
    "Walker2d": _joints(("z", "pitch"), _LEGS, ("x",)),
    "Swimmer": _joints(("pitch",), ("joint_1", "joint_2"), ("x", "y")),
    "InvertedPendulum": ("x", "theta", "x_velocity", "theta_velocity"),
}
"""By the id without its version; variants whose ids begin alike have the same, where their number fits."""

ACTIONS: dict[str, tuple[str, ...]] = {
    "CartPole": ("push left", "push right"),
    "MountainCar": ("push left", "do nothing", "push right"),
    "MountainCarContinuous": ("force",),
    "Acrobot": ("torque -1", "torque 0", "torque +1"),
    "Pendulum": ("torque",),
    "LunarLander": ("do nothing", "fire left engine", "fire main engine", "fire right engine"),
    "LunarLanderContinuous": ("main engine", "side engine"),
    "BipedalWalker": ("hip 1", "knee 1", "hip 2", "knee 2"),
    "HalfCheetah": tuple(name.replace("_", " ") for name in _CHEETAH),
    "Hopper": tuple(name.replace("_", " ") for name in _HOPPER),
    "Walker2d": tuple(name.replace("_", " ") for name in _LEGS),
    "Swimmer": ("joint 1", "joint 2"),
    "InvertedPendulum": ("force",),
}
"""Of choices one name each, of continuous actions one a dimension."""


def observation_names(env_id: str | None, space: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of a vector's components, for an environment that is known; None for any other.

    `space` is as of `describe_space`: the environment's own, so that another number of components has no names.
    """
    found = _known(OBSERVATIONS, env_id)
    return found if found is not None and len(found) == n_components(space) else None


def action_names(env_id: str | None, space: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of an environment's choices, or of its action's dimensions; None where it is not known."""
    size = space["n"] if space["type"] == "Discrete" else n_components(space)
    # The longest id that fits names the kind; of several whose ids begin alike, the number of actions tells.
    fitting = [names for key, names in ACTIONS.items() if _stem(env_id).startswith(key) and len(names) == size]
    return fitting[-1] if fitting else None


def n_components(space: Mapping[str, Any]) -> int | None:
    """Return how many numbers a described vector has; None for a space that is none."""
    if space["type"] == "Box" and len(space["shape"]) == 1:
        return int(math.prod(space["shape"]))
    return space["n"] if space["type"] == "MultiBinary" and isinstance(space["n"], int) else None


def check_names(names: Sequence[str], space: Mapping[str, Any], place: str) -> tuple[str, ...]:
    """Return names that somebody gave, where they fit; `place` is what they are the names of, for errors.

    Raises:
        RequestError: for another number of names than components, a name twice, or one that is no word.
    """
    size = n_components(space)
    if size is None:
        raise RequestError(f"expected a vector to name the components of, found a {space['type']} in {place}")
    if len(names) != size:
        raise RequestError(
            f"expected {size} observation names, one for each component of {place}, found {len(names)} "
            f"({', '.join(names)[:80]})"
        )
    for name in names:
        if not name or len(name) > LONGEST or not name.isprintable() or names.count(name) > 1 or name.isdigit():
            raise RequestError(
                f"expected printable, different observation names of at most {LONGEST} letters that are not numbers, "
                f"found {name[:LONGEST]!r}"
            )
    return tuple(names)


def _known(table: Mapping[str, tuple[str, ...]], env_id: str | None) -> tuple[str, ...] | None:
    fitting = [key for key in table if _stem(env_id).startswith(key)]
    return table[max(fitting, key=len)] if fitting else None


def _stem(env_id: str | None) -> str:
    """Return an id without the package before it and the version behind it."""
    return re.sub(r"-v\d+$", "", re.split(r"[:/]", env_id or "")[-1])
