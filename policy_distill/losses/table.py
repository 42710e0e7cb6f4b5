"""The losses by name."""

from __future__ import annotations

import difflib

from policy_distill.errors import RequestError
from policy_distill.interfaces import ActionDistribution, Loss
from policy_distill.losses.kl import forward_kl, reverse_kl

LOSSES: dict[str, Loss] = {"forward_kl": forward_kl, "reverse_kl": reverse_kl}


def make_loss(name: str) -> Loss:
    """Return the loss of that name.

    Raises:
        RequestError: for an unknown one, with the nearest.
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise RequestError(f"expected a loss among auto, {', '.join(LOSSES)}, found {name!r}{hint}")
    return LOSSES[name]


def choose_loss(name: str, family: ActionDistribution) -> Loss:
    """Return the loss that `name` (or `auto`) means for a family.

    Raises:
        RequestError: for an unknown name, or a loss that has no closed form for the family.
    """
    return make_loss(default_loss(family) if name == "auto" else name)


def default_loss(family: ActionDistribution) -> str:
    """Return the loss that fits a family best."""
    return "forward_kl"
