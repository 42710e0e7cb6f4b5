"""The charts of how closely a student follows its teacher while it learns.

In: a `RunRecord`. Out: a `Chart` each, or None where nothing was measured.
"""

from __future__ import annotations

from policy_distill.report.command import is_finetuned
from policy_distill.report.marks import RANDOM, STUDENT, ZOOM, Chart, number_axis, single, tooltip
from policy_distill.report.read_run import RunRecord

ALIKE = 1.25
"""A held-out loss of at most so many times the other is no sign of over-fitting: rollouts differ by as much."""
LEAST_ROLLOUTS = 4
"""Rollouts in the last third of a run that say something about it."""


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


def overfitting_chart(run: RunRecord) -> Chart | None:
    """Draw the loss on held-out states against that on the states that are learnt from."""
    curves = {"learnt from": run.curve("train/loss"), "held out": _held_out(run)}
    rows = [{"steps": x, "value": y, "who": name} for name, curve in curves.items() for x, y in curve if y > 0]
    if not curves["held out"]:
        return None
    y = {**number_axis("value", "loss", zero=False), "scale": {"type": "log"}}
    colours = {"domain": list(curves), "range": [STUDENT, RANDOM]}
    encoding = {
        "x": number_axis("steps", "environment steps"),
        "y": y,
        "color": {"field": "who", "type": "nominal", "title": "states", "scale": colours},
        "tooltip": tooltip("who", "steps", "value"),
    }
    mark = {"type": "line", "point": {"filled": True, "size": 20}}
    note = (
        "Loss on the buffer, and on states of the newest rollout before they are learnt from; the axis is logarithmic."
    )
    spec = {**single(mark, encoding, rows, height=200), "params": [ZOOM]}
    return Chart("Over-fitting", f"{note} {overfitting_words(run)}", spec)


def _held_out(run: RunRecord) -> list[tuple[float, float]]:
    """Return the loss on states that were not learnt from yet; where none was held out, the divergence on rollouts."""
    if is_finetuned(run.settings):
        return []
    held = run.curve("train/heldout_loss")
    same_unit = (run.settings.config or {}).get("loss") in ("auto", "forward_kl")
    return held or ([(x, y) for x, y in run.curve("train/kl") if y > 0] if same_unit else [])


def overfitting_words(run: RunRecord) -> str:
    """Return in a sentence whether a student over-fits its buffer, by the last third of its rollouts."""
    learnt = dict(run.curve("train/loss"))
    pairs = [(learnt[steps], held) for steps, held in _held_out(run) if learnt.get(steps, 0.0) > 0.0]
    last = pairs[-max(1, len(pairs) // 3) :]
    if len(last) < LEAST_ROLLOUTS:
        return "Of so few rollouts nothing can be said about over-fitting."
    ratio = sum(held for _, held in last) / sum(loss for loss, _ in last)
    if ratio <= ALIKE:
        return f"In the last third the held-out loss is {ratio:.2f} times the other: no over-fitting to be seen."
    # New states are harder too as long as the student still comes to other ones.
    return (
        f"In the last third the held-out loss is {ratio:.2f} times the other: the student over-fits its buffer, or "
        "still comes to states that are new to it; more --timesteps tell the two apart."
    )


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
