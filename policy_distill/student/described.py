"""What a student says of itself as a policy, read from its record; see the contract `Policy`. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.student.description import Description
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.student.onboard.wiring import Wiring
from policy_distill.student.plan import Plan
from policy_distill.student.record import CriticRecord, StudentRecord
from policy_distill.student.spaces import make_space
from policy_distill.student.view import View

if TYPE_CHECKING:
    from gymnasium import Space

    from policy_distill.student.runtime import Student


class Described:
    """Base of the student: its spaces, its size, and what its environment is to be like."""

    record: StudentRecord
    """What it is, as its file holds it."""
    tensors: dict[str, np.ndarray]
    """The parameters, by name."""
    plan: Plan
    """What it computes, as exporters read it."""
    normalizer: Any
    """The observation statistics applied inside; None where there are none."""

    critic: CriticRecord | None = None
    """What its teacher held states to be worth, where it was distilled with values; it does not act."""

    takes_raw = True

    @property
    def description(self) -> Description:
        """What its file says of it: architecture, spaces, normalisation, provenance, retention."""
        return self.record.description

    @property
    def metadata(self) -> dict[str, Any]:
        """The same as a JSON object, as it stands in the file."""
        return self.record.metadata

    @property
    def view(self) -> View:
        """What it sees of what its environment shows; its observation space is that part."""
        return self.record.view

    @property
    def wiring(self) -> Wiring:
        """What its numbers are called, and how often it acts."""
        return self.description.wiring

    def name_action(self, action: Any) -> Any:
        """Return an executed action by name: the name of a choice, else a dict of numbers by name.

        Raises:
            RequestError: for a student without action names.
            ValueError: for what is no action of its space.
        """
        space = self.description.action_space
        return self.wiring.name_action(action, space["start"] if space["type"] == "Discrete" else None)

    @property
    def takes_action_masks(self) -> bool:
        """True where its environment rules out actions, and the teacher was told of it."""
        return self.record.takes_action_masks

    def task(self, name: str) -> Student:
        """Return the student of one task: of a file with that alone itself, by the id of its environment.

        Raises:
            RequestError: for another task.
        """
        if name != self.origin.env_id:
            raise RequestError(f"expected the one task {self.origin.env_id}, found {name!r}; leave the task out")
        return cast("Student", self)

    @property
    def samples(self) -> bool:
        """True where it has a distribution to sample from."""
        return self.plan.samples

    @property
    def env_wrappers(self) -> list[WrapperSpec]:
        """Wrappers that its environment needs, innermost first."""
        return list(self.origin.env_wrappers or [])

    @property
    def own_wrappers(self) -> list[WrapperSpec]:
        """The wrapper through which it alone sees its environment, around those that this needs."""
        wrapper = self.view.wrapper
        name = "" if wrapper is None else wrapper["entry_point"].rpartition(":")[2]
        return [] if wrapper is None else [{**wrapper, "name": name}]

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Nothing: the record has the whole identity of its environment (`environments/choice.recorded_in`)."""
        return {}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from, as JSON values: its teacher, environment, settings and versions."""
        return self.description.provenance

    @property
    def origin(self) -> StudentProvenance:
        """Where it comes from: its `provenance`, read."""
        return StudentProvenance.of(self.description.provenance)

    @property
    def n_params(self) -> int:
        """Parameters, log σ included."""
        return self.description.architecture.sizes.n_params

    @cached_property
    def observation_space(self) -> Space[Any]:
        """The Gymnasium space of raw observations."""
        return make_space(self.description.observation_space)

    @cached_property
    def action_space(self) -> Space[Any]:
        """The Gymnasium space of executed actions."""
        return make_space(self.description.action_space)

    def again(self, index: int) -> None:
        """Draw nothing again: one generator serves all environments."""
