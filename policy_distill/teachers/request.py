"""What the caller of `load_teacher` asks for, beside the agent itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.environments.wrappers import parse_wrapper
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.teachers.combining.combination import combination_of

NONE = "none"
"""The word for "without", on the command line."""


class MissingCompanion(RequestError):
    """What an agent was trained with is not among its files, or is there twice: the agent alone is no teacher."""


@dataclass(frozen=True)
class Request:
    """Settings of `load_teacher`; None leaves a setting to what lies beside the agent."""

    env: Any = None
    algo: str = "auto"
    vecnormalize: Any = None
    """A path, a live `VecNormalize`, or False (or "none") for a teacher without."""
    trust: bool = False
    device: str = "cpu"
    wrappers: Sequence[str] | None = None
    env_kwargs: Mapping[str, Any] | None = None
    """Constructor arguments of the environment, key by key before those in the agent's configuration."""

    @property
    def declines_statistics(self) -> bool:
        """True where the caller says that the teacher takes observations as they are."""
        return self.vecnormalize is False or str(self.vecnormalize) == NONE

    def named_wrappers(self) -> list[WrapperSpec] | None:
        """Return the wrappers that the caller names, an empty list for "none"; None where nothing is named.

        Raises:
            RequestError: for an unknown one.
        """
        if self.wrappers is None:
            return None
        return [] if list(self.wrappers) == [NONE] else [parse_wrapper(text) for text in self.wrappers]

    def to_json(
        self, paths: Sequence[str | Path], temperature: float | None = None, combine: Any = None
    ) -> dict[str, Any]:
        """Return the options of the command line that load the teacher at `paths`, of an ensemble several.

        `missing` says why there are none.
        """
        live = not (self.declines_statistics or isinstance(self.vecnormalize, str | Path | None))
        if live:
            return {"missing": "its teacher's statistics are not a file"}
        how = combination_of(combine)
        if not how.named:
            return {"missing": "its teachers are dispatched by a function that has no name"}
        named = None if self.vecnormalize is None else NONE if self.declines_statistics else str(self.vecnormalize)
        return {
            "teacher": str(paths[0]) if len(paths) == 1 else [str(path) for path in paths],
            "vecnormalize": named,
            "wrapper": [] if self.wrappers is None else list(self.wrappers) or [NONE],
            "algo": None if self.algo == "auto" else self.algo,
            "temperature": temperature,
            "trust": self.trust,
            **({} if combine is None else {"combine": how.text}),
        }
