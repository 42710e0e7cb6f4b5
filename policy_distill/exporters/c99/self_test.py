"""The self-test of an exported policy: observations, and the actions that the Python student chose for them.

In: a student's actions on states. Out: a C99 program that compares the exported code with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_distill.exporters.c99.parts import array
from policy_distill.exporters.parity import TOLERANCE, TWIN_DIFFERENCE, Reference, action_span, under_masks
from policy_distill.student.plan import Plan
from policy_distill.student.record import StudentRecord
from policy_distill.system.nested import take

N_RECORDED = 32
"""Observations that the self-test holds, and with masks as many again."""
CLEAR = 1e-3
"""Margin from which on the best action is the best on any machine."""
CTYPES = {"float": np.float32, "double": np.float64, "uint8_t": np.uint8, "int32_t": np.int32}

SELF_TEST = """\
/* Self-test: the actions that the Python student chose, recorded.
 *
 *     cc -std=c99 -O2 policy.c policy_test.c -o policy_test && ./policy_test
 */
#include <stdio.h>

#include "policy.h"

{arrays}
static int differs(const policy_action *action, const policy_action *recorded) {{
    for (int k = 0; k < POLICY_N_ACTIONS; k++) {{
        const double d = (double)action[k] - (double)recorded[k];
        if (d > tolerance[k] || d < -tolerance[k]) return 1;
    }}
    return 0;
}}

int main(void) {{
    int wrong = 0, total = 0;
    policy_action action[POLICY_N_ACTIONS];
{loops}
    printf("%d of %d recorded actions are equal\\n", total - wrong, total);
    return wrong != 0;
}}
"""
LOOP = """\
    for (int n = 0; n < {n}; n++, total++) {{
        {reset}policy_reset();
        {call}
        wrong += {judge}differs(action, {name}_action + n * POLICY_N_ACTIONS);
    }}"""


def self_test(
    student: StudentRecord, reference: Reference, obs_type: str, action_type: str, *, quantized: bool = False
) -> str:
    """Return the program; where actions may be ruled out it tries that too."""
    plan = student.plan
    used = np.ptp(reference.actions.reshape(len(reference.actions), -1), axis=0)
    # A student may hardly move its action: what passes for the same here is what passed the check against it.
    least = TWIN_DIFFERENCE if quantized else TOLERANCE
    span = np.maximum(1e-4 * used, least * action_span(student, reference.actions))
    tolerance = np.zeros(len(used)) if plan.action_map.kind == "index" else span
    arrays, loops = [array("tolerance", tolerance, "double")], []
    cases = {"recorded": reference}
    if student.takes_action_masks:
        cases["masked"] = under_masks(student, reference, 0)
    for name, case in cases.items():
        kept, reset, judge = _clear(case), "", ""
        if case.starts is not None:
            # In order, since the policy remembers; where the choice is close, any is right.
            kept = np.arange(min(N_RECORDED, len(case.actions)))
            arrays.append(array(f"{name}_start", case.starts[kept], "uint8_t"))
            arrays.append(array(f"{name}_clear", case.margins[kept] > CLEAR, "uint8_t"))
            reset, judge = f"if ({name}_start[n]) ", f"{name}_clear[n] && "
        arrays.append(array(f"{name}_obs", raw_rows(plan, take(case.obs, kept), CTYPES[obs_type]), obs_type))
        arrays.append(array(f"{name}_action", case.actions[kept].reshape(len(kept), -1), action_type))
        call = f"policy_act({name}_obs + n * POLICY_N_OBS, action);"
        if case.masks is not None:
            arrays.append(array("mask", case.masks[kept], "uint8_t"))
            call = f"policy_act_masked({name}_obs + n * POLICY_N_OBS, mask + n * POLICY_N_OUTPUTS, action);"
        loops.append(LOOP.format(n=len(kept), call=call, name=name, reset=reset, judge=judge))
    return SELF_TEST.format(arrays="\n".join(arrays), loops="\n".join(loops))


def _clear(reference: Reference) -> np.ndarray:
    """Return states that are no ties, which may fall either way on another machine."""
    kept = np.flatnonzero(reference.margins > CLEAR)[:N_RECORDED]
    return kept if len(kept) else np.arange(min(N_RECORDED, len(reference.actions)))


def raw_rows(plan: Plan, obs: Any, dtype: Any) -> np.ndarray:
    """Return a batch of raw observations as the code takes them: one flat row each, Dict keys side by side."""
    parts = plan.featurizer.parts
    arrays = [np.asarray(obs[part.key] if isinstance(obs, dict) else obs) for part in parts]
    return np.ascontiguousarray(np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1).astype(dtype))
