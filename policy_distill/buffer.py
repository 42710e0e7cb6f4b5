"""Preallocated storage of features and full teacher distributions.

In: labelled rollouts. Out: minibatches drawn uniformly, with replacement.

    features        [capacity, D]   float32 (images: [capacity, C, H, W] uint8)
    teacher_params  [capacity, P]   float32
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

GATHERED_BYTES = 2**22
"""Minibatches fetched at once hold about so many bytes."""


class Buffer:
    """A ring of labelled states: once full, the oldest give way."""

    def __init__(
        self, capacity: int, feature_shape: tuple[int, ...], n_params: int, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        self.features = torch.empty((capacity, *feature_shape), device=device, dtype=getattr(torch, dtype))
        self.teacher_params = torch.empty((capacity, n_params), device=device)
        self.capacity = capacity
        self.size = 0
        self.next = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""
        return self.features.nbytes + self.teacher_params.nbytes

    def add(self, features: torch.Tensor, teacher_params: torch.Tensor) -> None:
        """Store `[B, D]` features with their `[B, P]` labels; of more than fit, the last ones stay."""
        features, teacher_params = features[-self.capacity :], teacher_params[-self.capacity :]
        count = len(features)
        rows = (torch.arange(count, device=self.features.device) + self.next) % self.capacity
        self.features[rows] = features.to(self.features.device)
        self.teacher_params[rows] = teacher_params.to(self.features.device)
        self.next = (self.next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def clear(self) -> None:
        """Forget all states."""
        self.size = self.next = 0

    def minibatches(
        self, n: int, batch_size: int, generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Draw `n` minibatches: features `[batch_size, D]` and labels `[batch_size, P]`."""
        rows = torch.randint(self.size, (n, batch_size), generator=generator)
        row_bytes = self.n_bytes // self.capacity
        # Many small minibatches are fetched in one go, large ones (images) one by one.
        for part in rows.split(max(1, GATHERED_BYTES // (batch_size * row_bytes))):
            flat = part.flatten().to(self.features.device)
            arrays = (self.features, self.teacher_params)
            yield from zip(*(array[flat].unflatten(0, part.shape).unbind() for array in arrays), strict=True)
