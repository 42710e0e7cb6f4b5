"""Which observation statistics a teacher acts with: named, found, of the environment, or none where none are needed.

To act without those that an agent was trained with is worse than to stop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium import Space

from policy_distill.environments.open import normalization_of
from policy_distill.errors import RequestError
from policy_distill.student.features import dump_normalizer
from policy_distill.system.files import read_plain
from policy_distill.teachers.files.companions import (
    made_by_callback,
    statistics_above,
    statistics_nearby,
    statistics_of_its_own,
    statistics_of_its_run,
)
from policy_distill.teachers.files.traces import trained_normalized
from policy_distill.teachers.files.vecnormalize import MAX_BYTES, read_normalizer, read_statistics
from policy_distill.teachers.files.zoo_config import normalized_by
from policy_distill.teachers.request import MissingCompanion, Request

WHAT = "the statistics of VecNormalize"
HOW = "name them with --vecnormalize FILE (vecnormalize= in Python), or use --vecnormalize none (False in Python)"


def statistics_of(request: Request, path: Path, data: dict[str, Any], space: Space[Any]) -> Any:
    """Return the path of an agent's statistics or a live `VecNormalize`; None where it observes as it is.

    Args:
        request: what the caller asks for, which goes before all else.
        path: the agent's file.
        data: its attributes.
        space: its observation space.

    Raises:
        MissingCompanion: where statistics are needed and there are none, where there are several that differ, or where
            they are another agent's.
    """
    if request.vecnormalize is not None:
        return None if request.declines_statistics else request.vecnormalize
    found = find_statistics(path, space, request.trust)
    if found is not None and trained_normalized(data) is False:
        _stop_where_foreign(path, found, request.trust)
    if found is None:
        found = normalization_of(request.env)
    if found is None:
        _stop_where_needed(path, data)
    return found


def find_statistics(path: Path, space: Space[Any], trust: bool = False) -> Path | None:
    """Return the statistics among an agent's files: of its own name, else of its run; None where there are none.

    Raises:
        MissingCompanion: where there are several that differ.
    """
    for candidates in (statistics_of_its_own(path), statistics_of_its_run(path)):
        for other in candidates[1:]:
            if not _same(candidates[0], other, space, trust):
                raise MissingCompanion(
                    f"expected one set of observation statistics for {path}, found {candidates[0]} and {other}, which "
                    "differ; name the right one with --vecnormalize (vecnormalize= in Python)"
                )
        if candidates:
            return candidates[0]
    return None


def check_model(model: Any) -> None:
    """Stop for a live model that was trained on normalised observations and has no statistics.

    Raises:
        MissingCompanion: where its attributes say so.
    """
    if trained_normalized(vars(model)):
        raise MissingCompanion(
            f"this {type(model).__name__} was trained on observations that VecNormalize normalised, and its "
            f"statistics are missing; {HOW}, or pass its VecNormalize as env"
        )


def _stop_where_needed(path: Path, data: dict[str, Any]) -> None:
    declared, traced = normalized_by(path), trained_normalized(data)
    if declared or traced:
        who = "the configuration beside it says" if declared else "the file itself tells"
        raise MissingCompanion(
            f"{path} was trained on observations that VecNormalize normalised, as {who}, and its statistics are missing"
            f"{_hint(statistics_nearby(path))}; {HOW}"
        )
    above = statistics_above(path)
    if declared is None and traced is None and above and made_by_callback(path):
        raise MissingCompanion(f"{path} may need the observation statistics at {above[0]}, in the folder above; {HOW}")


def _stop_where_foreign(path: Path, found: Path, trust: bool) -> None:
    """Stop for statistics of observations that cannot be the agent's: another one in the folder has left them."""
    attributes, _ = read_statistics(found, trust)
    if attributes.get("norm_obs", True):
        raise MissingCompanion(
            f"{path} was trained on raw observations, by what the file says, and the statistics at {found} belong to "
            "another agent; use --vecnormalize none (False in Python), or name the file if it belongs to this agent"
        )


def _hint(nearby: list[Path]) -> str:
    return f" (found nearby: {', '.join(str(path) for path in nearby[:3])})" if nearby else ""


def _same(one: Path, other: Path, space: Space[Any], trust: bool) -> bool:
    try:
        if read_plain(one, MAX_BYTES, WHAT) == read_plain(other, MAX_BYTES, WHAT):
            return True
        return dump_normalizer(read_normalizer(one, space, trust=trust)) == dump_normalizer(
            read_normalizer(other, space, trust=trust)
        )
    except RequestError:
        # Broken, or of frames: then what differs is not for us to choose from.
        return False
