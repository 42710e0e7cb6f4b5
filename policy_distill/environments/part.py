"""Some of many environments: those with numbers from one on, as a worker has them.

In: what makes environment i. Out: `Environments` whose faults are told by the numbers among all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.restarts import Restarts

MakeEnv = Callable[[int], gymnasium.Env[Any, Any]]


def open_part(make: MakeEnv, first: int, n_envs: int, restarts: Restarts) -> EnvironmentList:
    """Return environments `first` to `first + n_envs - 1`."""
    made = [make(first + index) for index in range(n_envs)]
    part = EnvironmentList(made, make=lambda index: make(first + index), restarts=restarts)
    part.faults.first = first
    return part
