"""How several teachers say one thing, as it is asked for.

In: a text such as `best` or `dispatch:pkg:terrain`, or a function. Out: a `Combination`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.system.foreign import asked
from policy_distill.teachers.combining.chooser import find_function

WORDS = "mixture, mean, best, best:FUNCTION, dispatch:FUNCTION or dispatch:KEY"
"""What may be asked for."""


@dataclass(frozen=True)
class Combination:
    """How several teachers say one thing."""

    kind: str = "all"
    """`mixture` (mean probabilities), `mean` (mean parameters), `best`, `dispatch`, or `all`: a mixture for one choice,
    mean parameters elsewhere."""
    place: str = ""
    """A function as `module:name`, or a key of the observation; empty for none."""
    function: Callable[[Any], Any] | None = None
    """From a batch of raw observations `[B, ...]` to integers `[B]`."""
    named: bool = True
    """True where a command line can say it."""

    @property
    def text(self) -> str:
        """As it is asked for on a command line."""
        return f"{self.kind}:{self.place}" if self.place else self.kind

    @property
    def key(self) -> str:
        """The key of the observation that says which teacher labels; empty for none."""
        return self.place if self.kind == "dispatch" and self.function is None else ""

    @property
    def chooses(self) -> bool:
        """True where one teacher labels each state, and nothing is averaged."""
        return self.kind in ("best", "dispatch")


def combination_of(given: Any) -> Combination:
    """Return the combination that was asked for: None, a text as of `WORDS`, or a function that dispatches.

    Raises:
        RequestError: for another word, or a function that is not there.
    """
    if given is None:
        return Combination()
    if not isinstance(given, str):
        return _of_function(given)
    kind, _, place = given.partition(":")
    takes_place = {"mixture": False, "mean": False, "best": bool(place), "dispatch": True}
    if kind not in takes_place or takes_place[kind] != bool(place):
        raise RequestError(f"expected --combine among {WORDS}, found {given!r}")
    is_function = ":" in place
    if kind == "best" and place and not is_function:
        raise RequestError(
            f"expected --combine best:MODULE:FUNCTION, where the function returns contexts as integers, found {given!r}"
        )
    return Combination(kind, place, find_function(place) if is_function else None)


def _of_function(given: Any) -> Combination:
    if not callable(given):
        raise RequestError(f"expected combine to be {WORDS}, or a function of observations, found {given!r}")
    module, name = asked(given, "__module__"), asked(given, "__qualname__", "")
    named = bool(module) and str(name).isidentifier()
    return Combination("dispatch", f"{module}:{name}" if named else "a function", given, named)
