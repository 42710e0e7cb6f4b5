"""What a student carries from step to step: how much, which layer keeps it, and what becomes of it. NumPy alone.

In: layers, and a state as callers hand it over. Out: a state `[B, n]`, float32, zeros where an episode begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.student.layers import composed
from policy_distill.student.operations.operation import Layer, Shape, Tensors
from policy_distill.student.operations.table import find_operation

Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Memory:
    """The memory of a student; of one without, nothing."""

    kind: str = ""
    """The operation that keeps it, such as `gru`."""
    size: int = 0
    """Numbers that are carried."""
    place: int | None = None
    """Which layer it is."""

    def record(self) -> dict[str, Any]:
        """Return what the record of a student's architecture says of it: nothing of one without."""
        return {"memory": {"kind": self.kind, "size": self.size}} if self.size else {}

    def begin(self, n: int) -> np.ndarray:
        """Return the states `[n, size]` of episodes that begin."""
        return np.zeros((n, self.size), np.float32)

    def taken_up(self, state: Any, n: int, episode_start: Any = None) -> np.ndarray:
        """Return the states `[n, size]` that `n` episodes go on from: as handed over, zeros where one begins.

        Raises:
            ValueError: for what is no state of so many episodes.
        """
        if state is None:
            return self.begin(n)
        found = np.asarray(state)
        if found.shape != (n, self.size) or found.dtype.kind != "f":
            words = f"shape {found.shape}" if found.dtype.kind == "f" else type(state).__name__
            raise ValueError(
                f"expected a state of shape {(n, self.size)}, as the predict before returned it, or None; found {words}"
            )
        if episode_start is None:
            return found.astype(np.float32)
        return np.where(np.reshape(episode_start, (n, 1)), np.float32(0), found.astype(np.float32))


NO_MEMORY = Memory()


def memory_of(layers: Sequence[Layer], tensors: Tensors, shape: Shape) -> Memory:
    """Return the memory of layers that take features of a shape.

    Raises:
        ValueError: where more than one layer has a memory.
    """
    found = NO_MEMORY
    if not any(find_operation(layer["op"]).state for layer in layers):
        return found
    for place, layer in enumerate(layers):
        operation = find_operation(layer["op"])
        if operation.state is not None:
            if found.place is not None:
                raise ValueError("more than one layer with a memory")
            found = Memory(operation.name, operation.state(layer, tensors, shape), place)
        shape = operation.shape(layer, tensors, shape)
    return found


def compile_step(layers: Sequence[Layer], tensors: Tensors, memory: Memory) -> Step:
    """Return the network of a student with a memory: from features `[B, D]` and a state to outputs and the next state.

    Neither of the states is changed later.
    """
    assert memory.place is not None
    functions = [find_operation(layer["op"]).numpy(layer, tensors) for layer in layers]
    before, behind = composed(functions[: memory.place]), composed(functions[memory.place + 1 :])
    remember = functions[memory.place]

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        y, state = remember(before(x), state)
        # What stands behind may overwrite its input.
        return behind(y.copy() if y is state else y), state

    return step
