"""The space of a search: which settings vary, and within which bounds; for Optuna and for Ray Tune alike.

In: what stands under `search:` in a grid. Out: a `SearchSpace`, whose every end is known to be a setting that can be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.run.suite.grid import require_student, students_of
from policy_distill.run.suite.grid_settings import known_keys, settings_of

STUDENT = "student"
"""The one dimension that is no setting of `DistillConfig`."""
USUAL: dict[str, Any] = {
    "learning_rate": {"low": 5e-4, "high": 1e-2, "log": True},
    "n_epochs": [4, 8, 16, 32],
    "batch_size": [64, 128, 256, 512],
    "activation": ["tanh", "relu"],
}
"""Where a grid names no space."""


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Every factor is as likely as any other, in place of every difference."""
    step: float | None = None

    @property
    def is_whole(self) -> bool:
        """True where only whole numbers are meant."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 1))


@dataclass(frozen=True)
class SearchSpace:
    """Dimensions by the names of settings."""

    dimensions: Mapping[str, Between | tuple[Any, ...]]
    """A range, or the values to choose from."""

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Return settings, as a trial of Optuna suggests them; those that it has are suggested again."""
        return {name: _suggested(trial, name, one) for name, one in self.dimensions.items()}

    def for_tune(self) -> dict[str, Any]:
        """Return the space as `ray.tune.Tuner` takes it."""
        from ray import tune

        return {name: _sampled(tune, one) for name, one in self.dimensions.items()}


def space_of(value: Any, where: str = "search", students: tuple[str, ...] = ()) -> SearchSpace:
    """Return the space that a grid describes: `learning_rate: {low: 1e-4, high: 1e-2, log: true}`, `student: [mlp:8]`.

    `value` of None is the usual space, and several `students` are a dimension of any that names none.

    Raises:
        RequestError: naming `where`, the setting, and what was expected.
    """
    values = USUAL if value is None else value
    if not isinstance(values, dict) or not values:
        raise RequestError(
            f"{where}: expected settings such as learning_rate: {{low: 1e-4, high: 1e-2}}, found {value!r}"
        )
    found: dict[str, Between | tuple[Any, ...]] = {}
    for name, one in values.items():
        if name == STUDENT:
            found[STUDENT] = named = students_of(one, f"{where}, {STUDENT}")
            for student in named:
                require_student(student, "tanh", where)
        else:
            found[name] = _range(name, one, where) if isinstance(one, dict) else _choices(name, one, where)
    if len(students) > 1 and STUDENT not in found:
        found[STUDENT] = students
    return SearchSpace(found)


def _range(name: str, value: dict[str, Any], where: str) -> Between:
    known_keys(value, ("low", "high", "log", "step"), f"{where}, {name}")
    if not {"low", "high"} <= set(value):
        raise RequestError(f"{where}, {name}: expected low and high, found {', '.join(value) or 'neither'}")
    log, step = value.get("log", False), value.get("step")
    low, high = (_setting(name, value[end], where) for end in ("low", "high"))
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high, step or 1))
    if not (numbers and low < high and isinstance(log, bool) and not (log and (step is not None or low <= 0))):
        raise RequestError(
            f"{where}, {name}: expected numbers low < high, with a step or log: true (above 0), found {value!r}"
        )
    return Between(low, high, log, step)


def _choices(name: str, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value:
        raise RequestError(f"{where}, {name}: expected a list to choose from, or {{low, high}}, found {value!r}")
    found = tuple(_setting(name, one, where) for one in value)
    if not all(isinstance(one, str | int | float | bool) for one in found):
        raise RequestError(
            f"{where}, {name}: expected numbers, words or true and false to choose from, found {value!r}"
        )
    return found


def _setting(name: Any, value: Any, where: str) -> Any:
    """Return one value of a setting, as a distillation takes it."""
    return settings_of({name: value}, DistillConfig, {}, where)[name]


def _suggested(trial: Any, name: str, one: Between | tuple[Any, ...]) -> Any:
    if isinstance(one, tuple):
        return trial.suggest_categorical(name, one)
    if one.is_whole:
        return trial.suggest_int(name, one.low, one.high, step=int(one.step or 1), log=one.log)
    return trial.suggest_float(name, one.low, one.high, step=one.step, log=one.log)


def _sampled(tune: Any, one: Between | tuple[Any, ...]) -> Any:
    if isinstance(one, tuple):
        return tune.choice(list(one))
    # Their upper end is left out for whole numbers, and is not for others.
    high = one.high + 1 if one.is_whole else one.high
    if one.log:
        return (tune.lograndint if one.is_whole else tune.loguniform)(one.low, high)
    if one.step is not None:
        return (tune.qrandint if one.is_whole else tune.quniform)(one.low, one.high, one.step)
    return (tune.randint if one.is_whole else tune.uniform)(one.low, high)
