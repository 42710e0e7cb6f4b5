"""Environments under several conditions side by side: states are collected where they are not as they should be.

In: conditions. Out: `N` environments, the first as it is, the next under the first condition, and so on in turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium

from policy_distill.environments.identity import EnvIdentity
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.perturbations.conditions import UNPERTURBED, Condition, parse_conditions
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import WrapperSpec
from policy_distill.system.blame import blamed


def conditions_for(text: str, n_envs: int) -> list[Condition]:
    """Return the conditions that `n_envs` environments are to collect under, beside none.

    Raises:
        RequestError: as of `parse_conditions`, and for more conditions than there are environments to deal to.
    """
    found = parse_conditions(text)
    if len(found) + 1 > n_envs:
        raise RequestError(
            f"expected an environment for each of the {len(found)} conditions of collect_perturb and one without a "
            f"condition, found n_envs={n_envs}; set --n-envs {len(found) + 1} or more"
        )
    return found


def open_dealt(
    env: Any,
    n_envs: int,
    conditions: Sequence[Condition],
    wrappers: Sequence[WrapperSpec],
    scale: Any,
    identity: EnvIdentity,
) -> EnvironmentList:
    """Return environments of which number i is under condition i mod (K + 1), the first of these being none.

    Args:
        env: a Gymnasium id, an EnvSpec, or a callable that makes one.
        n_envs: environments, more than `K` conditions.
        conditions: the `K` conditions.
        wrappers: what is around each; they see what the condition does.
        scale: the unit of `obs-noise`, as of `Condition.maker`.
        identity: of the environment as it is.

    Raises:
        RequestError: where one of them cannot be made.
    """
    dealt = [UNPERTURBED, *conditions]
    makers = [one.maker(env, wrappers, scale) for one in dealt]

    def make(index: int) -> gymnasium.Env[Any, Any]:
        return makers[index % len(makers)]()

    made: list[gymnasium.Env[Any, Any]] = []
    for index in range(n_envs):
        name = dealt[index % len(dealt)].name
        with blamed(f"the environment cannot be made under {name}", "fix it, or leave the condition out"):
            made.append(make(index))
    return EnvironmentList(made, make=make, identity=identity)
