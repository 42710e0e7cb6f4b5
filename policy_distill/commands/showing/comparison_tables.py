"""A comparison as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from policy_distill.commands.showing.output import interval_text, table
from policy_distill.evaluation.policy_records import ReturnsRecord, SampledRecord, returns_of
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import Proven, VerdictRecord
from policy_distill.evaluation.proof.words import assumption_words, next_step, pairing, verdict_words
from policy_distill.evaluation.records import ComparedRecord, ComparisonRecord, EvaluationRecord
from policy_distill.report.conditions.perturbed import CONTEXT_HEADER, HEADER, context_rows, gap_rows, perturbed_rows
from policy_distill.system.wording import digits

if TYPE_CHECKING:
    from policy_distill.evaluation.paired import Comparison
    from policy_distill.evaluation.proof.training_seeds import AcrossSeeds


def aggregated(found: list[Comparison]) -> AcrossSeeds:
    """Return the `AcrossSeeds` of the `Comparison`s of several training seeds."""
    from policy_distill.evaluation.proof.paired_returns import PairedReturns
    from policy_distill.evaluation.proof.training_seeds import SeedGroup, across_seeds

    returns = [(one.student.returns, one.teacher.returns, one.random.returns, one.teacher.seed) for one in found]
    return across_seeds([SeedGroup(found[0].teacher.env_id, tuple(PairedReturns(*one) for one in returns))])


def proof_lines(record: Proven, seed: int | None = None) -> list[tuple[str, str]]:
    """Return what a proof says, in the order in which it is read: the mean and its bound, falls, verdict, the IQM.

    Args:
        record: of a run, or of a comparison.
        seed: of the proof's first episode.
    """
    first, verdict = headline(record), (record.retention.verdict if record.retention else None) or VerdictRecord()
    lines = [
        ("retention, mean", first.text()),
        ("falls", first.falls),
        ("falls of the teacher", first.teacher_falls),
        ("verdict", verdict_words(verdict)),
        ("assumed", assumption_words(verdict, seed)),
        ("next", next_step(verdict)),
        # Without its interval: falls that were not seen do not widen it.
        ("retention, IQM", None if first.iqm is None else f"{first.iqm:.3f}"),
    ]
    return [(name, text) for name, text in lines if text]


def teacher_lines(record: EvaluationRecord) -> list[tuple[str, str]]:
    """Return a line for each of several teachers: what it returns alone, and how the student stands beside it."""
    found = record.teachers or ()
    return [
        (f"teacher {place} alone", f"{name}: {mean}; the student's less its own {more}" + (f"; {word}" if word else ""))
        for place, (name, mean, more, word) in enumerate((one.row for one in found), 1)
    ]


def said_beside(
    paired: bool | None, sampled: SampledRecord | None, *, deterministic: bool | None = None
) -> list[tuple[str, str]]:
    """Return what stands beside a verdict, by its name: how both acted, the teacher by sampling, what is no pair."""
    acting = "teacher and student by sampling" if deterministic is False else ""
    by_sampling = sampled.text() if sampled else ""
    found = [("acting", acting), ("teacher by sampling", by_sampling), ("episodes", pairing(paired))]
    return [(name, text) for name, text in found if text]


def tables(record: ComparedRecord) -> list[str]:
    """Return the tables of a comparison: returns, what was kept, and each perturbation."""
    found = record.comparison
    played = {"teacher": found.teacher, "student": found.student, "random": found.random}
    returns = {name: returns_of(one) for name, one in played.items()}
    lines = proof_lines(found, found.seed)
    lines += said_beside(found.paired, found.teacher_sampled, deterministic=record.deterministic)
    if record.fidelity is not None:
        lines += [("agreement", undefined_or(record.fidelity.agreement)), ("kl", undefined_or(record.fidelity.kl))]
    header = ("policy", "return, mean ± std", "median", "return, IQM [95%]", "worst 5%")
    parts = [table([_returns(name, one) for name, one in returns.items()], header), table(lines)]
    teacher, student = returns["teacher"].phases, returns["student"].phases
    if teacher is not None and student is not None:
        tenths = [(name, *map(digits, one)) for name, one in (("teacher", teacher), ("student", student))]
        parts.append(table(tenths, ("return in each tenth of the episode", *map(str, range(1, len(teacher) + 1)))))
    if record.perturbed is not None:
        parts.append(table(*perturbation_rows(record.perturbed)))
    if record.contexts is not None:
        parts += [table(context_rows(record.contexts), CONTEXT_HEADER), table(gap_rows(record.contexts))]
    return parts


def undefined_or(value: float | None) -> str:
    """Return a number with four decimals; None is undefined."""
    return "undefined" if value is None else f"{value:.4f}"


def _returns(name: str, one: ReturnsRecord) -> tuple[str, ...]:
    spread = f"{digits(one.mean)} ± {digits(one.std)}"
    return (name, spread, digits(one.median), interval_text(one), digits(one.worst5))


def perturbation_rows(records: Mapping[str, ComparisonRecord]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the rows and the header of the table of perturbations."""
    return perturbed_rows(records), HEADER
