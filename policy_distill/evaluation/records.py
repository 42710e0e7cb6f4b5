"""What `evaluation.json`, `comparison.json` and `perturbed.json` say, of any version, field by field in their order.

In: what was measured, or the JSON values of a file. Out: the other; see `system/records.py`. None is what was not
measured, or was not kept by an earlier version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.evaluation.apart.record import ApartRecord
from policy_distill.evaluation.contexts.records import ContextsRecord
from policy_distill.evaluation.parts.stop_record import StopRecord
from policy_distill.evaluation.parts.tuning_record import TransferRecord, TuningRecord
from policy_distill.evaluation.parts.view_record import ViewRecord
from policy_distill.evaluation.policy_records import PolicyRecord, SampledRecord
from policy_distill.evaluation.proof.paired_returns import PairedReturns
from policy_distill.evaluation.proof.records import (
    BothFalls,
    RetentionRecord,
    ScaleRecord,
    SelectionRecord,
    VerdictRecord,
)
from policy_distill.evaluation.proof.training_seeds import AcrossSeeds
from policy_distill.system.records import FLAG, NUMBER, NUMBERS, TEXT, Each, ListOf, dump, load, part


@dataclass(frozen=True)
class FidelityRecord:
    """`Fidelity`."""

    agreement: float | None = part(NUMBER)
    kl: float | None = part(NUMBER)


@dataclass(frozen=True)
class ComparisonRecord:
    """A `Comparison`: one condition of `perturbed.json`, and what `comparison.json` begins with."""

    env_id: str | None = part(TEXT)
    seed: int | None = part(NUMBER)
    n_episodes: int | None = part(NUMBER)
    paired: bool | None = part(FLAG)
    teacher: PolicyRecord | None = part(PolicyRecord)
    student: PolicyRecord | None = part(PolicyRecord)
    random: PolicyRecord | None = part(PolicyRecord)
    retention: RetentionRecord | None = part(RetentionRecord)
    verdict: VerdictRecord | None = part(VerdictRecord)
    """The retention's, once more."""
    falls: BothFalls | None = part(BothFalls)
    teacher_sampled: SampledRecord | None = part(SampledRecord, left_out=True)
    scale: ScaleRecord | None = part(ScaleRecord)

    @property
    def selection(self) -> SelectionRecord | None:
        """None: no selection comes before a comparison."""
        return None


@dataclass(frozen=True)
class ComparedRecord:
    """`comparison.json` of one student."""

    comparison: ComparisonRecord = part(ComparisonRecord, inline=True)
    deterministic: bool | None = part(FLAG)
    """False where teacher and student acted by sampling."""
    fidelity: FidelityRecord | None = part(FidelityRecord, inline=True)
    """Where both are of this package."""
    perturbed: Mapping[str, ComparisonRecord] | None = part(Each(ComparisonRecord), left_out=True)
    """By the names of the conditions; None where none was asked for."""
    contexts: ContextsRecord | None = part(ContextsRecord, left_out=True)
    """Where contexts were asked for."""
    student_file: str | None = part(TEXT, left_out=True)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dump(self)


@dataclass(frozen=True)
class StudentsRecord:
    """`comparison.json` of several students of one teacher."""

    students: tuple[ComparedRecord, ...]
    """Two or more, compared on the same episodes."""
    aggregate: AcrossSeeds

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is the same for all stands first."""
        first = dump(self.students[0])
        shared = {name: first[name] for name in ("env_id", "seed", "teacher")}
        students = [one.to_json() for one in self.students]
        return {**shared, "students": students, "aggregate": self.aggregate.to_json()}


@dataclass(frozen=True)
class SizeRatios:
    """The teacher's size to one of the student."""

    params: float | None = part(NUMBER)
    bytes: float | None = part(NUMBER)


@dataclass(frozen=True)
class EpisodesRecord:
    """Returns of each policy in the order of their seeds."""

    teacher: Sequence[float] | None = part(NUMBERS, left_out=True)
    student: Sequence[float] | None = part(NUMBERS, left_out=True)
    random: Sequence[float] | None = part(NUMBERS, left_out=True)


@dataclass(frozen=True)
class LeftOutRecord:
    """What of the teacher's own episodes nobody learnt from, since they failed."""

    n_episodes: int | None = part(NUMBER)
    """Whole episodes that the teacher acted."""
    n_left_out: int | None = part(NUMBER)
    """Of these, episodes that were left out."""
    n_states: int | None = part(NUMBER)
    """States in them."""
    best: float | None = part(NUMBER)
    """The highest return that was left out; None where nothing was."""


@dataclass(frozen=True)
class EvaluationRecord:
    """`evaluation.json`: what a run proved."""

    env_id: str | None = part(TEXT)
    seed: int | None = part(NUMBER)
    """Of the proof's first episode."""
    n_episodes: int | None = part(NUMBER)
    """Paired episodes; 0 for a run without a proof."""
    teacher: PolicyRecord | None = part(PolicyRecord)
    student: PolicyRecord | None = part(PolicyRecord)
    random: PolicyRecord | None = part(PolicyRecord)
    paired: bool | None = part(FLAG, left_out=True)
    retention: RetentionRecord | None = part(RetentionRecord)
    falls: BothFalls | None = part(BothFalls, left_out=True)
    scale: ScaleRecord | None = part(ScaleRecord, left_out=True)
    teachers: Sequence[ApartRecord] | None = part(ListOf(ApartRecord), left_out=True)
    """Each teacher alone, where several made the student."""
    teacher_sampled: SampledRecord | None = part(SampledRecord, left_out=True)
    selection: SelectionRecord | None = part(SelectionRecord)
    fidelity: FidelityRecord | None = part(FidelityRecord, inline=True)
    view: ViewRecord | None = part(ViewRecord, left_out=True)
    """What the student sees, where its teacher sees more."""
    finetuning: TuningRecord | None = part(TuningRecord, left_out=True)
    """The student that a fine-tuning began with, beside the tuned one."""
    transfer: TransferRecord | None = part(TransferRecord, left_out=True)
    """What of a student of another task was taken along, where the run began with one."""
    compression: SizeRatios | None = part(SizeRatios)
    episodes: EpisodesRecord | None = part(EpisodesRecord)
    env_steps: int | None = part(NUMBER)
    stop: StopRecord | None = part(StopRecord, left_out=True)
    """Why the collection ended, where it might have ended before its budget."""
    env_restarts: int | None = part(NUMBER, left_out=True)
    """Where they were allowed."""
    left_out: LeftOutRecord | None = part(LeftOutRecord, left_out=True)
    """Where the settings leave failed episodes of the teacher out."""
    wall_seconds: float | None = part(NUMBER)

    @classmethod
    def from_json(cls, value: Any, where: str = "evaluation.json") -> EvaluationRecord:
        """Return what the content of a file says, of any version.

        Raises:
            RequestError: naming `where` and the field that has another form.
        """
        return load(cls, value, where)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file; what no proof measured is left out."""
        values = dump(self)
        if self.retention is None and self.selection is None:
            del values["selection"]
        return values

    @property
    def policies(self) -> dict[str, PolicyRecord]:
        """Teacher, student and random policy, those that the file names."""
        found = {"teacher": self.teacher, "student": self.student, "random": self.random}
        return {name: one for name, one in found.items() if one is not None}

    def paired_returns(self) -> PairedReturns | None:
        """Return the returns that the proof rests on; None where they are no pairs, or were not kept."""
        one = self.episodes or EpisodesRecord()
        student, teacher, random = (np.array(x or (), np.float64) for x in (one.student, one.teacher, one.random))
        if self.paired is False or not len(student) == len(teacher) == len(random) > 0:
            return None
        return PairedReturns(student, teacher, random, int(self.seed or 0))
