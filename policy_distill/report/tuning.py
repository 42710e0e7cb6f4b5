"""How a fine-tuning went: its phases in the learning curve, what held it to its teacher, and how well its critic fits.

In: a `RunRecord`. Out: layers and charts, and sentences; nothing for a run that fine-tuned nobody.
"""

from __future__ import annotations

from typing import Any

from policy_distill.report.command import is_finetuned
from policy_distill.report.marks import RANDOM, STUDENT, TEACHER, Chart, layered, number_axis, tooltip
from policy_distill.report.read_run import RunRecord
from policy_distill.system.records import is_number
from policy_distill.tracking.metrics import STEP

FELL = "#d14545"
LEAST_EXPLAINED = -1.0
"""Below it a critic is as good as none, and the axis ends."""
METHODS = {"ppo": "PPO", "es": "an evolution strategy"}


def made_words(run: RunRecord) -> str:
    """Return how a student was made, and of whom."""
    if not is_finetuned(run.settings):
        return f"distilled from {run.teacher}"
    method = str(run.settings.others["finetuning"].get("method"))
    beside = f"beside its teacher {run.teacher}" if _anchored(run) else "without a teacher"
    return f"fine-tuned by {METHODS.get(method, method)} {beside}"


def tuning_note(run: RunRecord) -> list[str]:
    """Return what came of a fine-tuning, in a sentence, and whom the rest of the page calls the teacher."""
    if not is_finetuned(run.settings) or run.evaluation is None:
        return []
    found = run.evaluation.finetuning
    notes = [] if found is None else [f"The tuned student is {found.words}."]
    return notes if _anchored(run) else [*notes, "What is called the teacher here is the student that it began as."]


def warm_up(run: RunRecord) -> float:
    """Return the steps in which only the critic learnt; 0 where there were none."""
    config = run.settings.config or {}
    steps: Any = config.get("critic_steps")
    if not is_finetuned(run.settings) or config.get("method") != "ppo" or not is_number(steps):
        return 0.0
    return float(min(steps, run.metrics[-1][STEP] if run.metrics else 0))


def setbacks(run: RunRecord) -> list[tuple[float, float]]:
    """Return (steps, return) of the students that had collapsed, after which the run went back to the best one."""
    judged, found, known = run.curve("eval/selection_return"), [], 0.0
    for steps, count in run.curve("train/setbacks"):
        # The count is of the iteration after the one whose student was judged.
        before = [point for point in judged if point[0] < steps]
        if count > known and before:
            found.append(before[-1])
        known = max(known, count)
    return found


def phase_layers(run: RunRecord) -> list[dict[str, Any]]:
    """Return what the learning curve shows of a fine-tuning: its warm-up, how it began, and where it fell."""
    if not is_finetuned(run.settings):
        return []
    judged = run.curve("eval/selection_return")
    layers = [_shade(run)] if warm_up(run) else []
    if judged and judged[0][0] == 0:
        layers.append(
            {
                "data": {"values": [{"name": "as it came", "value": judged[0][1]}]},
                "mark": {"type": "rule", "strokeDash": [2, 3], "strokeWidth": 1.5, "color": STUDENT},
                "encoding": {"y": number_axis("value", "return", zero=False), "tooltip": tooltip("name", "value")},
            }
        )
    if fell := setbacks(run):
        layers.append(
            {
                "data": {"values": [{"name": "collapsed", "steps": x, "value": y} for x, y in fell]},
                "mark": {"type": "point", "shape": "cross", "filled": True, "size": 120, "color": FELL, "opacity": 1},
                "encoding": {
                    "x": number_axis("steps", "environment steps"),
                    "y": number_axis("value", "return", zero=False),
                    "tooltip": tooltip("name", "steps", "value"),
                },
            }
        )
    return layers


def phase_words(run: RunRecord) -> str:
    """Return what these layers mean."""
    if not is_finetuned(run.settings):
        return ""
    words = [" The dotted line is the student as it came, judged on the episodes that choose."]
    if warm_up(run):
        words.append("Shaded: only the critic learns.")
    if n := len(setbacks(run)):
        words.append(f"A cross: a student that had collapsed; the run went back to the best one ({n} in all).")
    return " ".join(words)


def anchor_chart(run: RunRecord) -> Chart | None:
    """Draw how far the student is from who labels its states, and what that weighs."""
    weights = dict(run.curve("train/kl_weight"))
    rows = [{"steps": x, "kl": y, "weight": weights.get(x)} for x, y in run.curve("train/kl")]
    if not is_finetuned(run.settings) or not rows:
        return None
    layers = [*([_shade(run)] if warm_up(run) else []), _line("kl", "KL, nats", STUDENT)]
    title, note = "KL", "Divergence from the student as it came, on the states of each rollout."
    if _anchored(run):
        layers.append(_line("weight", "weight", TEACHER, orient="right", dashed=True))
        title = "KL and its weight"
        note = "Divergence from the teacher on the states of each rollout, and its weight beside the reward (dashed)."
    drawn = layered(layers, rows, height=200, zoom=True)
    return Chart(title, note, {**drawn, "resolve": {"scale": {"y": "independent"}}})


def critic_chart(run: RunRecord) -> Chart | None:
    """Draw how much of the returns the critic of a fine-tuning explains."""
    rows = [{"steps": x, "value": max(y, LEAST_EXPLAINED), "found": y} for x, y in run.curve("train/value_explained")]
    if not is_finetuned(run.settings) or not rows:
        return None
    line = _line("value", "explained variance", STUDENT)
    line["encoding"]["tooltip"] = tooltip("steps", "found")
    layers = [*([_shade(run)] if warm_up(run) else []), line]
    note = "Share of the variance of returns that the critic explains, before training on them: 1 is all of it, and "
    note += f"from 0 down it is of no use. What is below {LEAST_EXPLAINED:g} is drawn there."
    return Chart("The critic", note, layered(layers, rows, height=200, zoom=True))


def _anchored(run: RunRecord) -> bool:
    """Say whether there was a teacher other than the student itself, which has no file of its own."""
    teacher = run.settings.teacher
    return teacher is not None and (teacher.algorithm != "student" or teacher.source is not None)


def _shade(run: RunRecord) -> dict[str, Any]:
    return {
        "data": {"values": [{"name": "only the critic learns", "from": 0, "to": warm_up(run)}]},
        "mark": {"type": "rect", "opacity": 0.15, "color": RANDOM},
        "encoding": {
            "x": number_axis("from", "environment steps"),
            "x2": {"field": "to"},
            "tooltip": tooltip("name", "to"),
        },
    }


def _line(field: str, title: str, colour: str, *, orient: str = "left", dashed: bool = False) -> dict[str, Any]:
    mark: dict[str, Any] = {"type": "line", "point": {"filled": True, "size": 20, "color": colour}, "color": colour}
    if dashed:
        mark["strokeDash"] = [4, 3]
    return {
        "mark": mark,
        "encoding": {
            "x": number_axis("steps", "environment steps"),
            "y": {**number_axis(field, title, zero=False), "axis": {"orient": orient}},
            "tooltip": tooltip("steps", field),
        },
    }
