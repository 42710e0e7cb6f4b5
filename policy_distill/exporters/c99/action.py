"""From a network's outputs to the executed action, in C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.operations.tanh import TANH_NEAR
from policy_distill.student.plan import Plan

if TYPE_CHECKING:
    from policy_distill.exporters.c99.source import CSource

TAKEN = ("taken_middle", "taken_factor")
"""Constants that a continuous action is remembered by."""

ARGMAX = """\
static int argmax(const float *x, int n) {
    int best = 0;
    for (int k = 1; k < n; k++)
        if (x[k] > x[best]) best = k;
    return best;
}
"""


def action_lines(plan: Plan, source: CSource, x: str) -> list[str]:
    """Return the code that writes `action` from the scores in buffer `x`."""
    if plan.action_map.kind == "index":
        return _discrete_lines(plan, source, x)
    n, action_map = plan.head.n_modes, plan.action_map
    value = f"{x}[k]"
    if plan.head.kind == "tanh":
        source.use(TANH_NEAR)
        value = f"tanh_near({value})"
    if action_map.kind == "none":
        return [f"for (int k = 0; k < {n}; k++) action[k] = {value};"]
    assert action_map.low is not None and action_map.high is not None
    low = source.constant("action_low", _finite(action_map.low))
    lines = [f"for (int k = 0; k < {n}; k++) {{"]
    if action_map.kind == "clip":
        high = source.constant("action_high", _finite(action_map.high))
        lines += [
            f"    const float v = {value};",
            f"    action[k] = v < {low}[k] ? {low}[k] : (v > {high}[k] ? {high}[k] : v);",
        ]
    else:
        half = source.constant("action_half", 0.5 * (action_map.high - action_map.low))
        lines.append(f"    action[k] = {low}[k] + ({value} + 1.0f) * {half}[k];")
    return [*lines, "}"]


def taken_lines(plan: Plan, source: CSource) -> list[str]:
    """Return the code that writes `action` into what is remembered, where actions are, as of `ActionFeatures`."""
    awaited, taken = plan.memory.awaited, plan.taken
    if awaited is None:
        return []
    if not taken.sizes:
        middle, factor = (source.constant(name, values) for name, values in zip(TAKEN, taken.scale, strict=True))
        return [
            f"for (int k = 0; k < {taken.n}; k++) "
            f"memory[{awaited.start} + k] = ((float)action[k] - {middle}[k]) * {factor}[k];"
        ]
    lines, begin = [], awaited.start
    for choice, (size, start) in enumerate(zip(taken.sizes, taken.starts, strict=True)):
        chosen = f"action[{choice}] == k{f' + {start}' if start else ''}"
        lines.append(f"for (int k = 0; k < {size}; k++) memory[{begin} + k] = {chosen} ? 1.0f : 0.0f;")
        begin += size
    return lines


def all_scores_lines(plan: Plan, x: str, y: str) -> list[str]:
    """Return the code that copies outputs from buffer `x` to `y`, logits of 0 put in that are no outputs."""
    lines, n_before = [], 0
    for choice, size in enumerate(plan.head.sizes):
        lines.append(f"{y}[{n_before}] = 0.0f;")
        shift = f"{n_before - choice - 1}"
        lines.append(f"for (int k = 1; k < {size}; k++) {y}[{n_before} + k] = {x}[{shift} + k];")
        n_before += size
    return lines


def _discrete_lines(plan: Plan, source: CSource, x: str) -> list[str]:
    starts = np.broadcast_to(np.ravel(plan.action_map.start), (max(1, int(np.prod(plan.action_map.shape))),))
    if plan.head.kind == "threshold":
        return [f"for (int k = 0; k < {plan.head.n_scores}; k++) action[k] = {x}[k] > 0.0f;"]
    source.use(ARGMAX)
    sizes = plan.head.sizes
    begins = np.cumsum([0, *sizes[:-1]])
    return [
        f"action[{k}] = {f'{start} + ' if start else ''}argmax({x} + {begin}, {size});"
        for k, (begin, size, start) in enumerate(zip(begins, sizes, starts, strict=True))
    ]


def _finite(bound: np.ndarray) -> np.ndarray:
    """Return bounds that C can write: the largest float stands for infinity."""
    largest = float(np.finfo(np.float32).max)
    return np.clip(bound.astype(np.float64), -largest, largest)
