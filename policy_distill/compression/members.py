"""Who takes part: for each network the starts and activations that stand for it.

In: networks. Out: the members of a population, one student each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from policy_distill.networks.table import TREES
from policy_distill.system.records import COUNT, FLAG, TEXT, part

NARROW = 16
"""Units up to which a layer is cheaper within a common product than by itself."""

LOTTERY = 6
"""Below so many units the start decides which minimum is found, so several are tried."""

RESTARTS = 8
"""Starts of each activation there."""

FEW = 2
"""Starts of each activation for networks up to `NARROW`."""

ACTIVATIONS = ("tanh", "relu")


@dataclass(frozen=True)
class Gone:
    """A network that is out, or a start of one."""

    spec: str = part(TEXT, needed=True)
    env_steps: int = part(COUNT, needed=True)
    """Steps of the stream at that time."""
    why: str = part(TEXT, needed=True)
    start: bool | None = part(FLAG, left_out=True)
    """True where one start diverged, which is not all of its network."""


@dataclass(frozen=True)
class Member:
    """One student of a candidate."""

    spec: str
    """Its network."""
    activation: str
    """Between its layers."""
    restart: int
    """Which start, from 0."""


def members_for(specs: Iterable[str]) -> list[Member]:
    """Return the members that stand for each network: both activations, and several starts of narrow ones."""
    found = []
    for spec in specs:
        if spec.partition(":")[0] in TREES:
            # A tree has no start: of the same states it is the same.
            found.append(Member(spec, ACTIVATIONS[0], 0))
            continue
        hidden = bool(widths_of(spec))
        n = RESTARTS if is_lottery(spec) else FEW if hidden and max(widths_of(spec)) <= NARROW else 1
        found += [Member(spec, activation, k) for k in range(n) for activation in ACTIVATIONS[: 1 + hidden]]
    return found


def is_lottery(spec: str) -> bool:
    """Say whether a network is so narrow that its start decides which minimum is found."""
    return spec.startswith("mlp") and min(widths_of(spec)) < LOTTERY


def widths_of(spec: str) -> tuple[int, ...]:
    """Return the units of each hidden layer, the channels of each convolution, the units or steps that remember."""
    # What stands before a plus, as of gru:16+mlp:16; a letter of history:4a is none of it.
    _, _, sizes = spec.partition("+")[0].partition(":")
    return tuple(int(size) for size in re.findall(r"\d+", sizes))
