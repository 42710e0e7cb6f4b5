"""Observation statistics of `VecNormalize`, from its pickle (read safely) or a live one."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.student.features import Normalizer
from policy_distill.system.files import read_plain
from policy_distill.system.foreign import held_by
from policy_distill.teachers.files.gym_names import gym_names
from policy_distill.teachers.files.safe_load import safe_unpickle
from policy_distill.teachers.files.stand_ins import Inert, array_of
from policy_distill.teachers.observing import Normalizers

MAX_BYTES = 2**27
"""Statistics larger than this are none: two numbers for each component, and the last observations."""

GOAL_KEYS = {"observation", "desired_goal"}
"""Keys of an environment with goals that an agent sees."""


def read_normalizer(source: Any, space: Space[Any], *, trust: bool = False) -> Normalizers:
    """Return the observation normalisation of a pickle's path or a live `VecNormalize`; None where it has none.

    Raises:
        RequestError: for a missing or damaged file, one with a foreign object, or statistics of another shape than
            `space`.
    """
    attributes, place = read_statistics(source, trust)
    return make_normalizer(attributes, space, place)


def read_statistics(source: Any, trust: bool = False) -> tuple[dict[str, Any], str]:
    """Return the attributes of a pickled or live `VecNormalize`, and what to call it in errors."""
    if isinstance(source, str | Path):
        return _read(Path(source), trust), str(source)
    if not held_by(source):
        raise RequestError(
            "expected the path of a vecnormalize.pkl, a VecNormalize object, or none for a teacher without one; "
            f"found {type(source).__name__}"
        )
    return dict(held_by(source)), "the VecNormalize environment"


def make_normalizer(attributes: dict[str, Any], space: Space[Any], place: str) -> Normalizers:
    """Return the normalisation that the attributes of a `VecNormalize` describe; errors as of `read_normalizer`."""
    if not attributes.get("norm_obs", True):
        return None
    try:
        return _make(attributes, space, place)
    except RequestError:
        raise
    except Exception as error:
        # A file may hold anything at all under the names that are looked for.
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise RequestError(f"{place} holds no usable observation statistics ({reason}); write it again") from None


def return_scale_of(attributes: dict[str, Any]) -> float | None:
    """Return what `VecNormalize` divided rewards by: the deviation of their discounted sum, as it was when saved.

    1 where it left rewards alone; None where it scaled them and does not say how.
    """
    if not attributes.get("norm_reward", True):
        return 1.0
    try:
        _, variance = _moments(attributes["ret_rms"])
        found = math.sqrt(float(variance) + float(attributes["epsilon"]))
    except Exception:
        # A file may hold anything there; only who asks for values needs it.
        return None
    return found if 0 < found < math.inf else None


def shape_of_statistics(attributes: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the shape of one observation that the statistics are of; None for those of a Dict, or damaged ones."""
    try:
        mean, _ = _moments(attributes["obs_rms"])
    except Exception:
        # What is wrong is said where they are used.
        return None
    return mean.shape


def _read(path: Path, trust: bool) -> dict[str, Any]:
    data = read_plain(path, MAX_BYTES, "the statistics of VecNormalize")
    if trust:
        try:
            with gym_names():
                return dict(vars(pickle.loads(data)))
        except Exception as error:
            # The caller vouches for it, and its own code may fail in any way.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            raise RequestError(f"{path} cannot be unpickled ({reason}); write it again") from None
    found = safe_unpickle(data, str(path))
    if not isinstance(found, Inert) or not type(found).reference.endswith("VecNormalize"):
        kind = type(found).reference if isinstance(found, Inert) else type(found).__name__
        raise RequestError(f"expected a pickled VecNormalize at {path}, found {kind}")
    return found.attributes


def _make(attributes: dict[str, Any], space: Space[Any], place: str) -> Normalizers:
    statistics = attributes["obs_rms"]
    clip, epsilon = float(attributes["clip_obs"]), float(attributes["epsilon"])
    if isinstance(statistics, dict) and isinstance(space, spaces.Dict):
        return {key: _one(value, space[key], clip, epsilon, place) for key, value in statistics.items()}
    if isinstance(statistics, dict) and GOAL_KEYS <= statistics.keys():
        # HER before SB3 1.1 normalised a Dict and then laid observation and goal side by side.
        parts = [_moments(statistics[key]) for key in ("observation", "desired_goal")]
        mean, variance = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        return _checked(mean, variance, space, clip, epsilon, place)
    return _one(statistics, space, clip, epsilon, place)


def _moments(statistics: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance, float64, of a live or read `RunningMeanStd`."""
    if isinstance(statistics, Inert):
        mean, variance = (array_of(statistics.attributes[key]).astype(np.float64) for key in ("mean", "var"))
    else:
        mean, variance = (np.array(moment, dtype=np.float64) for moment in (statistics.mean, statistics.var))
    return mean, variance


def _one(statistics: Any, space: Space[Any], clip: float, epsilon: float, place: str) -> Normalizer:
    return _checked(*_moments(statistics), space, clip, epsilon, place)


def _checked(
    mean: np.ndarray, variance: np.ndarray, space: Space[Any], clip: float, epsilon: float, place: str
) -> Normalizer:
    if mean.shape != space.shape:
        raise RequestError(
            f"{place} has statistics of shape {mean.shape}, expected {space.shape} as the teacher observes; "
            "name the vecnormalize.pkl of this teacher"
        )
    return Normalizer(mean, variance, clip, epsilon)
