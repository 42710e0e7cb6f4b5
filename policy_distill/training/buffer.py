"""A ring of labelled states: features and full teacher distributions.

In: labelled rollouts. Out: minibatches of rows drawn uniformly, with replacement, or windows of consecutive states.

    features        a FeatureStore   as their layout says: numbers, bytes, or frames in common
    teacher_params  [capacity, P]    float32
    columns         [capacity, ...]  whatever else a learner asked for, by name
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from policy_distill.interfaces.stages import FeatureStore
from policy_distill.losses.batch import Batch

GATHERED_BYTES = 2**22
"""Minibatches fetched at once hold about so many bytes."""

Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""Shape of one state's value and its type, by the name of a column."""


class Buffer:
    """A ring of labelled states: once full, the oldest give way."""

    def __init__(self, features: FeatureStore, n_params: int, stride: int = 1, columns: Shapes | None = None) -> None:
        """Make room; consecutive states of one environment are put `stride` rows apart."""
        self.features = features
        self.capacity = features.capacity
        self.stride = stride
        self.columns = {"teacher_params": torch.empty((self.capacity, n_params), device=features.device)}
        for name, (shape, dtype) in (columns or {}).items():
            self.columns[name] = torch.empty((self.capacity, *shape), device=features.device, dtype=dtype)
        self.size = 0
        self.next = 0
        self._rows: torch.Tensor | None = None

    @property
    def teacher_params(self) -> torch.Tensor:
        """The labels, `[capacity, P]`."""
        return self.columns["teacher_params"]

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return self.features.n_bytes + sum(column.nbytes for column in self.columns.values())

    def add(
        self, features: torch.Tensor, teacher_params: torch.Tensor, columns: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        """Store `[B, D]` features with their `[B, P]` labels; of more than fit, the last ones stay.

        Of further `columns` those are kept that the buffer was made with.
        """
        features = features[-self.capacity :]
        count = len(features)
        rows = (torch.arange(count) + self.next) % self.capacity
        self.features.put(rows, features)
        values = {**(columns or {}), "teacher_params": teacher_params}
        for name, column in self.columns.items():
            column[rows.to(column.device)] = values[name][-self.capacity :].to(column.device, column.dtype)
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def clear(self) -> None:
        """Forget all states."""
        self.features.clear()
        self.size = self.next = 0
        self._rows = None

    def rows(self) -> torch.Tensor:
        """Return the rows that are learnt from, int64, rising: all that are stored, unless `learn_from` says which."""
        return torch.arange(self.size) if self._rows is None else self._rows

    @property
    def n_learnt(self) -> int:
        """How many rows these are."""
        return self.size if self._rows is None else len(self._rows)

    def learn_from(self, learnt: torch.Tensor) -> None:
        """Let only those rows be drawn where `learnt`, bool `[size]`, is True; until it is told otherwise."""
        self._rows = learnt.nonzero().flatten()

    def minibatches(self, n: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` minibatches of `batch_size` states each."""
        rows = torch.randint(self.n_learnt, (n, batch_size), generator=generator)
        rows = rows if self._rows is None else self._rows[rows]
        for part in rows.split(self._n_at_once(batch_size)):
            yield from _unbound(self._get(part))

    def _n_at_once(self, n_states: int) -> int:
        """Return how many minibatches of `n_states` are fetched in one go: many small ones, of images one by one."""
        row_bytes = self.features.row_bytes + sum(column[:1].nbytes for column in self.columns.values())
        return max(1, GATHERED_BYTES // (n_states * row_bytes))

    def sequences(self, n: int, batch_size: int, length: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` minibatches of windows `[length, batch_size, ...]`: states of one environment, one after another.

        A window may hold the end of one episode and the beginning of the next, which the column `episode_starts` tells.

        Of a window all states are learnt from.

        Raises:
            ValueError: where fewer states than one window follow each other.
        """
        firsts = self._firsts(length)
        n_firsts = max(self.size - (length - 1) * self.stride, 0) if firsts is None else len(firsts)
        if n_firsts == 0:
            raise ValueError(f"expected windows of at most {self.longest(length)} states, found {length}")
        steps = self.stride * torch.arange(length)[:, None]
        first = torch.randint(n_firsts, (n, 1, batch_size), generator=generator)
        first = first if firsts is None else firsts[first]
        for part in first.split(self._n_at_once(length * batch_size)):
            yield from _unbound(self._get((self._oldest + part + steps) % self.capacity))

    def longest(self, length: int) -> int:
        """Return the length of the longest windows that there are, of at most `length` states; 0 where there are none.

        All states of a window are learnt from, and follow each other in one environment.
        """
        if self._rows is None:
            return min(length, (self.size - 1) // self.stride + 1)
        low, high = 0, length
        while low < high:
            middle = (low + high + 1) // 2
            firsts = self._firsts(middle)
            low, high = (middle, high) if firsts is not None and len(firsts) else (low, middle - 1)
        return low

    @property
    def _oldest(self) -> int:
        return self.next if self.size == self.capacity else 0

    def _firsts(self, length: int) -> torch.Tensor | None:
        """Return where windows of states to learn from begin, counted from the oldest; None for anywhere."""
        if self._rows is None:
            return None
        learnt = torch.zeros(self.size, dtype=torch.bool)
        learnt[(self._rows - self._oldest) % self.capacity] = True
        found = learnt[: max(self.size - (length - 1) * self.stride, 0)].clone()
        for step in range(1, length):
            found &= learnt[step * self.stride :][: len(found)]
        return found.nonzero().flatten()

    def _get(self, rows: torch.Tensor) -> Batch:
        flat = rows.flatten()
        features = self.features.get(flat).unflatten(0, rows.shape)
        # All columns lie on one device: rows go there once.
        there = flat.to(self.teacher_params.device)
        found = {name: column.index_select(0, there).unflatten(0, rows.shape) for name, column in self.columns.items()}
        return Batch(features, found.pop("teacher_params"), found)

    def state(self) -> dict[str, np.ndarray]:
        """Return all states as arrays."""
        columns = {name: column[: self.size].cpu().numpy() for name, column in self.columns.items()}
        return {**self.features.arrays(self.size), **columns}

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> None:
        """Take what `state` returned, into an empty buffer; `next_row` is where the next state goes.

        Raises:
            ValueError: where they are of another buffer.
        """
        size = self.features.restore(arrays, next_row)
        for name, column in self.columns.items():
            values = torch.from_numpy(np.array(arrays[name]))
            if values.shape != (size, *column.shape[1:]):
                raise ValueError(f"{size} states and {name} of shape {tuple(values.shape)} are of different buffers")
            column[:size] = values.to(column.device)
        self.size, self.next = size, next_row % self.capacity


def _unbound(batch: Batch) -> Iterator[Batch]:
    """Yield the batches that lie behind one another in `[n, B, ...]`."""
    names = list(batch.columns)
    tensors = (batch.features, batch.teacher_params, *batch.columns.values())
    for features, params, *rest in zip(*(tensor.unbind() for tensor in tensors), strict=True):
        yield Batch(features, params, dict(zip(names, rest, strict=True)))
