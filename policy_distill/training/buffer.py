"""A ring of labelled states: features and full teacher distributions.

In: labelled rollouts. Out: minibatches drawn uniformly, with replacement.

    features        a FeatureStore  as their layout says: numbers, bytes, or frames in common
    teacher_params  [capacity, P]   float32
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from policy_distill.training.stores import FeatureStore

GATHERED_BYTES = 2**22
"""Minibatches fetched at once hold about so many bytes."""


class Buffer:
    """A ring of labelled states: once full, the oldest give way."""

    def __init__(self, features: FeatureStore, n_params: int) -> None:
        self.features = features
        self.capacity = features.capacity
        self.teacher_params = torch.empty((self.capacity, n_params), device=features.device)
        self.size = 0
        self.next = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return self.features.n_bytes + self.teacher_params.nbytes

    def add(self, features: torch.Tensor, teacher_params: torch.Tensor) -> None:
        """Store `[B, D]` features with their `[B, P]` labels; of more than fit, the last ones stay."""
        features, teacher_params = features[-self.capacity :], teacher_params[-self.capacity :]
        count = len(features)
        rows = (torch.arange(count) + self.next) % self.capacity
        self.features.put(rows, features)
        device = self.teacher_params.device
        self.teacher_params[rows.to(device)] = teacher_params.to(device)
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def clear(self) -> None:
        """Forget all states."""
        self.features.clear()
        self.size = self.next = 0

    def minibatches(
        self, n: int, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Draw `n` minibatches: features `[batch_size, D]` and labels `[batch_size, P]`."""
        rows = torch.randint(self.size, (n, batch_size), generator=generator)
        row_bytes = self.features.row_bytes + self.teacher_params[:1].nbytes
        # Many small minibatches are fetched in one go, large ones (images) one by one.
        for part in rows.split(max(1, GATHERED_BYTES // (batch_size * row_bytes))):
            flat = part.flatten()
            arrays = (self.features.get(flat), self.teacher_params[flat.to(self.teacher_params.device)])
            yield from zip(*(array.unflatten(0, part.shape).unbind() for array in arrays), strict=True)

    def state(self) -> dict[str, np.ndarray]:
        """Return all states as arrays."""
        labels = self.teacher_params[: self.size].cpu().numpy()
        return {**self.features.arrays(self.size), "teacher_params": labels}

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> None:
        """Take what `state` returned, into an empty buffer; `next_row` is where the next state goes.

        Raises:
            ValueError: where they are of another buffer.
        """
        size, labels = self.features.restore(arrays, next_row), torch.from_numpy(np.array(arrays["teacher_params"]))
        if labels.shape != (size, self.teacher_params.shape[1]):
            raise ValueError(f"{size} states and labels of shape {tuple(labels.shape)} are of different buffers")
        self.teacher_params[:size] = labels.to(self.teacher_params.device)
        self.size, self.next = size, next_row % self.capacity
