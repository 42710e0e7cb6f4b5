"""What a student carries from step to step: how much, which layers keep it, and what becomes of it. NumPy alone.

In: layers, and a state as callers hand it over. Out: a state `[B, n]`, float32, zeros where an episode begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.student.operations.operation import Layer, Shape, Tensors
from policy_distill.student.operations.table import find_operation

Step = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Remembered:
    """What one layer remembers."""

    kind: str
    """The layer's operation."""
    place: int
    """Which layer it is."""
    start: int
    """Where its numbers begin in the state."""
    size: int
    """How many they are."""


@dataclass(frozen=True)
class Memory:
    """The memory of a student: its layers' states side by side; of one without, nothing."""

    parts: tuple[Remembered, ...] = ()
    awaited: slice | None = None
    """Where the action of a step is written into the state that follows it; None where actions are not remembered."""

    @cached_property
    def size(self) -> int:
        """Numbers that are carried from step to step."""
        return sum(part.size for part in self.parts)

    @cached_property
    def starts(self) -> dict[int, int]:
        """Where the numbers of a layer begin, by its place."""
        return {part.place: part.start for part in self.parts}

    def record(self) -> dict[str, Any] | None:
        """Return what a student's architecture says of it, as JSON values; None of one without."""
        parts = [{"kind": part.kind, "size": part.size} for part in self.parts]
        return {"size": self.size, "parts": parts} if parts else None

    def begin(self, n: int) -> np.ndarray:
        """Return the states `[n, size]` of episodes that begin."""
        return np.zeros((n, self.size), np.float32)

    def taken_up(self, state: Any, n: int, episode_start: Any = None) -> np.ndarray:
        """Return the states `[n, size]` that `n` episodes go on from: as handed over, zeros where one begins.

        Raises:
            ValueError: for what is no state of so many episodes, or says of other ones where they begin.
        """
        if state is None:
            return self.begin(n)
        found = np.asarray(state)
        if found.shape != (n, self.size) or found.dtype.kind != "f":
            words = f"shape {found.shape}" if found.dtype.kind == "f" else type(state).__name__
            raise ValueError(
                f"expected a state of shape {(n, self.size)}, as the last predict returned it, or None; found {words}"
            )
        if episode_start is None:
            return found.astype(np.float32)
        begins = np.asarray(episode_start)
        if begins.size != n or begins.dtype.kind not in "biuf":
            raise ValueError(
                f"expected an episode_start of shape {(n,)}, True where an episode begins, found shape {begins.shape} "
                f"of {begins.dtype}"
            )
        return np.where(begins.reshape(n, 1), np.float32(0), found.astype(np.float32))


def memory_of(layers: Sequence[Layer], tensors: Tensors, shape: Shape) -> Memory:
    """Return the memory of layers that take features of a shape.

    Raises:
        ValueError: where more than one of them remembers actions.
    """
    if not any(find_operation(layer["op"]).state for layer in layers):
        return Memory()
    parts: list[Remembered] = []
    start, awaited = 0, None
    for place, layer in enumerate(layers):
        operation = find_operation(layer["op"])
        if operation.state is not None:
            parts.append(Remembered(operation.name, place, start, operation.state(layer, tensors, shape)))
            first, n = (0, 0) if operation.awaits is None else operation.awaits(layer, tensors, shape)
            if n and awaited is not None:
                raise ValueError("two layers that remember actions")
            awaited = slice(start + first, start + first + n) if n else awaited
            start += parts[-1].size
        shape = operation.shape(layer, tensors, shape)
    return Memory(tuple(parts), awaited)


def compile_step(layers: Sequence[Layer], tensors: Tensors, memory: Memory) -> Step:
    """Return the network of a student with a memory: from features `[B, D]` and a state to outputs and the next state.

    Neither of the states is changed later, but for the action that the next one may await.
    """
    functions = [find_operation(layer["op"]).numpy(layer, tensors) for layer in layers]
    slices = {part.place: slice(part.start, part.start + part.size) for part in memory.parts}

    def step(x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        after = np.empty_like(state)
        for place, function in enumerate(functions):
            if place in slices:
                x, after[:, slices[place]] = function(x, state[:, slices[place]])
            else:
                x = function(x)
        return x, after

    return step
