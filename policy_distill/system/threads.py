"""How many threads torch and BLAS use: one for small networks, all of them for images and wide networks.

To wake a second thread costs more than a layer of 256 units takes on a handful of observations, and where the other
core is busy, a hundred times as much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gymnasium import spaces
from threadpoolctl import threadpool_limits

from policy_distill.interfaces.policies import Policy

WIDE = 500_000
"""Parameters from which a network is worth several threads."""


@contextmanager
def threads_for(*policies: Policy, n_params: int = 0) -> Iterator[None]:
    """Use one thread within, unless one of `policies` sees images or is wide: then leave things as they are.

    `n_params` is the size of a network that takes part and is not there yet.
    """
    if n_params >= WIDE or not all(is_small(policy) for policy in policies):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        torch.set_num_threads(before)


def is_small(policy: Policy) -> bool:
    """Say whether a policy's actions are computed quickest by one thread."""
    return policy.n_params < WIDE and not _has_planes(policy.observation_space)


def _has_planes(space: Any) -> bool:
    """Say whether a space has three dimensions or more, of pixels or not: what convolutions are worth threads for."""
    if isinstance(space, spaces.Dict):
        return any(_has_planes(sub) for sub in space.spaces.values())
    return space is not None and len(space.shape or ()) >= 3
