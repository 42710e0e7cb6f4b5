"""Whether a policy is to be told which actions are allowed."""

from __future__ import annotations

import inspect
from typing import Any


def takes_masks(policy: Any) -> bool:
    """Say whether a policy takes action masks: by its own word, else by the arguments of its `predict`.

    One that does not say is not taken for one that does not: sb3-contrib's MaskablePPO as it is says nothing either.
    """
    told = getattr(policy, "takes_action_masks", None)
    return "action_masks" in inspect.signature(policy.predict).parameters if told is None else bool(told)
