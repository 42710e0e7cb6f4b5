"""Preallocated storage of features and full teacher distributions.

In: labelled rollouts. Out: minibatches drawn uniformly, with replacement.

    features        [capacity, D]   float32 (images: [capacity, C, H, W] uint8)
    teacher_params  [capacity, P]   float32
"""

from __future__ import annotations

import torch


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

    def sample(self, batch_size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw a minibatch: features `[batch_size, D]` and labels `[batch_size, P]`."""
        rows = torch.randint(self.size, (batch_size,), generator=generator).to(self.features.device)
        return self.features[rows], self.teacher_params[rows]
