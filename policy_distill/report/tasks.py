"""The page of a student of several tasks: what it keeps in each, in all together, and beside students of one task each.

In: a `RunRecord` with tasks. Out: figures, charts and tables of a page, which `write` puts together.
"""

from __future__ import annotations

from typing import Any

from policy_distill.evaluation.parts.tasks_record import SinglesRecord, TasksRecord
from policy_distill.evaluation.policy_records import PolicyRecord
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import RetentionRecord
from policy_distill.evaluation.proof.together import TogetherRecord
from policy_distill.report.figures import VERDICTS
from policy_distill.report.marks import RANDOM, STUDENT, ZOOM, Chart, layered, number_axis, single
from policy_distill.report.page import Table
from policy_distill.report.read_run import RunRecord
from policy_distill.system.wording import digits


def badge_of_tasks(record: TasksRecord) -> tuple[str, str] | None:
    """Return in how many tasks the student is as good as its teacher, and the kind of the worst verdict."""
    outcome = record.together.outcome if record.together else None
    return None if outcome is None else (record.outcome_words, VERDICTS.get(outcome, "open"))


def figures_of_tasks(record: TasksRecord) -> list[tuple[str, str, str]]:
    """Return the large figures."""
    whole, singles, n_tasks = (
        record.together or TogetherRecord(),
        record.singles or SinglesRecord(),
        len(record.tasks or {}),
    )
    low, high = whole.ci95 or (None, None)
    bounds = "no interval" if low is None or high is None else f"95%: [{low:.3f}, {high:.3f}]"
    found = []
    if whole.geometric_mean is not None:
        found.append((f"{whole.geometric_mean:.3f}", "return kept, geometric mean", f"{bounds}; {n_tasks} tasks"))
    if whole.worst is not None:
        found.append((f"{whole.worst:.3f}", "return kept in the worst task", ""))
    n_params = (record.student or PolicyRecord()).n_params
    if n_params is not None:
        found.append((f"{n_params:,}", "parameters", "of all tasks, shared ones once"))
    if singles.of_total is not None and singles.of_largest is not None:
        kind = "of single students" if singles.given else "of single students of the same layers"
        largest = f"{singles.of_largest:.2f} of the largest"
        found.append((f"{singles.of_total:.2f}", f"of the parameters {kind}", largest))
    found.append((f"{record.env_steps or 0:,}", "environment steps", f"{record.wall_seconds or 0:,.1f} s"))
    return found


def table_of_tasks(record: TasksRecord) -> Table:
    """Return the table of what is kept in each task."""
    alone = (record.singles or SinglesRecord()).n_params or {}
    rows = []
    for name, one in (record.tasks or {}).items():
        means = [policy.returns.mean for policy in (one.teacher, one.student, one.random) if policy is not None]
        shown = ["" if mean is None else digits(mean) for mean in means]
        first = headline(one)
        fidelity = one.fidelity.agreement if one.fidelity else None
        agreed = "" if fidelity is None else f"{fidelity:.3f}"
        known = (first.outcome or "", first.falls or "", agreed, alone.get(name, ""))
        rows.append((name, one.env_id, *shown, *[""] * (3 - len(shown)), first.text(), *known))
    header = ("task", "environment", "teacher", "student", "random", "return kept, mean", "verdict", "falls")
    return Table("Tasks", (*header, "agreement", "a single student's parameters"), rows)


def charts_of_tasks(run: RunRecord) -> list[Chart]:
    """Return what is drawn: retention by task, divergence and returns by task while learning."""
    names = list((run.tasks.tasks if run.tasks else None) or {})
    made = (
        _retentions(run.tasks) if run.tasks else None,
        _curves(run, names, "train/kl", "KL by task", "nats, in each task, before training; logarithmic", log=True),
        _curves(
            run, names, "rollout/student_return", "Returns while collecting", "return, of each task in its own units"
        ),
    )
    return [chart for chart in made if chart is not None]


def _retentions(record: TasksRecord) -> Chart | None:
    rows: list[dict[str, Any]] = []
    for name, one in (record.tasks or {}).items():
        kept = one.retention or RetentionRecord()
        low, high = kept.mean_ci95 or (None, None)
        if kept.mean is not None:
            rows.append({"task": name, "kept": kept.mean, "low": low, "high": high})
    if not rows:
        return None
    where = {"field": "task", "type": "nominal", "title": None, "sort": None}
    axis = "share of the teacher's gain kept"
    layers: list[Any] = [
        {
            "data": {"values": [{"at": 1.0}]},
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": RANDOM},
            "encoding": {"x": {"field": "at", "type": "quantitative"}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 4, "color": STUDENT},
            "encoding": {"y": where, "x": number_axis("low", axis, zero=False), "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "color": STUDENT, "opacity": 1},
            "encoding": {"y": where, "x": number_axis("kept", axis, zero=False)},
        },
    ]
    note = "Mean return, with the 95% interval of the bets that decide, in each task by itself."
    return Chart("Retention by task", note, layered(layers, rows, height=60 + 30 * len(rows)))


def _curves(run: RunRecord, names: list[str], metric: str, title: str, unit: str, *, log: bool = False) -> Chart | None:
    rows = [
        {"steps": x, "value": y, "task": name}
        for name in names
        for x, y in run.curve(f"task/{name}/{metric}")
        if y > 0 or not log
    ]
    if not rows:
        return None
    y = number_axis("value", unit.partition(",")[0], zero=False)
    if log:
        y["scale"] = {"type": "log"}
    colour = {"field": "task", "type": "nominal", "title": "task", "sort": None}
    encoding = {"x": number_axis("steps", "environment steps of all tasks"), "y": y, "color": colour}
    return Chart(
        title, f"{unit[0].upper()}{unit[1:]}.", {**single("line", encoding, rows, height=220), "params": [ZOOM]}
    )
