"""The families by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.categorical import Categorical
from policy_distill.families.deterministic import Deterministic
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.description import Distribution
from policy_distill.system.blame import others_blamed
from policy_distill.system.plugins import FAMILIES as GROUP
from policy_distill.system.plugins import choices, load_plugin, package_of

FAMILIES: dict[str, Callable[..., ActionDistribution]] = {
    Categorical.name: Categorical,
    MultiCategorical.name: MultiCategorical,
    Bernoulli.name: Bernoulli,
    DiagonalGaussian.name: DiagonalGaussian,
    SquashedGaussian.name: SquashedGaussian,
    Deterministic.name: Deterministic,
}


def make_family(name: str, config: Mapping[str, Any]) -> ActionDistribution:
    """Return the family that a student file names: ours, or of an installed package.

    Raises:
        RequestError: for a name that neither this version nor a package knows.
    """
    made = FAMILIES.get(name) or load_plugin(GROUP, name)
    if made is None:
        raise RequestError(
            f"expected a distribution family among {choices(FAMILIES, GROUP)}, found {name!r}; "
            "install the package that defines it, or upgrade"
        )
    with others_blamed(f"the family {name} cannot be made", "fix it, or install the version it is of", RequestError):
        found: ActionDistribution = made(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items()})
    return found


def describe_family(family: ActionDistribution) -> Distribution:
    """Return what `make_family` takes, and the package that it comes from where it is not ours."""
    package = None if family.name in FAMILIES else package_of(GROUP, family.name)
    return Distribution(family.name, family.config(), package)
