"""The project's dashboard as code: a W&B workspace, built by W&B's own library.

In: a project. Out: the workspace, saved online, or its specification as JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError, RunFault
from policy_distill.tracking.metrics import STEP, check_metric_names
from policy_distill.tracking.worker import Worker

SAVE_SECONDS = 60
"""Longest wait for W&B to save a workspace."""


@dataclass(frozen=True)
class Panel:
    """One plot: a `line` over environment steps, a `bar` or a `scatter` of final values, or a `table`."""

    kind: str
    title: str
    metrics: tuple[str, ...]
    log_x: bool = False
    log_y: bool = False


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Return kept": (
        Panel("scatter", "Return kept against parameters", ("model/student_params", "eval/retention"), log_x=True),
        Panel("scatter", "Return kept against compression", ("model/compression", "eval/retention"), log_x=True),
        Panel("bar", "Retention", ("eval/retention",)),
        Panel("bar", "Its lower bound", ("eval/retention_low",)),
        Panel("bar", "Falls, and how many there may be at most", ("eval/fall_rate", "eval/fall_rate_high")),
        Panel("bar", "Where it was chosen, not proven", ("eval/selection_retention",)),
        Panel("table", "students", ()),
    ),
    "Returns": (
        Panel("line", "Student, judged while it learns", ("eval/selection_return",)),
        Panel("bar", "Student, in the proof", ("eval/student_return",)),
        Panel("line", "Student, while collecting", ("rollout/student_return",)),
        Panel("line", "Teacher, in training", ("rollout/teacher_return",)),
        Panel("bar", "Teacher and random policy", ("eval/teacher_return", "eval/random_return")),
    ),
    "Imitation": (
        Panel("line", "KL, nats", ("train/kl",), log_y=True),
        Panel("line", "Agreement", ("train/agreement",)),
        Panel("line", "Loss", ("train/loss",), log_y=True),
        Panel("line", "Gradient norm", ("train/grad_norm",), log_y=True),
        Panel("line", "Teacher's share of the actions", ("rollout/teacher_share",)),
    ),
    "Size": (
        Panel("bar", "Parameters", ("model/student_params", "model/teacher_params")),
        Panel("bar", "Compression", ("model/compression",)),
        Panel("bar", "Bytes and multiply-accumulates", ("model/student_bytes", "model/student_macs")),
        Panel("bar", "Microseconds an action", ("model/latency_us",)),
    ),
    "Time": (
        Panel("line", "Steps per second", ("time/fps",)),
        Panel("line", "Seconds by stage", ("time/collect_seconds", "time/label_seconds", "time/train_seconds")),
        Panel("line", "Seconds in all", ("time/wall_seconds",)),
    ),
}

COLUMNS = (
    *("Group", "JobType", "student", "env_id", "eval/retention", "eval/retention_low", "eval/fall_rate_high"),
    *("model/compression", "model/student_params"),
)
"""Columns of the run table that stand first."""


def build(project: str, entity: str = "") -> Any:
    """Return the workspace.

    Raises:
        RequestError: where W&B's workspace library is missing.
    """
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as workspaces
    except ImportError:
        raise RequestError("a dashboard needs wandb-workspaces: pip install 'policy-distill[dashboard]'") from None
    sections = []
    for name, panels in SECTIONS.items():
        drawn = [_panel(reports, panel) for panel in panels]
        sections.append(workspaces.Section(name=name, panels=drawn, is_open=True))
    columns = [f"{_kind(column)}:{column}" for column in COLUMNS]
    return workspaces.Workspace(
        name="policy-distill",
        entity=entity,
        project=project,
        sections=sections,
        settings=workspaces.WorkspaceSettings(x_axis=STEP),
        runset_settings=workspaces.RunsetSettings(pinned_columns=columns),
    )


def specification(workspace: Any) -> dict[str, Any]:
    """Return what would be saved, as JSON values."""
    return dict(json.loads(workspace._to_model().model_dump_json(by_alias=True)))


def save(workspace: Any) -> str:
    """Save the workspace online, within a bounded time, and return its address.

    Raises:
        RunFault: where W&B does not take it.
    """
    worker = Worker("W&B")
    saved = worker.ask("saving the workspace", lambda: str(workspace.save().url), SAVE_SECONDS)
    if saved is None:
        raise RunFault("W&B did not save the workspace; the specification can be written with --offline")
    return str(saved)


def _panel(reports: Any, panel: Panel) -> Any:
    check_metric_names(panel.metrics)
    if panel.kind == "line":
        return reports.LinePlot(title=panel.title, x=STEP, y=list(panel.metrics), log_y=panel.log_y or None)
    if panel.kind == "bar":
        return reports.BarPlot(title=panel.title, metrics=list(panel.metrics))
    if panel.kind == "scatter":
        x, y = (reports.SummaryMetric(name) for name in panel.metrics)
        return reports.ScatterPlot(title=panel.title, x=x, y=y, log_x=panel.log_x)
    return reports.WeavePanelSummaryTable(table_name=panel.title)


def _kind(column: str) -> str:
    return "summary" if "/" in column else "config" if column in ("student", "env_id") else "run"
