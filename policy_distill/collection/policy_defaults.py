"""What a policy says of itself where it has nothing else to say: the defaults of the contract `Policy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from policy_distill.interfaces.policies import WrapperSpec

NOTHING: Mapping[str, Any] = MappingProxyType({})


def with_masks(action_masks: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return action masks as an argument of `predict`, where there are any: not everybody knows the word."""
    return {} if action_masks is None else {"action_masks": action_masks}


class PolicyDefaults:
    """Base of policies, except for students, who are there without what collects; see `Policy` for what each means."""

    observation_space: Any = None
    action_space: Any = None
    n_params = 0
    takes_action_masks = False
    takes_raw = False
    samples = False
    env_wrappers: Sequence[WrapperSpec] = ()
    own_wrappers: Sequence[WrapperSpec] = ()
    env_kwargs: Mapping[str, Any] = NOTHING
    provenance: Mapping[str, Any] = NOTHING
    metadata: Mapping[str, Any] = NOTHING

    def again(self, index: int) -> None:
        """Draw nothing again: it draws nothing, or from where nobody reaches."""
