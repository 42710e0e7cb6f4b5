"""Contexts: one environment under several constructor arguments and perturbations, some of them held out of training.

In: a YAML file, a grid of values, a sample of ranges, or a list of contexts. Out: `Context`s, each a `Condition` that
says which group it is of. Where an argument is called `perturb`, its value is a perturbation such as `delay:1`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.environments.perturbations.conditions import Condition, parse_conditions
from policy_distill.errors import RequestError
from policy_distill.system.files import read_yaml

MAX_BYTES = 100_000
MOST = 400
"""Contexts at most: each is played by three policies."""
PERTURB = "perturb"
EXAMPLE = "grid: {gravity: [-12, -10, -8]} and seen: {gravity: [-10]}"
FORMS = ("grid", "sample", "contexts")


@dataclass(frozen=True)
class Context:
    """An environment as it may be."""

    values: Mapping[str, Any]
    """Constructor arguments by name, and what perturbs it under `perturb`."""
    seen: bool
    """True where students are trained under it, False where it is held out."""

    @property
    def name(self) -> str:
        """What it is called: its values."""
        return ", ".join(f"{key}={_text(value)}" for key, value in self.values.items())

    @property
    def condition(self) -> Condition:
        """What changes the environment so."""
        parts = self._perturbing()
        kwargs = tuple((key, value) for key, value in self.values.items() if key != PERTURB)
        return Condition(self.name, parts.wrappers if parts else (), (*(parts.env_kwargs if parts else ()), *kwargs))

    @property
    def words(self) -> str:
        """The condition as `--collect-perturb` takes it."""
        said = [f"env:{key}={_text(value)}" for key, value in self.values.items() if key != PERTURB]
        return "+".join([*(() if self._perturbing() is None else (str(self.values[PERTURB]),)), *said])

    def _perturbing(self) -> Condition | None:
        text = self.values.get(PERTURB, "none")
        if text in (None, "none"):
            return None
        found = parse_conditions(str(text))
        if len(found) != 1:
            raise RequestError(f"expected one perturbation in a context, found {text!r}; join several by +")
        return found[0]


def read_contexts(path: str | Path) -> list[Context]:
    """Return the contexts in a YAML file; see `contexts_of`.

    Raises:
        RequestError: in one line, for what cannot be read, and as of `contexts_of`.
    """
    path = Path(path)
    return contexts_of(read_yaml(path, MAX_BYTES, "contexts, a YAML file"), str(path))


def as_contexts(given: Any) -> list[Context]:
    """Return the contexts that a caller hands over: a file's path, a mapping as of `contexts_of`, or `Context`s.

    Raises:
        RequestError: as of `read_contexts`, and for anything else.
    """
    if isinstance(given, str | Path):
        return read_contexts(given)
    if isinstance(given, list | tuple) and all(isinstance(one, Context) for one in given):
        return _checked(list(given), "contexts")
    return contexts_of(given)


def contexts_of(values: Any, where: str = "contexts") -> list[Context]:
    """Return the contexts that plain values describe.

    `grid` has a list of values for each argument, all of which are combined; `sample` a range [low, high] for each,
    from which `n` contexts are drawn by `seed`; `contexts` has two lists of contexts, `seen` and `held_out`. Of the
    first two a context is seen where each argument that `seen` names has one of its values, or lies in its range.

    Raises:
        RequestError: for another form, and for contexts of which none is seen, or none held out.
    """
    if not isinstance(values, dict) or sum(form in values for form in FORMS) != 1:
        raise RequestError(f"{where}: expected a mapping with one of {', '.join(FORMS)}, such as {EXAMPLE}")
    form = next(form for form in FORMS if form in values)
    known = {"grid": ("seen",), "sample": ("seen", "n", "seed"), "contexts": ()}[form]
    if unknown := sorted(map(str, set(values) - {form, *known})):
        beside = ", ".join(known) or "nothing"
        raise RequestError(f"{where}: expected {form} and next to it {beside}, found {unknown[0]}")
    return _checked({"grid": _of_grid, "sample": _of_sample, "contexts": _of_lists}[form](values, where), where)


def _checked(found: list[Context], where: str) -> list[Context]:
    """Return contexts that are not too many, of both groups, each named once, and perturbed by what there is."""
    if len(found) > MOST:
        raise RequestError(f"{where}: expected at most {MOST} contexts, found {len(found)}; name fewer values")
    for what, group in (("seen", [one for one in found if one.seen]), ("held out", [x for x in found if not x.seen])):
        if not group:
            raise RequestError(
                f"{where}: expected contexts that are {what}, found none among {len(found)}; change seen"
            )
    if twice := [name for name, n in Counter(one.name for one in found).items() if n > 1]:
        raise RequestError(f"{where}: expected each context once, found {twice[0]} twice; leave one out")
    for one in found:
        # What perturbs it is read now, and not after the contexts before it.
        _ = one.condition
    return found


def collected_under(contexts: Sequence[Context]) -> str:
    """Return the contexts that are seen as `collect_perturb` takes them.

    Raises:
        RequestError: for a value that has no words there.
    """
    seen = [one for one in contexts if one.seen]
    for one in seen:
        words = one.words
        again = [] if "," in words else parse_conditions(words)
        if len(again) != 1 or again[0].key != one.condition.key:
            raise RequestError(f"expected values that are numbers, words or true and false, found {one.name}")
    return ",".join(one.words for one in seen)


def _of_grid(values: Mapping[str, Any], where: str) -> list[Context]:
    lists = _mapping(values["grid"], f"{where}, grid", list, "a list of values")
    seen = _mapping(values.get("seen"), f"{where}, seen", list, "a list of values")
    _check_names(seen, lists, where)
    n = math.prod(len(one) for one in lists.values())
    if n > MOST:
        raise RequestError(f"{where}: expected at most {MOST} contexts, found {n}; name fewer values")
    found = []
    for chosen in itertools.product(*lists.values()):
        one = dict(zip(lists, chosen, strict=True))
        found.append(Context(one, all(one[name] in of for name, of in seen.items())))
    return found


def _of_sample(values: Mapping[str, Any], where: str) -> list[Context]:
    ranges = _mapping(values["sample"], f"{where}, sample", list, "a range [low, high]")
    seen = _mapping(values.get("seen"), f"{where}, seen", list, "a range [low, high]")
    _check_names(seen, ranges, where)
    for name, one in [*ranges.items(), *seen.items()]:
        if len(one) != 2 or not all(_is_number(end) for end in one) or not one[0] < one[1]:
            raise RequestError(f"{where}: expected a range [low, high] of numbers for {name}, found {one}")
    n, seed = values.get("n", 12), values.get("seed", 0)
    if not (type(n) is int and 2 <= n <= MOST and type(seed) is int and seed >= 0):
        raise RequestError(f"{where}: expected n from 2 to {MOST} and a seed of at least 0, found n={n}, seed={seed}")
    rng = np.random.default_rng(seed)
    # Four digits say what it is, and are what is done.
    drawn = [{name: float(f"{rng.uniform(*ends):.4g}") for name, ends in ranges.items()} for _ in range(n)]
    return [Context(one, all(low <= one[name] <= high for name, (low, high) in seen.items())) for one in drawn]


def _of_lists(values: Mapping[str, Any], where: str) -> list[Context]:
    groups = _mapping(values["contexts"], f"{where}, contexts", list, "a list of contexts")
    if set(groups) != {"seen", "held_out"}:
        raise RequestError(f"{where}: expected contexts with the lists seen and held_out, found {', '.join(groups)}")
    found = []
    for group, members in groups.items():
        for one in members:
            if not (isinstance(one, dict) and one and all(isinstance(key, str) for key in one)):
                raise RequestError(f"{where}, {group}: expected mappings such as {{gravity: -12}}, found {one!r}")
            found.append(Context(one, group == "seen"))
    return found


def _mapping(value: Any, where: str, kind: type[Any], what: str) -> dict[str, Any]:
    """Return a mapping from names to values of one kind, none of them empty."""
    fits = isinstance(value, dict) and value and all(isinstance(key, str) for key in value)
    if not fits or not all(isinstance(one, kind) and one for one in value.values()):
        raise RequestError(f"{where}: expected a mapping from names to {what}, found {str(value)[:100]}")
    return dict(value)


def _check_names(seen: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
    if unknown := [name for name in seen if name not in known]:
        raise RequestError(f"{where}, seen: expected names among {', '.join(known)}, found {unknown[0]}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
