"""A comparison as JSON values and as tables for people."""

from __future__ import annotations

from typing import Any

from policy_distill.commands.output import interval_text, table
from policy_distill.evaluation.proof.headline import assumption_words, headline, verdict_words
from policy_distill.report.perturbed import HEADER, perturbed_rows
from policy_distill.system.wording import digits, next_step, said_beside


def comparison_record(found: Any) -> dict[str, Any]:
    """Return a `Comparison` as JSON values."""
    policies = {"teacher": found.teacher, "student": found.student, "random": found.random}
    return {
        "env_id": found.teacher.env_id,
        "seed": found.teacher.seed,
        "n_episodes": found.teacher.n_episodes,
        "paired": found.paired,
        **{name: evaluation.to_json() for name, evaluation in policies.items()},
        "retention": found.retention.to_json(),
        "verdict": found.retention.verdict.to_json(),
        "falls": found.retention.falls_json(),
        **({"teacher_sampled": found.teacher_sampled.to_json()} if found.teacher_sampled else {}),
        "scale": found.scale.to_json(),
    }


def aggregated(found: list[Any]) -> Any:
    """Return the `AcrossSeeds` of the `Comparison`s of several training seeds."""
    from policy_distill.evaluation.proof.paired_returns import PairedReturns
    from policy_distill.evaluation.proof.training_seeds import SeedGroup, across_seeds

    returns = [(one.student.returns, one.teacher.returns, one.random.returns, one.teacher.seed) for one in found]
    return across_seeds([SeedGroup(found[0].teacher.env_id, tuple(PairedReturns(*one) for one in returns))])


def proof_lines(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a proof says, in the order in which it is read: the mean and its bound, falls, verdict, the IQM."""
    first, verdict = headline(record), record["retention"]["verdict"]
    lines = [("retention, mean", first.text()), ("falls", first.falls), ("falls of the teacher", first.teacher_falls)]
    lines += [
        ("verdict", verdict_words(verdict)),
        ("assumed", assumption_words(verdict, record.get("seed")) or None),
        ("next", next_step(verdict) or None),
    ]
    if first.iqm is not None:
        # Without its interval: falls that were not seen do not widen it.
        lines += [("retention, IQM", f"{first.iqm:.3f}")]
    return [*((name, text) for name, text in lines if text is not None), *said_beside(record)]


def tables(record: dict[str, Any]) -> list[str]:
    """Return the tables of a comparison: returns, what was kept, and each perturbation."""
    header = ("policy", "return, mean ± std", "median", "return, IQM [95%]", "worst 5%")
    rows = [
        (
            name,
            f"{digits(record[name]['mean'])} ± {digits(record[name]['std'])}",
            digits(record[name]["median"]),
            interval_text(record[name]),
            digits(record[name]["worst5"]),
        )
        for name in ("teacher", "student", "random")
    ]
    lines = proof_lines(record)
    if "agreement" in record:
        for name in ("agreement", "kl"):
            lines.append((name, "undefined" if record[name] is None else f"{record[name]:.4f}"))
    parts = [table(rows, header), table(lines)]
    if "phases" in record["teacher"] and "phases" in record["student"]:
        tenths = [(name, *(digits(value) for value in record[name]["phases"])) for name in ("teacher", "student")]
        n_phases = len(record["teacher"]["phases"])
        parts.append(table(tenths, ("return in each tenth of the episode", *map(str, range(1, n_phases + 1)))))
    if "perturbed" in record:
        parts.append(table(*perturbation_rows(record["perturbed"])))
    return parts


def perturbation_rows(records: dict[str, dict[str, Any]]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the rows and the header of the table of perturbations."""
    return perturbed_rows(records), HEADER
