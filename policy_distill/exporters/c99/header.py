"""The header of an exported policy: what a program in C or C++ calls.

In: a `Plan` and what the code expects of observations. Out: C99 text.
"""

from __future__ import annotations

import math

from policy_distill.exporters.c99.features import FeatureCode
from policy_distill.exporters.c99.monitor import header_lines
from policy_distill.exporters.c99.parts import comment
from policy_distill.exporters.c99.wiring import wiring_text
from policy_distill.student.onboard.monitor import Monitor
from policy_distill.student.plan import Plan

HEADER = """\
/* A policy distilled by policy-distill, in C99.
 *
 * {about}
 *
 * Call policy_reset() when an episode begins, then policy_act() for each observation. The observation is raw, as the
 * environment gives it; normalisation and the mapping to executed actions are inside. Not reentrant: its buffers are
 * static.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define POLICY_N_OBS {n_obs} /* {obs_about} */
#define POLICY_N_ACTIONS {n_actions} /* numbers of one action, the last dimension quickest */
#define POLICY_N_OUTPUTS {n_outputs} /* {outputs_about} */
{wiring}
typedef {obs_type} policy_obs;
typedef {action_type} policy_action;

void policy_reset(void);
void policy_act(const policy_obs obs[POLICY_N_OBS], policy_action action[POLICY_N_ACTIONS]);
{masked}{watched}const float *policy_outputs(void); /* those of the last policy_act */

#ifdef __cplusplus
}}
#endif

#endif
"""


MASKED_HEADER = """\
/* The same where only some actions are allowed: mask[k] is 0 for one that is ruled out, in the order of the outputs. */
void policy_act_masked(const policy_obs obs[POLICY_N_OBS], const uint8_t mask[POLICY_N_OUTPUTS],
                       policy_action action[POLICY_N_ACTIONS]);
"""


def header_text(plan: Plan, about: str, features: FeatureCode, *, masked: bool, monitor: Monitor | None = None) -> str:
    """Return `policy.h`."""
    shape = plan.action_map.shape
    outputs = {"mean": "means", "tanh": "means before tanh"}
    extra = ", then log sigma" if plan.head.extra else ""
    return HEADER.format(
        about=comment(about),
        n_obs=features.n_obs,
        obs_about=features.about,
        n_actions=math.prod(shape),
        n_outputs=plan.head.n_scores + plan.head.extra,
        outputs_about=outputs.get(plan.head.kind, "logits") + extra,
        obs_type=features.obs_type,
        action_type=action_type(plan),
        wiring=wiring_text(plan),
        masked=MASKED_HEADER if masked else "",
        watched=header_lines(monitor),
    )


def action_type(plan: Plan) -> str:
    """Return the C type of an executed action's numbers."""
    return "int32_t" if plan.action_map.kind == "index" else "float"
