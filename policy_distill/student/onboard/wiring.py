"""What the numbers of a student are called where it is built in, and how often it acts. NumPy alone.

In: names that a user gave, or a file's record. Out: a `Wiring`, which makes a vector of named numbers: a permuted
observation is the commonest fault of a deployed policy, and nobody notices it but by what the robot does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.onboard.identifiers import identifiers
from policy_distill.student.onboard.names import LONGEST, check_names
from policy_distill.student.spaces import SpaceRecord
from policy_distill.student.view import View
from policy_distill.system.wording import digits

FASTEST = 1e6
"""Actions a second, at most."""
MOST = 8
"""Names in an error."""
GIVE = "set names with policy-distill equip"


@dataclass(frozen=True)
class Wiring:
    """Names of what a student takes and gives, and its rate; nothing where nobody said them."""

    observations: tuple[str, ...] = ()
    """One for each component of the vector that it takes."""
    actions: tuple[str, ...] = ()
    """One for each option of a Discrete action, else for each number of an action, the last dimension quickest."""
    control_hz: float | None = None
    """Actions a second that it was made for."""
    unseen: tuple[str, ...] = ()
    """What its environment shows besides, and an observation by name may have too."""

    def to_json(self) -> dict[str, Any] | None:
        """Return JSON values for a student's record; None where there is nothing to say."""
        if self == NOTHING:
            return None
        parts = {"observations": self.observations, "actions": self.actions, "unseen": self.unseen}
        return {**{key: list(names) for key, names in parts.items()}, "control_hz": self.control_hz}

    def vector(self, obs: Mapping[str, Any]) -> np.ndarray:
        """Return the vector, float64 `[n]`, of numbers by name, in whatever order they come.

        Raises:
            ValueError: for a name that is missing or that there is not, or what is no number.
        """
        if len(obs) != len(self.observations) or not all(name in obs for name in self.observations):
            self._check(obs)
        try:
            values = np.array([obs[name] for name in self.observations])
        except ValueError:
            # Lists of unequal lengths among them.
            values = np.empty(0)
        if values.shape != (len(self.observations),) or values.dtype.kind not in "biuf":
            odd = next((name for name in self.observations if not _is_number(obs[name])), self.observations[0])
            raise ValueError(f"expected one number for each name, found {type(obs[odd]).__name__} for {odd}") from None
        # In double: a float would be rounded twice where the policy takes doubles.
        return values.astype(np.float64)

    def _check(self, obs: Mapping[str, Any]) -> None:
        missing = [name for name in self.observations if name not in obs]
        extra = [str(name) for name in obs if name not in self.observations and name not in self.unseen]
        if not missing and not extra:
            return
        found = [f"none for {_listed(missing)}"] if missing else []
        found += [f"the unknown {_listed(extra)}"] if extra else []
        raise ValueError(
            f"expected an observation by name with {_listed(self.observations)}, found {' and '.join(found)}"
        ) from None

    def elsewhere(self, observations: Sequence[str] | None, *, same_actions: bool) -> Wiring:
        """Return what stays of it in another task: its own names, or other ones of observations where there are any."""
        kept = self if observations is None else replace(self, observations=tuple(observations), unseen=())
        return kept if same_actions else replace(kept, actions=())

    def name_action(self, action: Any, start: int | None) -> Any:
        """Return an executed action by name: the name of a choice whose first is `start`, else numbers by name.

        Raises:
            RequestError: without action names.
            ValueError: for what is no action.
        """
        if not self.actions:
            raise RequestError(f"expected a student with action names, found one without; {GIVE}")
        if start is not None:
            if not 0 <= int(action) - start < len(self.actions):
                # A negative index would name another action.
                most = start + len(self.actions) - 1
                raise ValueError(f"expected an action from {start} to {most}, found {action}")
            return self.actions[int(action) - start]
        if np.size(action) != len(self.actions):
            raise ValueError(f"expected an action of {len(self.actions)} numbers, found {np.size(action)}")
        return dict(zip(self.actions, np.ravel(action).tolist(), strict=True))


NOTHING = Wiring()
"""Of a student of which nothing was said."""


def action_size(space: SpaceRecord) -> int:
    """Return how many names the actions of a described space have."""
    if space["type"] == "Discrete":
        return int(space["n"])
    if space["type"] == "MultiDiscrete":
        return int(np.size(space["nvec"]))
    return math.prod(space["shape"] if space["type"] == "Box" else np.atleast_1d(space["n"]).tolist())


def check_wiring(wiring: Wiring, space: SpaceRecord, action_space: SpaceRecord, place: str) -> Wiring:
    """Return a wiring that fits a student's spaces; `place` is whose they are, for errors.

    Raises:
        RequestError: for names of another number, twice, or that C could not tell apart, or a rate that is none.
    """
    if wiring.observations:
        check_names(wiring.observations, space, f"what {place} observes")
        identifiers(wiring.observations, "observation names")
    if wiring.actions:
        _check_actions(wiring.actions, action_size(action_space), place)
    hz = wiring.control_hz
    if hz is not None and not 0 < hz <= FASTEST:
        raise RequestError(f"expected a control rate above 0 and of at most {FASTEST:,.0f} Hz, found {digits(hz)}")
    return wiring


def _check_actions(names: Sequence[str], size: int, place: str) -> None:
    if len(names) != size:
        raise RequestError(
            f"expected {size} action names, one for each of {place}'s, found {len(names)} ({', '.join(names)[:80]})"
        )
    for name in names:
        if not name or len(name) > LONGEST or not name.isprintable() or names.count(name) > 1 or name.isdigit():
            raise RequestError(
                f"expected printable, different action names of at most {LONGEST} letters that are not numbers, found "
                f"{name[:LONGEST]!r}"
            )
    identifiers(names, "action names")


def read_wiring(record: Mapping[str, Any], space: SpaceRecord, action_space: SpaceRecord) -> Wiring:
    """Return what a file's record says; nothing where it says nothing.

    Raises:
        KeyError, TypeError, ValueError: for a record of another form.
    """
    found = record.get("wiring")
    if found is None:
        return NOTHING
    parts = {key: found[key] for key in ("observations", "actions", "unseen")}
    hz = found["control_hz"]
    if not all(isinstance(names, list) and all(isinstance(one, str) for one in names) for names in parts.values()):
        raise ValueError("names that are not text")
    if hz is not None and (isinstance(hz, bool) or not isinstance(hz, int | float)):
        raise ValueError("a control rate that is not a number")
    told = Wiring(**{key: tuple(names) for key, names in parts.items()}, control_hz=hz)
    return check_wiring(told, space, action_space, "the student")


def wiring_of(
    view: View, labels: Sequence[str] | None, actions: Sequence[str] | None, control_hz: float | None
) -> Wiring:
    """Return the wiring of who sees a view of a vector with `labels`."""
    labels = tuple(labels or ())
    seen = labels
    if labels and "" in view.components:
        seen = tuple(labels[column] for column in view.components[""])
    unseen = tuple(name for name in labels if name not in seen)
    return Wiring(seen, tuple(actions or ()), control_hz, unseen)


def _is_number(value: Any) -> bool:
    return np.isscalar(value) and np.asarray(value).dtype.kind in "biuf"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(name[:LONGEST] for name in names[:MOST]) + more
