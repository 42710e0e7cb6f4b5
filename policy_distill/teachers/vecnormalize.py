"""Observation statistics of `VecNormalize`, from its pickle (read safely) or a live one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.observations import Normalizer
from policy_distill.plain_file import read_plain
from policy_distill.teachers.safe_load import safe_unpickle
from policy_distill.teachers.stand_ins import Inert, array_of

MAX_BYTES = 2**27
"""Statistics larger than this are none: two numbers for each component, and the last observations."""

Normalizers = Normalizer | dict[str, Normalizer] | None


def find_statistics(zip_path: Path) -> Path | None:
    """Return the `vecnormalize.pkl` beside a zip, or in the folder of its name beside it; None where there is none."""
    for folder in (zip_path.parent, zip_path.with_suffix("")):
        # Also what is there and no file: to act without statistics that were meant to be there is worse than to stop.
        if os.path.lexists(folder / "vecnormalize.pkl"):
            return folder / "vecnormalize.pkl"
    return None


def load_normalizer(source: Any, space: Space[Any], *, trust: bool = False) -> Normalizers:
    """Return the observation normalisation of a pickle's path or a live `VecNormalize`; None where it has none.

    Raises:
        RequestError: for a missing or damaged file, one with a foreign object, or statistics of another shape than
            `space`.
    """
    if isinstance(source, str | Path):
        attributes, place = _read(Path(source), trust), str(source)
    else:
        attributes, place = vars(source), "the VecNormalize environment"
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


def _read(path: Path, trust: bool) -> dict[str, Any]:
    data = read_plain(path, MAX_BYTES, "the statistics of VecNormalize")
    if trust:
        try:
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
    return _one(statistics, space, clip, epsilon, place)


def _one(statistics: Any, space: Space[Any], clip: float, epsilon: float, place: str) -> Normalizer:
    if isinstance(statistics, Inert):
        mean, variance = (array_of(statistics.attributes[key]).astype(np.float64) for key in ("mean", "var"))
    else:
        mean, variance = (np.array(getattr(statistics, key), dtype=np.float64) for key in ("mean", "var"))
    if mean.shape != space.shape:
        raise RequestError(
            f"{place} has statistics of shape {mean.shape}, expected {space.shape} as the teacher observes; "
            "name the vecnormalize.pkl of this teacher"
        )
    return Normalizer(mean, variance, clip, epsilon)
