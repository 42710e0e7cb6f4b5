"""How a teacher is trained: the algorithm, its settings, and how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Settings that reach a good return, where they are named from the RL Zoo's published hyperparameters."""

    timesteps: int
    """Environment steps at most."""
    algo: str = "ppo"
    """An algorithm of Stable-Baselines3."""
    n_envs: int = 8
    """Environments side by side."""
    normalize: bool = False
    """Normalise observations and rewards."""
    net_arch: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers: large on purpose, since it is the student that will be small."""
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the algorithm."""
    own_classes: bool = False
    """Its network is made of classes that SB3 does not ship, as of `envs`: whoever loads its file has to trust it."""
