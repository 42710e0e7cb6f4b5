"""Which of several teachers is best, by their values or by what they return.

In: teachers, or returns of whole episodes. Out: who labels a state.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Teacher
from policy_distill.system.records import is_number

LOG = logging.getLogger("policy_distill")


def comparable_values(teachers: Sequence[Teacher]) -> list[Teacher] | None:
    """Return teachers whose labels say values on one scale; None where not all of them have such values, with why.

    Values compare where each is a discounted return in the environment's own units, by one discount.
    """
    try:
        valued = [teacher.with_values() for teacher in teachers]
    except RequestError as error:
        LOG.info("the teachers' values do not compare: %s", error)
        return None
    discounts = {teacher.discount for teacher in teachers}
    if len(discounts) > 1 or None in discounts:
        LOG.info("the teachers' values do not compare: their discounts are %s", discounts)
        return None
    return valued


@dataclass(frozen=True)
class MemberReturns:
    """What each of several teachers returns: in all episodes, and in those of each context."""

    overall: tuple[float, ...]
    """Mean returns, in the order of the teachers."""
    contexts: Mapping[int, tuple[float, ...]]
    """The same by context; empty where nothing tells contexts apart."""
    n_episodes: int
    """Episodes of each teacher, the same for all."""

    def best(self, told: np.ndarray | None, shape: Sequence[int]) -> np.ndarray:
        """Return who is best in each state, int64 `[T, N]`; a context that was not met goes to the best overall.

        Args:
            told: contexts, int64 `[T, N]`; None where there are none.
            shape: `T` and `N`.
        """
        found = np.full(tuple(shape), int(np.argmax(self.overall)), np.int64)
        if told is not None:
            for context, returns in self.contexts.items():
                found[told == context] = int(np.argmax(returns))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        contexts = {str(context): list(returns) for context, returns in sorted(self.contexts.items())}
        return {"overall": list(self.overall), "contexts": contexts, "n_episodes": self.n_episodes}

    @classmethod
    def from_json(cls, value: Any, n_teachers: int) -> MemberReturns:
        """Return what `to_json` wrote of so many teachers.

        Raises:
            ValueError: for anything else.
        """
        try:
            each = {int(context): tuple(returns) for context, returns in value["contexts"].items()}
            found = cls(tuple(value["overall"]), each, int(value["n_episodes"]))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"the returns of the teachers cannot be read ({error})") from None
        for returns in (found.overall, *found.contexts.values()):
            if len(returns) != n_teachers or not all(map(is_number, returns)):
                raise ValueError(f"expected returns of {n_teachers} teachers, found {returns}")
        return found
