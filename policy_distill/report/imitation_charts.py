"""The charts of how closely a student follows its teacher while it learns.

In: a `RunRecord`. Out: a `Chart` each, or None where nothing was measured.
"""

from __future__ import annotations

from policy_distill.report.command import is_finetuned
from policy_distill.report.marks import STUDENT, ZOOM, Chart, number_axis, single, tooltip
from policy_distill.report.read_run import RunRecord


def agreement_chart(run: RunRecord) -> Chart | None:
    """Draw the agreement of the deterministic actions."""
    note = "On the states of each rollout, before training on them."
    return _line(run, "train/agreement", "Agreement", "share of actions", note)


def divergence_chart(run: RunRecord) -> Chart | None:
    """Draw the divergence from the teacher, unless it is drawn as the price of blindness, or with its weight."""
    if run.proof.view is not None or is_finetuned(run.settings):
        return None
    note = "Mean divergence on the states of each rollout, before training on them; the axis is logarithmic."
    return _line(run, "train/kl", "KL", "nats", note, log=True)


def _line(run: RunRecord, metric: str, title: str, unit: str, note: str, *, log: bool = False) -> Chart | None:
    rows = [{"steps": x, "value": y} for x, y in run.curve(metric) if y > 0 or not log]
    if not rows:
        return None
    y = number_axis("value", unit, zero=False)
    if log:
        y["scale"] = {"type": "log"}
    encoding = {"x": number_axis("steps", "environment steps"), "y": y, "tooltip": tooltip("steps", "value")}
    mark = {"type": "line", "point": {"filled": True, "size": 20}, "color": STUDENT}
    return Chart(title, note, {**single(mark, encoding, rows, height=200), "params": [ZOOM]})
