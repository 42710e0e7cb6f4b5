"""Variants of MuJoCo's bodies: what is heavier, lighter or slippery about them.

In: the id of an environment. Out: ids of the same task under other physics.
"""

from __future__ import annotations

from typing import Any

from envs.variants import Change, register_variant


def body_variants(base_id: str) -> tuple[str, ...]:
    """Register a MuJoCo task with a heavier body, with less gravity and on slippery ground; return their ids."""
    name, _, version = base_id.rpartition("-")
    changes = {
        "Heavy": scale_model(body_mass=1.2),
        "LowGravity": scale_model(gravity=0.8),
        "Slippery": scale_model(geom_friction=0.6),
    }
    return tuple(register_variant(f"{name}{word}-{version}", base_id, change) for word, change in changes.items())


def scale_model(**factors: float) -> Change:
    """Return the change that multiplies arrays of a MuJoCo model, such as `body_mass=1.2`."""

    def change(env: Any) -> None:
        for name, factor in factors.items():
            part = env.model.opt if name == "gravity" else env.model
            getattr(part, name)[:] *= factor

    return change
