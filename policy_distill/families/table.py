"""The families by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.categorical import Categorical
from policy_distill.families.deterministic import Deterministic
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.interfaces.students import ActionDistribution

FAMILIES: dict[str, Callable[..., ActionDistribution]] = {
    Categorical.name: Categorical,
    MultiCategorical.name: MultiCategorical,
    Bernoulli.name: Bernoulli,
    DiagonalGaussian.name: DiagonalGaussian,
    SquashedGaussian.name: SquashedGaussian,
    Deterministic.name: Deterministic,
}


def make_family(name: str, config: dict[str, Any]) -> ActionDistribution:
    """Return the family that a student file names.

    Raises:
        RequestError: for a name that this version does not know.
    """
    if name not in FAMILIES:
        raise RequestError(f"expected a distribution family among {', '.join(FAMILIES)}, found {name!r}; upgrade")
    return FAMILIES[name](**{key: tuple(value) if isinstance(value, list) else value for key, value in config.items()})
