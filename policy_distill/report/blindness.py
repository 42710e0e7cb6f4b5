"""What a student cannot see, and what that costs: the divergence that is left when it has learnt all it can tell apart.

In: a `RunRecord` whose student sees less than its teacher, and runs beside it. Out: a chart, and a sentence. After a
short run part of that divergence is what was not learnt yet: one that sees everything, or a curve that still falls,
tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.evaluation.records import FidelityRecord
from policy_distill.report.marks import RANDOM, STUDENT, ZOOM, Chart, number_axis, single, tooltip
from policy_distill.report.read_run import RunRecord, read_run

HIDDEN = ("observe", "observation_keys", "student_wrapper")
"""Settings by which a student sees less."""
MOST_BESIDE = 200
"""Folders beside a run that are looked into for one of a student that sees everything."""
LEAST = 12
"""Rollouts of which it can be told whether the divergence still falls."""
WHO = {"the student": STUDENT, "one that sees everything": RANDOM}


def blindness_chart(run: RunRecord) -> Chart | None:
    """Draw the divergence of a student that sees less than its teacher, beside a sighted one's where there is a run."""
    if run.proof.view is None:
        return None
    found = {"the student": run.curve("train/kl")}
    sighted = sighted_run(run)
    if sighted is not None:
        found["one that sees everything"] = sighted.curve("train/kl")
    rows = [{"who": who, "steps": x, "value": y} for who, curve in found.items() for x, y in curve if y > 0]
    if not rows:
        return None
    colour = {"domain": list(WHO), "range": list(WHO.values())}
    encoding: dict[str, Any] = {
        "x": number_axis("steps", "environment steps"),
        "y": {**number_axis("value", "nats", zero=False), "scale": {"type": "log"}},
        "color": {"field": "who", "type": "nominal", "title": None, "scale": colour},
        "tooltip": tooltip("who", "steps", "value"),
    }
    note = (
        "Divergence from the teacher on each rollout, before training on it: what stays when it falls no more is the "
        "price of blindness."
    )
    note += f" Beside it the run {sighted.name}." if sighted is not None else ""
    mark = {"type": "line", "point": {"filled": True, "size": 20}}
    return Chart("The price of blindness", note, {**single(mark, encoding, rows, height=200), "params": [ZOOM]})


def blindness_note(run: RunRecord) -> list[str]:
    """Return what the student cannot see, and how well it could tell the states apart."""
    view, fidelity = run.proof.view, run.proof.fidelity or FidelityRecord()
    if view is None:
        return []
    text = f"{view.text[0].upper()}{view.text[1:]}."
    if fidelity.kl is None:
        return [text]
    sighted = sighted_run(run)
    other = (sighted.proof.fidelity or FidelityRecord()).kl if sighted is not None else None
    why = "by what it cannot tell apart, or has not learnt yet"
    if other is not None:
        why = f"where one that sees everything has {other:.3g}: the difference is the price of what it cannot see"
    text += f" {fidelity.kl:.3g} nats are left between it and its teacher, {why}."
    if still_falls([value for _, value in run.curve("train/kl")]):
        text += " The divergence still fell when the run ended: more steps would leave less."
    return [text]


def still_falls(values: Sequence[float]) -> bool:
    """Say whether a divergence was still getting smaller at the end of a run.

    That is where its median over the last quarter of the rollouts is a tenth below that of the quarter before; of fewer
    than `LEAST` rollouts nobody can tell, and what is learnt in these is not all.
    """
    if len(values) < LEAST:
        return True
    n = len(values) // 4
    return float(np.median(values[-n:])) < 0.9 * float(np.median(values[-2 * n : -n]))


def sighted_run(run: RunRecord) -> RunRecord | None:
    """Return the run beside this one that differs in nothing but what its student sees, which is everything."""
    wanted = _asked(run)
    folders = sorted(path.parent for path in run.path.resolve().parent.glob("*/config.json"))
    for folder in folders[:MOST_BESIDE]:
        try:
            other = read_run(folder)
        except RequestError:
            continue
        if other is not None and other.evaluation is not None and other.proof.view is None and _asked(other) == wanted:
            return other
    return None


def _asked(run: RunRecord) -> dict[str, Any]:
    known = run.settings
    config = {name: value for name, value in (known.config or {}).items() if name not in HIDDEN}
    return {"env": known.env, "env_id": known.env_id, "student": known.student, "teacher": known.teacher, **config}
