"""Teacher and student in several contexts, on the same episode seeds.

In: two policies, an environment and its contexts. Out: `InContexts`: a `Comparison` for each, and what they come to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from policy_distill.environments.perturbations.contexts import Context
from policy_distill.evaluation.contexts.gap import InContext, contexts_record
from policy_distill.evaluation.contexts.records import ContextsRecord, GapRecord
from policy_distill.evaluation.contexts.robustness import compare_conditions
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.interfaces.policies import Policy


@dataclass(frozen=True)
class InContexts:
    """What was played in several contexts, and what all of it comes to."""

    plain: Comparison
    """In the environment as it is, whose gain is the unit of the gaps."""
    comparisons: dict[str, Comparison]
    """In each context, by its name, such as `gravity=-12`."""
    record: ContextsRecord
    """A row for each context, and the gaps, as files say them."""

    @property
    def gaps(self) -> dict[str, GapRecord]:
        """Means over seen contexts less those over contexts held out: `teacher`, `student`, `difference` of both."""
        found = {name: getattr(self.record, name) for name in ("teacher", "student", "difference")}
        return {name: one for name, one in found.items() if one is not None}


def compare_contexts(
    teacher: Policy,
    student: Policy,
    env: Any,
    contexts: Sequence[Context],
    plan: ProofPlan,
    on_condition: Callable[[str], None] | None = None,
) -> InContexts:
    """Compare in the environment as it is and in each context, on the episodes of a plan.

    Raises:
        RequestError: as of `compare_conditions`.
    """
    found = compare_conditions(teacher, student, env, [one.condition for one in contexts], plan, on_condition)
    played = [InContext(one, found[one.name]) for one in contexts]
    return InContexts(
        found["none"],
        {one.context.name: one.comparison for one in played},
        contexts_record(found["none"], played),
    )
