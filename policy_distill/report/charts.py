"""The charts of one run, as Vega-Lite specifications: plain JSON, drawn by the page.

In: a `RunRecord`. Out: `Chart`s. Data goes in under fixed field names, so that nothing of a run's metadata is an
expression.
"""

from __future__ import annotations

from typing import Any

from policy_distill.evaluation.policy_records import returns_of
from policy_distill.evaluation.proof.headline import headline
from policy_distill.evaluation.proof.records import RetentionRecord
from policy_distill.evaluation.proof.verdict import MARGIN
from policy_distill.evaluation.records import EpisodesRecord
from policy_distill.report.blindness import blindness_chart
from policy_distill.report.conditions.contexts import heat_map
from policy_distill.report.front_chart import front_chart
from policy_distill.report.imitation_charts import agreement_chart, divergence_chart, overfitting_chart
from policy_distill.report.marks import (
    RANDOM,
    STUDENT,
    TEACHER,
    Chart,
    layered,
    number_axis,
    single,
    tooltip,
    who,
)
from policy_distill.report.phases import phases
from policy_distill.report.read_run import MAX_EPISODES, RunRecord, thinned
from policy_distill.report.tuning import anchor_chart, critic_chart, phase_layers, phase_words
from policy_distill.system.wording import compression_text


def run_charts(run: RunRecord) -> list[Chart]:
    """Return what there is to draw of a run."""
    makers = (
        front_chart,
        retention_interval,
        learning_curve,
        per_episode,
        heat_map,
        phases,
        agreement_chart,
        blindness_chart,
        divergence_chart,
        overfitting_chart,
        anchor_chart,
        critic_chart,
        sizes,
        times_chart,
    )
    return [chart for chart in (maker(run) for maker in makers) if chart is not None]


def retention_interval(run: RunRecord) -> Chart | None:
    """Draw the retention's interval against the bar that the verdict sets."""
    kept, first = run.proof.retention or RetentionRecord(), headline(run.proof)
    if first.mean is None:
        return None
    low, high = kept.mean_ci95 or (None, None)
    rows = [{"what": "mean", "kept": first.mean, "low": low, "high": high}]
    if first.iqm is not None:
        # Without its interval: falls that were not seen do not widen it.
        rows.append({"what": "IQM", "kept": first.iqm, "low": first.iqm, "high": first.iqm})
    margin = MARGIN if kept.verdict is None or kept.verdict.margin is None else kept.verdict.margin
    bars = [{"at": 1.0, "bar": "the teacher"}, {"at": 1 - margin, "bar": f"the bar, {margin:.0%} below"}]
    layers = [
        {
            "data": {"values": bars},
            "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.5},
            "encoding": {
                "x": {"field": "at", "type": "quantitative"},
                "color": {
                    "field": "bar",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": [bar["bar"] for bar in bars], "range": [TEACHER, "#d14545"]},
                },
            },
        },
        {
            "mark": {"type": "rule", "strokeWidth": 4, "color": STUDENT},
            "encoding": {
                "y": {"field": "what", "type": "nominal", "title": None, "sort": None},
                "x": number_axis("low", "share of the teacher's gain kept", zero=False),
                "x2": {"field": "high"},
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 110, "color": STUDENT, "opacity": 1},
            "encoding": {
                "y": {"field": "what", "type": "nominal", "sort": None},
                "x": number_axis("kept", "share of the teacher's gain kept", zero=False),
                "tooltip": tooltip("what", "kept", "low", "high"),
            },
        },
    ]
    note = "Share of the teacher's gain over a random policy; the mean with the 95% interval of the bets that decide."
    return Chart("Retention", note, layered(layers, rows, height=110))


def learning_curve(run: RunRecord) -> Chart | None:
    """Draw the student's return while it learns, and the bands of teacher and random policy."""
    # Earlier versions logged what they judged under the proof's name.
    judged = "eval/selection_return" if run.curve("eval/selection_return") else "eval/student_return"
    points = [
        {"steps": x, "value": y, "who": who}
        for who, name in (("while collecting", "rollout/student_return"), ("judged", judged))
        for x, y in run.curve(name)
    ]
    if not points:
        return None
    known = {"teacher": returns_of(run.proof.teacher), "random": returns_of(run.proof.random)}
    bands = [_band(name, one.mean, one.std or 0.0) for name, one in known.items() if one.mean is not None]
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": bands},
            "mark": {"type": "rect", "opacity": 0.2},
            "encoding": {"y": number_axis("low", "return", zero=False), "y2": {"field": "high"}, "color": who("name")},
        },
        {
            "data": {"values": bands},
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {
                "y": number_axis("mean", "return", zero=False),
                "color": who("name"),
                "tooltip": tooltip("name", "mean"),
            },
        },
        {
            "mark": {"type": "line", "point": {"filled": True, "size": 25}, "color": STUDENT},
            "encoding": {
                "x": number_axis("steps", "environment steps"),
                "y": number_axis("value", "return", zero=False),
                "strokeDash": {"field": "who", "type": "nominal", "title": "student"},
                "tooltip": tooltip("who", "steps", "value"),
            },
        },
    ]
    layers[-1:-1] = phase_layers(run)
    note = "The student's mean return by environment steps; bands are the mean ± one standard deviation over episodes."
    return Chart("Learning curve", note + phase_words(run), layered(layers, points, height=260, zoom=True))


def per_episode(run: RunRecord) -> Chart | None:
    """Draw each episode's return of the student against the teacher's from the same seed."""
    episodes = run.proof.episodes or EpisodesRecord()
    pairs = list(zip(episodes.teacher or (), episodes.student or (), strict=False))
    if not pairs:
        return None
    first = run.proof.seed or 0
    rows = [{"seed": first + i, "teacher": t, "student": s} for i, (t, s) in enumerate(pairs)]
    low, high = min(map(min, pairs)), max(map(max, pairs))
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"a": low}, {"a": high}]},
            "mark": {"type": "line", "strokeDash": [4, 3], "color": RANDOM},
            "encoding": {
                "x": number_axis("a", "teacher's return", zero=False),
                "y": number_axis("a", "student's return", zero=False),
            },
        },
        {
            "mark": {"type": "circle", "size": 45, "opacity": 0.65, "color": STUDENT},
            "encoding": {
                "x": number_axis("teacher", "teacher's return", zero=False),
                "y": number_axis("student", "student's return", zero=False),
                "tooltip": tooltip("seed", "teacher", "student"),
            },
        },
    ]
    note = "One dot an episode, both from the same seed; on the line they do equally well."
    return Chart("Episode by episode", note, layered(layers, thinned(rows, MAX_EPISODES), height=260, zoom=True))


def sizes(run: RunRecord) -> Chart | None:
    """Draw parameters of teacher and student."""
    known = {"teacher": run.proof.teacher, "student": run.proof.student}
    rows = [{"who": name, "params": one.n_params, "bytes": one.n_bytes} for name, one in known.items() if one]
    if not rows:
        return None
    encoding = {
        "y": {"field": "who", "type": "nominal", "title": None, "sort": None},
        "x": number_axis("params", "parameters"),
        "color": {**who("who"), "legend": None},
        "tooltip": tooltip("who", "params", "bytes"),
    }
    sizes = [one.n_params or 0 if one else 0 for one in known.values()]
    note = f"What acting needs; compression {compression_text(*sizes)}."
    return Chart("Size", note, single("bar", encoding, rows, height=90))


def times_chart(run: RunRecord) -> Chart | None:
    """Draw where the time went."""
    names = {"collect": "collecting", "label": "labelling", "train": "training"}
    rows: list[dict[str, Any]] = [
        {"stage": word, "seconds": run.curve(f"time/{stage}_seconds")[-1][1]}
        for stage, word in names.items()
        if run.curve(f"time/{stage}_seconds")
    ]
    wall = run.proof.wall_seconds
    if not rows or wall is None:
        return None
    rows.append({"stage": "evaluating", "seconds": max(wall - sum(row["seconds"] for row in rows), 0.0)})
    encoding = {
        "y": {"field": "stage", "type": "nominal", "title": None, "sort": None},
        "x": number_axis("seconds", "seconds"),
        "tooltip": tooltip("stage", "seconds"),
    }
    return Chart("Time", f"{wall:,.1f} seconds in all.", single("bar", encoding, rows, height=130))


def _band(name: str, mean: float, std: float) -> dict[str, Any]:
    return {"name": name, "mean": mean, "low": mean - std, "high": mean + std}
