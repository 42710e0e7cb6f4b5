"""What the files of a run hold, so that everything after it can take them as they are.

In: a file of a run folder. Out: its JSON object with nothing of another form in it, or an error that names the field.
What is missing or null is not an error here: a run may have been stopped, or be of an earlier version.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.system.files import MAX_JSON, read_plain

LARGEST = 1e100
"""Numbers beyond it are no measurements, and their sums would be infinite."""


@dataclass(frozen=True)
class Leaf:
    """A value that is no object."""

    words: str
    """What it is, for the error."""
    fits: Callable[[Any], bool]


def is_number(value: Any) -> bool:
    """Return True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


NUMBER = Leaf("a number", is_number)
NUMBERS = Leaf("a list of numbers", lambda value: isinstance(value, list) and all(map(is_number, value)))
INTERVAL = Leaf(
    "two numbers",
    lambda value: isinstance(value, list) and len(value) == 2 and (value == [None, None] or all(map(is_number, value))),
)
ENDS = Leaf(
    "two numbers, or null for an end that is not known",
    lambda value: isinstance(value, list) and len(value) == 2 and all(x is None or is_number(x) for x in value),
)
TEXT = Leaf("a text", lambda value: isinstance(value, str))

RETURNS = {name: NUMBER for name in ("mean", "std", "iqm", "median", "worst5", "n_params", "n_bytes", "macs")}
POLICY = {**RETURNS, "ci95": INTERVAL, "phases": NUMBERS}
RETENTION = {
    "iqm": NUMBER,
    "ci95": INTERVAL,
    "mean": NUMBER,
    "mean_ci95": ENDS,
    "mean_low": NUMBER,
    "verdict": {
        "outcome": TEXT,
        **{name: NUMBER for name in ("margin", "margin_return", "alpha", "floor", "n_episodes", "n_looks")},
        "beyond": {"episode": NUMBER, "loss": NUMBER},
    },
}
SAMPLED = {**POLICY, "n_episodes": NUMBER, "env_steps": NUMBER, "difference": {"mean": NUMBER, "low": NUMBER}}
FALLS = {who: {name: NUMBER for name in ("n", "n_episodes", "rate", "rate_high")} for who in ("teacher", "student")}
COSTS = {name: NUMBER for name in ("seed", "n_episodes", "agreement", "kl", "env_steps", "wall_seconds")}

CONFIG = {"env_id": TEXT, "env": {}, "student": TEXT, "teacher": {}, "config": {}, "request": {}}
EVALUATION = {
    **COSTS,
    **{name: POLICY for name in ("teacher", "student", "random")},
    "retention": RETENTION,
    "falls": FALLS,
    "teacher_sampled": SAMPLED,
    "selection": {"return": NUMBER, "retention": NUMBER},
    "compression": {"params": NUMBER, "bytes": NUMBER},
    "episodes": {name: NUMBERS for name in ("teacher", "student", "random")},
}
COMPARISON = {"teacher": POLICY, "student": POLICY, "random": POLICY, "retention": RETENTION, "falls": FALLS}


def read_object(path: Path, shape: dict[str, Any]) -> dict[str, Any]:
    """Return a file's JSON object; an empty one where there is no file.

    Raises:
        RequestError: for a file that cannot be read, is not JSON, or holds another form than `shape`.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(read_plain(path, MAX_JSON, path.name))
    except (ValueError, RecursionError):
        raise RequestError(f"{path.name}: expected JSON, found something else") from None
    return dict(checked(value, shape, path.name))


def checked(value: Any, shape: dict[str, Any] | Leaf, where: str) -> Any:
    """Return a value of the form of `shape`: without those of its fields that are null, and with all others.

    Raises:
        RequestError: naming the field that has another form.
    """
    if isinstance(shape, Leaf):
        if not shape.fits(value):
            raise RequestError(f"{where}: expected {shape.words}, found {_brief(value)}")
        return value
    if not isinstance(value, dict):
        raise RequestError(f"{where}: expected an object, found {_brief(value)}")
    given = {name: inner for name, inner in value.items() if inner is not None or name not in shape}
    return {
        name: checked(inner, shape[name], f"{where}, {name}") if name in shape else inner
        for name, inner in given.items()
    }


def _brief(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return kinds.get(type(value)) or json.dumps(value)[:40]
