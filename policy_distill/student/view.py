"""Which part of an observation a student sees, where that is not all of it. NumPy alone.

In: what an environment shows. Out: the part that a student takes: some keys of a Dict, some components of a vector or
of a key. That part is the student's observation, in its file as in all that is exported; its teacher may see more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperRecord
from policy_distill.student.features import Normalizer
from policy_distill.student.onboard.names import n_components
from policy_distill.student.spaces import SpaceRecord, columns_of

Statistics = Normalizer | dict[str, Normalizer] | None


@dataclass(frozen=True)
class View:
    """What is seen of a described space."""

    whole: SpaceRecord | None = None
    """All that the environment shows; None where all of it is seen."""
    keys: tuple[str, ...] = ()
    """Of a Dict, in the order in which their features stand."""
    components: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Rising, by key, or by "" of a vector; keys that are not here are seen as they are."""
    wrapper: WrapperRecord | None = None
    """What the student has around its environment that its teacher has not: `entry_point` and `kwargs`. What is seen is
    a part of what that shows."""
    labels: tuple[str, ...] = ()
    """What the components of the whole vector are called; empty where nobody says."""

    @property
    def space(self) -> SpaceRecord:
        """The described space of what is seen."""
        assert self.whole is not None, "of a part there is a whole"
        if self.whole["type"] != "Dict":
            return columns_of(self.whole, self.components[""])
        subs = self.whole["spaces"]
        return {**self.whole, "spaces": {key: self._part(key, subs[key]) for key in self.keys}}

    @property
    def size(self) -> int:
        """Components of the whole vector."""
        assert self.whole is not None, "of a part there is a whole"
        return n_components(self.whole) or 0

    @property
    def names(self) -> str:
        """What is seen, as `view_of` and `--observe` name it; empty where that is all."""
        if self.whole is None:
            return ""
        found = [key for key in self.keys if key not in self.components]
        for key, columns in self.components.items():
            found += [f"{key}:{column}" if key else str(column) for column in columns]
        return ",".join(found)

    def narrow(self, obs: Any) -> Any:
        """Return what is seen of observations `[..., n]`, or of a dict of such; what is only that part stays as it is.

        Keys that are not seen are left in: features are made of the others.
        """
        if not self.components:
            return obs
        if isinstance(obs, dict):
            return {key: self._narrowed(key, value) for key, value in obs.items()}
        return self._narrowed("", obs)

    def statistics(self, whole: Statistics) -> Statistics:
        """Return the statistics of what is seen, of those of all there is."""
        if isinstance(whole, dict):
            seen = {key: one for key, one in whole.items() if not self.keys or key in self.keys}
            return {key: self._of(key, one) for key, one in seen.items()}
        return None if whole is None else self._of("", whole)

    def to_json(self) -> dict[str, Any] | None:
        """Return JSON values for a student's record, whose space has the keys; None where all is seen."""
        found: dict[str, Any] = {} if self.wrapper is None else {"wrapper": dict(self.wrapper)}
        if self.whole is not None:
            columns = {key: list(columns) for key, columns in self.components.items()}
            found |= {"space": self.whole, "components": columns, "labels": list(self.labels)}
        return found or None

    def _part(self, key: str, space: SpaceRecord) -> SpaceRecord:
        return columns_of(space, self.components[key]) if key in self.components else space

    def _narrowed(self, key: str, obs: Any) -> Any:
        if key not in self.components:
            return obs
        assert self.whole is not None
        space = self.whole["spaces"][key] if key else self.whole
        try:
            array = np.asarray(obs)
        except ValueError:
            # Lists of unequal lengths: whoever acts says what was expected.
            return obs
        whole = array.ndim > 0 and array.shape[-1] == n_components(space)
        return array[..., list(self.components[key])] if whole else obs

    def _of(self, key: str, one: Normalizer) -> Normalizer:
        if key not in self.components:
            return one
        columns = list(self.components[key])
        return Normalizer(one.mean[columns], one.variance[columns], one.clip, one.epsilon)


ALL = View()
"""Everything."""


def read_view(record: Mapping[str, Any]) -> View:
    """Return what the student with this record sees of what its environment shows; all, where it names nothing.

    Raises:
        KeyError, TypeError: for a record of another form.
    """
    found = record.get("view")
    if found is None:
        return ALL
    seen, wrapper = record["observation_space"], found.get("wrapper")
    if "space" not in found:
        return View(wrapper=wrapper)
    keys = tuple(seen["spaces"]) if seen["type"] == "Dict" else ()
    columns = {key: tuple(columns) for key, columns in found["components"].items()}
    return View(found["space"], keys, columns, wrapper, tuple(found.get("labels", ())))


def view_of(space: SpaceRecord, names: Sequence[str], place: str, labels: Sequence[str] | None = None) -> View:
    """Return the view that names stand for.

    Of a vector these are numbers of components (`0`, `0-3`) or their `labels`; of a described Dict its keys, or some
    components of one (`speed:0`, `speed:0-2`). `place` is what is observed, for errors.

    Raises:
        RequestError: for a name that is not there or comes twice, or a space of which no part can be taken; with those
            there are.
    """
    if not names:
        return ALL
    if space["type"] == "Dict":
        return _of_dict(space, names, place)
    size = n_components(space)
    if size is None:
        raise RequestError(
            f"expected a Dict or a vector to observe {', '.join(names)} of, found a {space['type']} in {place}; "
            "leave it out"
        )
    columns = _columns(names, size, f"the components of {place}", labels or ())
    return ALL if len(columns) == size else View(space, components={"": columns}, labels=tuple(labels or ()))


def _of_dict(space: SpaceRecord, names: Sequence[str], place: str) -> View:
    subs, words = space["spaces"], f"the keys of {place}"
    some: dict[str, list[str]] = {}
    for name in names:
        key, _, component = (name, "", "") if name in subs else name.partition(":")
        if key not in subs:
            raise _unknown(words, list(subs), [one for one in names if one.partition(":")[0] not in subs])
        if key in some and not (component and some[key]):
            raise _twice(words, list(subs), key)
        some.setdefault(key, []).extend([component] if component else [])
    components = {}
    for key, chosen in some.items():
        size = n_components(subs[key])
        if chosen and size is None:
            raise RequestError(
                f"expected a vector to observe {', '.join(chosen)} of, found a {subs[key]['type']} under {key!r} in "
                f"{place}; name only the key"
            )
        columns = _columns(chosen, size or 0, f"the components of {key!r} in {place}", ()) if chosen else ()
        if len(columns) not in (0, size):
            components[key] = columns
    return View(space, tuple(some), components)


def _columns(names: Sequence[str], size: int, words: str, labels: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the components that are named, rising."""
    there = [*labels] if labels else [str(number) for number in range(size)]
    found: list[int] = []
    unknown = []
    for name in names:
        first, dash, last = name.partition("-")
        numbers = [int(one) if one.isascii() and one.isdigit() else -1 for one in (first, last if dash else first)]
        if name in labels:
            chosen = [labels.index(name)]
        elif 0 <= numbers[0] <= numbers[1] < size:
            chosen = list(range(numbers[0], numbers[1] + 1))
        else:
            unknown.append(name)
            continue
        if again := [one for one in chosen if one in found]:
            raise _twice(words, there, there[again[0]])
        found += chosen
    if unknown:
        raise _unknown(words, there, unknown)
    return tuple(sorted(found))


def _there(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 20 else f"{names[0]} to {names[-1]}"


def _unknown(words: str, there: Sequence[str], found: Sequence[str]) -> RequestError:
    return RequestError(
        f"expected observe (or observation_keys) among {words} ({_there(there)}), found {', '.join(found)}"
    )


def _twice(words: str, there: Sequence[str], name: str) -> RequestError:
    return RequestError(f"expected observe to name each of {words} ({_there(there)}) once, found {name} twice")
