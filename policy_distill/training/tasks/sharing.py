"""Which arrays of several students are one and the same, and where each lies in one flat vector.

In: a network such as `shared:64,64+mlp:16`, and for each task the shapes of its student's own arrays. Out: for each
task the places of its arrays among the stored ones.

    first layer    one for each observation space (`own`), or one for all over inputs padded with zeros (`padded`);
                   its bias is the task's own: a one-hot input times its column is no more than that
    shared layers  one for all tasks
    other layers   the task's own, as are the head and log σ
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from policy_distill.errors import RequestError

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a student's arrays, by their names."""
FORM = "mlp:64,64 (a shared body, a head for each task) or shared:64,64+mlp:16 (then a layer of 16 for each task)"


@dataclass(frozen=True)
class BodySpec:
    """A network whose first layers are shared."""

    n_shared: int
    """Hidden layers that all tasks share, the first among them."""
    single: str
    """What the student of one task is, such as `mlp:64,64,16`."""

    @classmethod
    def of(cls, network: str) -> BodySpec:
        """Read a specification.

        Raises:
            RequestError: for one without hidden layers to share.
        """
        kind, _, rest = network.partition(":")
        body, plus, own = rest.partition("+")
        if kind == "mlp" and body and not plus:
            return cls(body.count(",") + 1, network)
        if kind == "shared" and body and own.startswith("mlp:") == bool(plus):
            behind = f",{own.removeprefix('mlp:')}" if plus else ""
            return cls(body.count(",") + 1, f"mlp:{body}{behind}")
        raise RequestError(f"expected a student of several tasks such as {FORM}, found {network!r}")


@dataclass(frozen=True)
class Sharing:
    """Where the arrays of each task's student are stored."""

    shapes: dict[str, tuple[int, ...]]
    """Of the stored arrays, by their names."""
    places: dict[str, dict[str, tuple[str, int | None]]]
    """By task and by the name of its array: the stored one, and how many of its first columns; None for all."""

    @property
    def size(self) -> int:
        """Numbers in all stored arrays."""
        return sum(map(prod, self.shapes.values()))

    @property
    def n_common(self) -> int:
        """Numbers in those that several tasks have."""
        users = [stored for own in self.places.values() for stored in {name for name, _ in own.values()}]
        return sum(prod(shape) for name, shape in self.shapes.items() if users.count(name) > 1)

    def arrays(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Return views of a flat vector `[size]`, by the names of the stored arrays."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            found[name] = flat[start : start + prod(shape)].reshape(shape)
            start += prod(shape)
        return found

    def of_task(self, task: str, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Return views of a flat vector by the names of one task's own arrays."""
        stored = self.arrays(flat)
        return {
            own: stored[name] if columns is None else stored[name][:, :columns]
            for own, (name, columns) in self.places[task].items()
        }


def share(
    shapes: Mapping[str, Shapes], spaces: Sequence[int], n_shared: int, *, padded: bool = False, blind: bool = False
) -> Sharing:
    """Return how tasks share arrays.

    Args:
        shapes: for each task those of its student: `network.0.weight`, `network.0.bias`, ..., maybe `log_std`.
        spaces: for each task a number, the same for those of the same observation space.
        n_shared: hidden layers that all share.
        padded: one first layer for all, over inputs with zeros behind them.
        blind: all tasks have the same arrays, whatever is said above.
    """
    places: dict[str, dict[str, tuple[str, int | None]]] = {}
    stored: dict[str, tuple[int, ...]] = {}
    widest = max(own["network.0.weight"][1] for own in shapes.values())
    for (task, own), space in zip(shapes.items(), spaces, strict=True):
        places[task] = {}
        for name, shape in own.items():
            at = name if blind else _stored(name, task, n_shared, "all" if padded else str(space))
            whole, columns = shape, None
            if name == "network.0.weight" and padded and shape[1] < widest:
                whole, columns = (shape[0], widest), shape[1]
            places[task][name] = (at, columns)
            stored.setdefault(at, whole)
    return Sharing(stored, places)


def _stored(name: str, task: str, n_shared: int, inputs: str) -> str:
    """Return the name under which an array is stored."""
    if name == "network.0.weight":
        return f"inputs.{inputs}.weight"
    # Layers stand at every other place of a network, activations between them.
    number = int(name.split(".")[1]) // 2 if name.startswith("network.") else n_shared
    return f"body.{name}" if 0 < number < n_shared else f"tasks.{task}.{name}"
