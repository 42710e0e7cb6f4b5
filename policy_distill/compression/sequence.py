"""The proof of a choice: finalists are tested from the largest to the smallest, each at 5%, up to the first that fails.

In: finalists. Out: which of them are proven. An order that is fixed before the first episode of the proof needs no
correction for the number of tests: the chance of any false claim is 5% at most (Maurer, Hothorn and Lehmacher 1995;
Westfall and Krishen 2001). The last that passes is proven once more on episodes of its own, and that is the figure that
is reported: the smallest of several that passed is partly chosen by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from policy_distill.compression.border import N_SURE, Finalist
from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.paired import Comparison, compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.spent import spent_by_teacher
from policy_distill.evaluation.reference import ReferenceReturns, ReferenceRuns
from policy_distill.evaluation.side_by_side import OnStep
from policy_distill.interfaces.policies import Teacher
from policy_distill.seeds import BLOCK, fresh_start

LONGEST = 6
"""Finalists that are tested, at most."""


class Shared(ReferenceRuns):
    """Teacher and random policy of a proof, played once for all students that are compared with them."""

    def __init__(self, runs: ReferenceRuns) -> None:
        self._runs = runs
        self._found: ReferenceReturns | None = None

    def result(self, on_episode: OnStep | None = None) -> ReferenceReturns:
        """Return what was found; a comparison that plays on leaves its episodes for the next one."""
        if self._found is None:
            self._found = self._runs.result(on_episode)
        return self._found

    def close(self) -> None:
        """Stay open for the next comparison: whoever started it closes what is behind it."""


def chain(finalists: Sequence[Finalist], bar: float) -> list[Finalist]:
    """Return the finalists to be tested, in order: from one that surely passes down to those that may.

    `finalists` come the cheapest first. Where none seems to pass, the best one alone is tested.
    """
    plausible: list[Finalist] = []
    for one in finalists:
        # A larger student that keeps less than a smaller one would only stand in its way.
        if one.kept.promise >= 1 and all(one.kept.share >= other.kept.share for other in plausible):
            plausible.append(one)
    if not plausible:
        return [max(finalists, key=lambda one: one.kept.share)] if finalists else []
    sure = [place for place, one in enumerate(plausible) if one.is_sure(bar)]
    top = sure[:N_SURE][-1] if sure else len(plausible) - 1
    order = list(reversed(plausible[: top + 1]))
    larger = [one for one in finalists if one.is_sure(bar) and one.candidate.cost > order[0].candidate.cost]
    if len(sure) < N_SURE and larger:
        # The first of the sequence must not be the one that rare falls fail.
        order.insert(0, max(larger, key=lambda one: one.kept.share))
    return order[-LONGEST:]


class FixedSequence:
    """Tests finalists one after another, and proves the last that passed once more."""

    def __init__(
        self,
        teacher: Teacher,
        env: Any,
        plan: ProofPlan,
        reference: ReferenceRuns,
        restarts: Restarts | None,
        env_timeout: float = 0.0,
    ) -> None:
        """Test in `env`; a step of the second proof's reference may take `env_timeout` seconds (0: any)."""
        self._teacher = teacher
        self._env = env
        self._plan = plan
        self._reference = Shared(reference)
        self._restarts = restarts
        self._env_timeout = env_timeout
        self.found: dict[str, Comparison] = {}
        """What each that was tested showed, when it was last tested."""
        self.spent: list[list[int]] = []
        """Seeds from and up to which somebody was tested."""

    def run(self, finalists: Sequence[Finalist], say: Callable[[Finalist, Comparison], None]) -> Finalist | None:
        """Test in the order given; return the last that passed, None where the first does not."""
        passed = None
        for finalist in finalists:
            found = self._compare(finalist, self._plan, self._reference)
            self.found[finalist.candidate.spec] = found
            say(finalist, found)
            if found.retention.verdict.outcome != "non-inferior":
                break
            passed = finalist
        return passed

    def again(self, finalist: Finalist) -> Comparison:
        """Prove a finalist on a block of episodes that nobody has been tested on, nor the teacher trained on.

        What it shows there takes the place of what it showed before, also where that is less.
        """
        used = [*spent_by_teacher(self._teacher), *((low, high) for low, high in self.spent)]
        plan = replace(self._plan, seed=fresh_start(self._plan.seed + BLOCK, self._plan.n_episodes, used))
        limits: dict[str, Any] = {"env_timeout": self._env_timeout, "restarts": self._restarts}
        beside = ReferenceRuns(self._teacher, self._env, plan, **limits)
        found = self.found[finalist.candidate.spec] = self._compare(finalist, plan, beside)
        return found

    def _compare(self, finalist: Finalist, plan: ProofPlan, reference: ReferenceRuns) -> Comparison:
        found = compare_policies(
            self._teacher, finalist.student, self._env, plan, reference=reference, restarts=self._restarts
        )
        self.spent.append([plan.seed, plan.seed + found.student.n_episodes])
        return found
