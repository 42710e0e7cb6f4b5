"""Which part of an observation a student sees, where that is not all of it. NumPy alone.

In: what an environment's observations are. Out: the part that a student's features are made of: some keys of a Dict, or
some components of a vector. Its teacher may see another part, or all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError


@dataclass(frozen=True)
class View:
    """Keys or components; neither is all there is.

    A student's file holds keys as the space of its observations, and components as its first layer, `select`.
    """

    keys: tuple[str, ...] = ()
    """Of a Dict, in the order in which their features stand."""
    components: tuple[int, ...] = ()
    """Of a vector, rising."""

    def space(self, space: Mapping[str, Any]) -> dict[str, Any]:
        """Return the described space of what is seen: a Dict without the other keys; a vector stays as it is."""
        return {**space, "spaces": {key: space["spaces"][key] for key in self.keys}} if self.keys else dict(space)

    def select(self) -> list[dict[str, Any]]:
        """Return the record of the layer that selects the components, or nothing where all are seen."""
        return [{"op": "select", "columns": list(self.components)}] if self.components else []


ALL = View()
"""Everything."""


def view_of(space: Mapping[str, Any], names: tuple[str, ...], place: str) -> View:
    """Return the view that names stand for: keys of a described Dict space, or numbers of a vector's components.

    `place` is what is observed, for errors.

    Raises:
        RequestError: for a name that is not there, or a space of which no part can be taken; with those there are.
    """
    if not names:
        return ALL
    if space["type"] == "Dict":
        return View(keys=_known(names, list(space["spaces"]), f"the keys of {place}"))
    size = _length(space)
    if size is None:
        raise RequestError(
            f"expected a Dict or a vector to observe {', '.join(names)} of, found a {space['type']} in {place}; "
            "leave it out"
        )
    known = _known(names, [str(number) for number in range(size)], f"the components of {place}")
    components = tuple(sorted({int(name) for name in known}))
    return ALL if len(components) == size else View(components=components)


def _length(space: Mapping[str, Any]) -> int | None:
    """Return the components of a vector of numbers; None for what is none."""
    if space["type"] == "Box":
        return space["shape"][0] if len(space["shape"]) == 1 else None
    return space["n"] if space["type"] == "MultiBinary" and isinstance(space["n"], int) else None


def _known(names: tuple[str, ...], known: list[str], words: str) -> tuple[str, ...]:
    unknown = [name for name in names if name not in known]
    if unknown:
        there = ", ".join(known) if len(known) <= 20 else f"{known[0]} to {known[-1]}"
        raise RequestError(
            f"expected observe (or observation_keys) among {words} ({there}), found {', '.join(unknown)}"
        )
    return tuple(dict.fromkeys(names))
