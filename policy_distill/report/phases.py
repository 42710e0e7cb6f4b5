"""The chart of where in an episode the return is gained.

In: a `RunRecord`. Out: a `Chart`, or None for a run of before this was measured.
"""

from __future__ import annotations

from policy_distill.report.marks import Chart, number_axis, single, tooltip, who
from policy_distill.report.read_run import RunRecord


def phases(run: RunRecord) -> Chart | None:
    """Draw where in the episode the return is gained."""
    rows = [
        {"who": name, "tenth": i, "value": value}
        for name, policy in run.proof.policies.items()
        for i, value in enumerate(policy.returns.phases or [], start=1)
    ]
    if not rows:
        return None
    encoding = {
        "x": {"field": "tenth", "type": "ordinal", "title": "tenth of the episode", "axis": {"labelAngle": 0}},
        "y": number_axis("value", "return gained"),
        "color": who("who"),
        "tooltip": tooltip("who", "tenth", "value"),
    }
    note = "Mean return gained in each tenth of an episode: where the student falls behind shows here."
    mark = {"type": "line", "point": {"filled": True, "size": 25}}
    return Chart("Return by phase of the episode", note, single(mark, encoding, rows, height=200))
