"""What is handed over with a student: the record of its proof, and the files of its run that a reader wants.

In: a run folder or a student's file. Out: a `Package`; one without a proof says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from policy_distill.errors import RequestError
from policy_distill.evaluation.policy_records import ReturnsRecord, returns_of
from policy_distill.evaluation.proof.headline import Headline, headline
from policy_distill.evaluation.proof.records import BothFalls, RetentionRecord, VerdictRecord
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.student.file import in_run_folder
from policy_distill.student.runtime import Student, load_student
from policy_distill.system.files import read_json_object
from policy_distill.system.records import load

BESIDE = ("evaluation.json", "config.json", "report.html")
"""Files of a run that go along, in the order in which they are listed."""


@dataclass(frozen=True)
class Package:
    """A student with all that is known of it."""

    student: Student
    file: Path
    """Where it lies."""
    record: EvaluationRecord
    """What its run proved; of a student alone what its file says of that."""
    beside: tuple[Path, ...] = ()
    """Files of its run."""

    @property
    def verdict(self) -> VerdictRecord:
        """Of its proof; all None where there was none."""
        return (self.record.retention.verdict if self.record.retention else None) or VerdictRecord()

    @property
    def headline(self) -> Headline:
        """What is read first of its proof."""
        return headline(self.record)

    @property
    def returns(self) -> ReturnsRecord:
        """Its returns; all None where only its file is at hand, which holds the share kept alone."""
        return returns_of(self.record.student)

    def check_proven(self) -> None:
        """Let only a student go that is proven to keep its teacher's return.

        Raises:
            RequestError: for any other.
        """
        outcome = self.verdict.outcome
        if outcome != "non-inferior":
            found = f"a verdict of {outcome}" if outcome else "no proof"
            raise RequestError(
                f"expected a student that is proven to keep its teacher's return, found {found} in {self.file}; prove "
                "it with more episodes, or push it with --unproven, and its card will say so"
            )


def read_package(path: str | Path) -> Package:
    """Return the student at `path`, a file or a run folder, with what is known of it.

    Raises:
        RequestError: as of `load_student`, and for a record of another form.
    """
    file = in_run_folder(path)
    student = load_student(file, "numpy")
    own = _own_record(student)
    known = read_json_object(file.parent / "evaluation.json")
    whole = EvaluationRecord.from_json(known, str(file.parent / "evaluation.json")) if known else None
    if whole is None or whole.retention != own.retention:
        # Beside it lies nothing, or the record of another student.
        return Package(student, file, own)
    return Package(student, file, whole, tuple(path for name in BESIDE if (path := file.parent / name).is_file()))


def _own_record(student: Student) -> EvaluationRecord:
    """Return what a student's own file says of its proof."""
    kept, env_id = student.metadata["retention"], student.origin.env_id
    if not kept:
        return EvaluationRecord(env_id=env_id)
    falls = load(BothFalls, kept.get("falls") or {}, "retention, falls")
    return EvaluationRecord(env_id=env_id, retention=load(RetentionRecord, kept, "retention"), falls=falls)
