"""A comparison as JSON values and as tables for people."""

from __future__ import annotations

from typing import Any

from policy_distill.commands.output import interval_text, table
from policy_distill.wording import digits, next_step

PERTURBED = (
    "condition",
    "teacher, IQM [95%]",
    "student, IQM [95%]",
    "retention, IQM [95%]",
    "worst 5%: teacher",
    "student",
)


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
        "scale": found.scale.to_json(),
    }


def aggregated(found: list[Any]) -> Any:
    """Return the `AcrossSeeds` of the `Comparison`s of several training seeds."""
    from policy_distill.paired_returns import PairedReturns
    from policy_distill.training_seeds import SeedGroup, across_seeds

    returns = [(one.student.returns, one.teacher.returns, one.random.returns, one.teacher.seed) for one in found]
    return across_seeds([SeedGroup(found[0].teacher.env_id, tuple(PairedReturns(*one) for one in returns))])


def verdict_text(verdict: dict[str, Any]) -> str:
    """Return a verdict in a sentence."""
    margin, n_episodes = f"{verdict['margin']:.0%}", verdict["n_episodes"]
    words = {
        "non-inferior": f"as good as the teacher up to {margin} of its gain (one-sided, {verdict['alpha']:.0%})",
        "inferior": f"worse than the teacher by more than {margin} of its gain (one-sided, {verdict['alpha']:.0%})",
        "undecided": f"not clear at a margin of {margin}",
        "undefined": "the teacher's mean return is not clearly above random's",
    }
    looks = f" in {verdict['n_looks']} looks" if verdict["n_looks"] > 1 else ""
    return f"{verdict['outcome']}: {words[verdict['outcome']]}, {n_episodes} episodes{looks}"


def verdict_rows(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the row of a verdict, and what to do next where there is something."""
    step = next_step(verdict["outcome"])
    return [("verdict", verdict_text(verdict)), *([("next", step)] if step else [])]


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
    lines = [
        ("retention, IQM [95%]", interval_text(record["retention"], 3)),
        *verdict_rows(record["verdict"]),
    ]
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
    rows: list[tuple[str, ...]] = [
        (
            name,
            interval_text(one["teacher"]),
            interval_text(one["student"]),
            interval_text(one["retention"], 3),
            digits(one["teacher"]["worst5"]),
            digits(one["student"]["worst5"]),
        )
        for name, one in records.items()
    ]
    return rows, PERTURBED
