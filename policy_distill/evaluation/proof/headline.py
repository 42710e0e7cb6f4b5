"""What is read first of a proof, and by what students are ranked: the same in every table, page and dashboard.

In: the record of a run or of a comparison, of any version. Out: a `Headline`. The mean retention stands first, with its
lower bound, the falls and the verdict; the interquartile mean, which leaves out rare falls, second. Students are ranked
by the episodes that chose them: whoever ranks by the proof's own picks luck, and what was proven is then too high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy_distill.evaluation.proof.falls import fall_line
from policy_distill.evaluation.proof.records import BothFalls, FallsRecord, Proven, RetentionRecord, VerdictRecord

ORDER = {"inferior": 0, "undecided": 1, "non-inferior": 2}
"""Of verdicts, for proofs from before selection figures were kept."""

UNDEFINED = "undefined: the teacher's returns are not clearly above random's"


@dataclass(frozen=True)
class Headline:
    """A proof at a glance; None is what is undefined, was not measured, or was not kept by an earlier version."""

    mean: float | None = None
    """Share of the teacher's gain over random that is kept, by mean returns."""
    low: float | None = None
    """Its lower 95% confidence bound."""
    iqm: float | None = None
    """The same share by interquartile means."""
    outcome: str | None = None
    """Of the verdict."""
    margin_return: float | None = None
    """The verdict's margin in units of the return."""
    falls: str | None = None
    """The line on the student's falls."""
    teacher_falls: str | None = None
    """The line on the teacher's."""
    chosen_by: float | None = None
    """Share of the gain that was kept on the episodes which chose the student."""

    @property
    def undefined(self) -> bool:
        """True where there was a proof and nothing to keep."""
        return self.outcome == "undefined"

    def text(self, digits: int = 3) -> str:
        """Return the mean with its bound."""
        if self.mean is None:
            return UNDEFINED if self.undefined else "not measured"
        bound = "" if self.low is None else f", at least {self.low:.{digits}f} (95%)"
        return f"{self.mean:.{digits}f}{bound}"


def headline(record: Proven) -> Headline:
    """Return what is read first of a record of any version."""
    kept, verdict = record.retention or RetentionRecord(), _verdict(record.retention)
    if verdict.outcome == "undefined":
        # Earlier versions gave numbers there too; a ratio to a gain that is not there ranks nowhere, and half of it is
        # no line to fall below.
        return Headline(outcome=verdict.outcome, margin_return=verdict.margin_return)
    falls = record.falls or BothFalls()
    return Headline(
        mean=kept.mean,
        low=kept.mean_low,
        iqm=kept.iqm,
        outcome=verdict.outcome,
        margin_return=verdict.margin_return,
        falls=_falls(falls.student),
        teacher_falls=_falls(falls.teacher),
        chosen_by=record.selection.retention if record.selection else None,
    )


def proof_metrics(record: Proven) -> dict[str, float | None]:
    """Return the metrics of a proof: of the mean kept, and of the student's falls; those of an undefined one are None.

    There is then no gain of which a share could be kept, or half be lost.
    """
    defined = _verdict(record.retention).outcome != "undefined"
    kept = record.retention if record.retention and defined else RetentionRecord()
    falls = record.falls.student if record.falls and record.falls.student and defined else FallsRecord()
    return {
        "eval/retention": kept.mean,
        "eval/retention_low": kept.mean_low,
        "eval/retention_high": (kept.mean_ci95 or [None])[-1],
        "eval/fall_rate": falls.rate,
        "eval/fall_rate_high": falls.rate_high,
    }


def ranks(found: Sequence[Headline]) -> list[tuple[float, ...] | None]:
    """Return by what students are compared, the higher the better; None for one that ranks nowhere.

    The share kept on the selection's episodes, where all that rank have one. Where nothing was kept of a selection it
    is the proof: its verdict, then its bound, then its mean.
    """
    ranked = [one for one in found if one.mean is not None]
    if all(one.chosen_by is not None for one in ranked):
        return [None if one.mean is None or one.chosen_by is None else (one.chosen_by,) for one in found]
    return [None if one.mean is None else _proven(one) for one in found]


def _proven(one: Headline) -> tuple[float, ...]:
    low = one.mean if one.low is None else one.low
    return (ORDER.get(one.outcome or "", 1), low or 0.0, one.mean or 0.0)


def _verdict(kept: RetentionRecord | None) -> VerdictRecord:
    return (kept.verdict if kept else None) or VerdictRecord()


def _falls(record: FallsRecord | None) -> str | None:
    if record is None or None in (record.n, record.n_episodes, record.rate_high):
        return None
    return fall_line(int(record.n or 0), int(record.n_episodes or 0), float(record.rate_high or 0.0))
