"""What the numbers of an exported policy are called, in its header: enumerations, and the rate that it is made for.

In: a `Plan`. Out: C99 text, empty where nobody gave names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy_distill.exporters.c99.parts import comment
from policy_distill.student.onboard.identifiers import identifiers
from policy_distill.student.plan import Plan


def wiring_text(plan: Plan) -> str:
    """Return what `policy.h` says of names and rate."""
    wiring, found = plan.wiring, []
    if wiring.control_hz is not None:
        found.append(f"#define POLICY_CONTROL_HZ {float(wiring.control_hz)!r} /* calls of policy_act a second */\n")
    if wiring.observations:
        found.append(
            "/* Where each number of an observation stands. */\n"
            + _enumeration("policy_observation", "POLICY_OBS", wiring.observations, "observation names", 0)
        )
    if wiring.actions:
        first = int(np.ravel(plan.action_map.start)[0]) if plan.is_choice else 0
        about = "What action[0] may be." if plan.is_choice else "Where each number of an action stands."
        kind = "policy_choice" if plan.is_choice else "policy_action_part"
        found.append(f"/* {about} */\n" + _enumeration(kind, "POLICY_ACTION", wiring.actions, "action names", first))
    return "\n".join(["", *found]) if found else ""


def _enumeration(kind: str, prefix: str, names: Sequence[str], words: str, first: int) -> str:
    lines = [
        f"    {prefix}_{identifier} = {first + place}{',' if place < len(names) - 1 else ''} /* {comment(name)} */"
        for place, (identifier, name) in enumerate(zip(identifiers(names, words), names, strict=True))
    ]
    return "\n".join([f"enum {kind} {{", *lines, "};\n"])
