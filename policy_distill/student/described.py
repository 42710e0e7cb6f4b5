"""What a student says of itself as a policy, read from its record; see the contract `Policy`. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_distill.student.plan import Plan
from policy_distill.student.record import CriticRecord, StudentRecord
from policy_distill.student.spaces import make_space
from policy_distill.student.view import View

if TYPE_CHECKING:
    from gymnasium import Space


class Described:
    """Base of the student: its spaces, its size, and what its environment is to be like."""

    tensors: dict[str, np.ndarray]
    """The parameters, by name."""
    metadata: dict[str, Any]
    """The file's JSON record: architecture, spaces, normalisation, provenance, retention."""
    plan: Plan
    """What it computes, as exporters read it."""
    normalizer: Any
    """The observation statistics applied inside; None where there are none."""
    record: StudentRecord
    """What it is, as its file holds it."""

    critic: CriticRecord | None = None
    """What its teacher held states to be worth, where it was distilled with values; it does not act."""

    takes_raw = True

    @property
    def view(self) -> View:
        """What it sees of what its environment shows; its observation space is that part."""
        return self.record.view

    @property
    def takes_action_masks(self) -> bool:
        """True where its environment rules out actions, and the teacher was told of it."""
        return self.record.takes_action_masks

    @property
    def samples(self) -> bool:
        """True where it has a distribution to sample from."""
        return self.plan.samples

    @property
    def env_wrappers(self) -> list[dict[str, Any]]:
        """Wrappers that its environment needs, innermost first."""
        return list(self.metadata["provenance"].get("env_wrappers", []))

    @property
    def own_wrappers(self) -> list[dict[str, Any]]:
        """The wrapper through which it alone sees its environment, around those that this needs."""
        wrapper = self.view.wrapper
        return [] if wrapper is None else [{**wrapper, "name": wrapper["entry_point"].rpartition(":")[2]}]

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Nothing: the record has the whole identity of its environment (`environments/choice.recorded_in`)."""
        return {}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from, as JSON values: its teacher, environment, settings and versions."""
        provenance: Mapping[str, Any] = self.metadata["provenance"]
        return provenance

    @property
    def n_params(self) -> int:
        """Parameters, log σ included."""
        return int(self.metadata["architecture"]["n_params"])

    @cached_property
    def observation_space(self) -> Space[Any]:
        """The Gymnasium space of raw observations."""
        return make_space(self.metadata["observation_space"])

    @cached_property
    def action_space(self) -> Space[Any]:
        """The Gymnasium space of executed actions."""
        return make_space(self.metadata["action_space"])

    def again(self, index: int) -> None:
        """Draw nothing again: one generator serves all environments."""
