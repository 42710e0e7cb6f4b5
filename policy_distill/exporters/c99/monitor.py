"""A student's monitor in C: how novel a step is, and what is done about it.

In: a `Monitor` and the plan that it watches. Out: constants and functions in a `CSource`, and lines for the header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from policy_distill.student.onboard.monitor import LARGEST, Monitor
from policy_distill.student.operations.linear import DENSE
from policy_distill.student.plan import Plan

if TYPE_CHECKING:
    from policy_distill.exporters.c99.source import CSource

HEADER = """\
/* How unlike all that the student came to an observation is, by itself: above 1 is novel. Of the steps of an episode in
 * which nothing is wrong at most {share:.2%} are novel, in the mean over episodes. */
float policy_novelty(const policy_obs obs[POLICY_N_OBS]);

/* What is done where a step is novel: nothing else; act on what lies within the range of what was seen; leave the
 * action as it is handed over, which may be the last one; let another controller act. */
enum policy_hook {{ POLICY_GO_ON, POLICY_CLAMP, POLICY_HOLD, POLICY_FALL_BACK }};
typedef void (*policy_other)(const policy_obs obs[POLICY_N_OBS], float novelty, policy_action action[POLICY_N_ACTIONS]);
/* As policy_act; returns how novel the step is, by itself and after the one before. Without another controller
 * POLICY_FALL_BACK holds. What is not asked does not remember that step. */
float policy_act_watched(const policy_obs obs[POLICY_N_OBS], enum policy_hook hook, policy_other other,
                         policy_action action[POLICY_N_ACTIONS]);
"""
SQUARES = """\
/* The sum of squares; what is no number is as novel as can be. */
static float squares(const float *z, int n) {{
    float sum = 0.0f;
    for (int k = 0; k < n; k++) sum += z[k] * z[k];
    return sum <= {largest}f ? sum : {largest}f;
}}

/* The observation and the one before, less their mean, and the action between them. */
static float watched[{wide}];
static int watching;

static void look(const policy_obs obs[POLICY_N_OBS]) {{
    for (int i = 0; i < {n}; i++) watched[i] = (float)(({kind})obs[i] - watch_center[i]);
}}

float policy_novelty(const policy_obs obs[POLICY_N_OBS]) {{
    float z[{n_place}];
    look(obs);
    dense(watch_place, watch_zero, watched, z, {n}, {n_place});
    return squares(z, {n_place});
}}
"""
ACT = """\
float policy_act_watched(const policy_obs obs[POLICY_N_OBS], enum policy_hook hook, policy_other other,
                         policy_action action[POLICY_N_ACTIONS]) {{
    float novelty = policy_novelty(obs);
    if (watching) {{
        float step, z[{n_step}];
        dense(watch_step, watch_bias, watched, z, {wide}, {n_step});
        step = squares(z, {n_step});
        novelty = step > novelty ? step : novelty;
    }}
    if (novelty <= 1.0f || hook == POLICY_GO_ON) policy_act(obs, action);
    else if (hook == POLICY_CLAMP) {{
        policy_obs within[POLICY_N_OBS];
        for (int i = 0; i < {n}; i++) {{
            const policy_obs v = obs[i] == obs[i] ? obs[i] : (policy_obs)watch_center[i];
            within[i] = v < watch_low[i] ? watch_low[i] : (v > watch_high[i] ? watch_high[i] : v);
        }}
        policy_act(within, action);
    }} else if (hook == POLICY_FALL_BACK && other) other(obs, novelty, action);
    for (int i = 0; i < {n}; i++) watched[{n} + i] = watched[i];
{taken}
    watching = 1;
    return novelty;
}}
"""
RESET = "watching = 0;"
"""What an episode begins with."""


def header_lines(monitor: Monitor | None) -> str:
    """Return what `policy.h` says of a monitor; nothing of a student without."""
    return "" if monitor is None else HEADER.format(share=monitor.false_alarms)


def add_monitor(source: CSource, plan: Plan, monitor: Monitor, obs_type: str) -> str:
    """Add constants and functions to a source; return the function that follows `policy_act`."""
    kind, n, wide = obs_type, len(monitor.center), monitor.step.shape[1]
    for name in ("center", "low", "high"):
        source.constant(f"watch_{name}", vars(monitor)[name], kind)
    source.constant("watch_place", monitor.place.T)
    source.constant("watch_zero", np.zeros(len(monitor.place)))
    source.constant("watch_step", monitor.step.T)
    # The mean of actions is in here: it is subtracted once.
    source.constant("watch_bias", -monitor.step[:, 2 * n :] @ monitor.action_center)
    source.use(DENSE)
    sizes = {"n": n, "wide": wide, "n_place": len(monitor.place), "n_step": len(monitor.step)}
    source.use(SQUARES.format(**sizes, kind=kind, largest=f"{LARGEST:.1e}"))
    return ACT.format(**sizes, taken="\n".join(f"    {line}" for line in _taken_lines(source, plan, 2 * n)))


def ram_bytes(monitor: Monitor | None) -> int:
    """Return the bytes that a monitor remembers."""
    return 0 if monitor is None else 4 * monitor.step.shape[1] + 4


def _taken_lines(source: CSource, plan: Plan, begin: int) -> list[str]:
    """Return the code that writes `action` behind the observations, as of `ActionFeatures`."""
    taken = plan.taken
    if not taken.sizes:
        scale = zip(("middle", "factor"), taken.scale, strict=True)
        middle, factor = (source.constant(f"watch_{name}", values) for name, values in scale)
        value = f"((float)action[k] - {middle}[k]) * {factor}[k]"
        return [f"for (int k = 0; k < {taken.n}; k++) watched[{begin} + k] = {value};"]
    lines = []
    for choice, (size, start) in enumerate(zip(taken.sizes, np.ravel(taken.starts).tolist(), strict=True)):
        chosen = f"action[{choice}] == k{f' + {start}' if start else ''} ? 1.0f : 0.0f"
        lines.append(f"for (int k = 0; k < {size}; k++) watched[{begin} + k] = {chosen};")
        begin += size
    return lines
