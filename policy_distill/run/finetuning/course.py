"""A fine-tuning from the student that it begins with to the one that it hands back.

In: a session with its environments, and a place. Out: a `DistillResult` whose student is never worse.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from policy_distill.environments.open import without_normalization
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.run.course import Course
from policy_distill.run.finetuning.form import in_form_of
from policy_distill.run.finetuning.never_worse import Improvement, improvement
from policy_distill.run.finetuning.selection import FinetuneSelection
from policy_distill.run.finetuning.session import FinetuneSession
from policy_distill.run.place import Place
from policy_distill.run.proof import proof_plan
from policy_distill.run.provenance import RunIdentity
from policy_distill.student.runtime import Student
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.tracking.fan_out import FanOut


class FinetuneCourse(Course):
    """A fine-tuning with what keeps it; it ends with a test against the student that it began with."""

    session: FinetuneSession
    selection: FinetuneSelection

    def __init__(
        self,
        session: FinetuneSession,
        env: Any,
        identity: RunIdentity,
        place: Place,
        interrupts: Interrupts,
        scope: ExitStack,
        *,
        gate_seed: int,
        request: dict[str, Any],
    ) -> None:
        """Take up the folder, held within `scope`; the test's episodes begin at `gate_seed`.

        `request` are the words of the command line that ask for the run.
        """
        selection = FinetuneSelection(session, without_normalization(env), session.config.n_selections)
        super().__init__(session, env, identity, place, interrupts, scope, selection, request)
        self.gate_seed = gate_seed
        self.improvement: Improvement | None = None
        """What the tuned student gains; None before the end, and where nothing is proven."""

    def iterate(self, tracker: FanOut, bar: Progress) -> None:
        """Judge the student as it came, then run iterations until all data is collected."""
        if self.selection.judges and self.selection.best is None:
            tracker.log({"eval/selection_return": self.selection.begin()}, 0)
        super().iterate(tracker, bar)

    def choose(self, bar: Progress) -> np.ndarray | None:
        """Take the best student, and test it against the one that the run began with; return what chose it."""
        session, stream, config = self.session, self.session.stream, self.session.config
        chosen_by = self.selection.finish()
        if config.eval_episodes == 0:
            return chosen_by
        plan = replace(proof_plan(stream), seed=self.gate_seed, n_sampled=0)

        def on_episode(n_done: int) -> None:
            advance(n_done)
            self.interrupts.stop_if_requested(f"after {n_done} episodes against the student that it began with")

        with stream.watch.timed("evaluate"), bar.phase("against its start", 2 * plan.n_episodes) as advance:
            self.improvement = improvement(
                Student.of(session.origin),
                in_form_of(session.origin, session.learner.student()),
                without_normalization(self.env),
                plan,
                on_episode=on_episode,
                restarts=stream.restarts,
            )
        return chosen_by

    @property
    def keeps_tuned(self) -> bool:
        """True where the tuned student is handed over."""
        return self.improvement is None or self.improvement.better

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the tuned student, or the one that the run began with where that was not proven to be worse."""
        origin = self.session.origin
        if self.keeps_tuned:
            return in_form_of(origin, self.session.learner.student(provenance, retention))
        found = Student.of(origin.said_of(provenance or {}, retention))
        found.critic = self.session.critic
        return found

    def provenance(self, spent: list[list[int]]) -> dict[str, Any]:
        """Return where the student comes from: the run, and the student before it with all that it came from."""
        improved = self.improvement
        if improved is not None:
            spent = [*spent, [improved.tuned.seed, improved.tuned.seed + improved.tuned.n_episodes]]
        before = self.session.origin.description.provenance
        spent += [list(span) for span in before.get("spent_seeds") or []]
        kept = "tuned" if self.keeps_tuned else "began_with"
        found = {**super().provenance(spent), "finetuned_from": before, "finetuning": self.identity.finetuning}
        return {**found, "returned": kept}

    def completed(self, record: EvaluationRecord) -> EvaluationRecord:
        """Return the record of the run with the student that it began with."""
        improved = self.improvement
        record = super().completed(record)
        return record if improved is None else replace(record, finetuning=improved.record(self.method))

    @property
    def method(self) -> str:
        """How it improves the student."""
        return str((self.identity.finetuning or {})["method"])
