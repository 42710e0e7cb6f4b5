"""What a loss is given: labelled states, and what the student answers to them.

Sizes: `B` samples, `D` features, `P` distribution parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from policy_distill.interfaces.students import ActionDistribution


@dataclass(frozen=True)
class Batch:
    """Labelled states: rows `[B, ...]`, or windows `[L, B, ...]` of consecutive ones."""

    features: torch.Tensor
    """`[B, D]`, or images `[B, C, H, W]`."""
    teacher_params: torch.Tensor
    """`[B, P]`."""
    columns: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What else was asked for, by name, `[B, ...]`."""

    def repeated(self, n: int) -> Batch:
        """Return the rows `n` times, one whole batch after another."""
        return self._each(lambda tensor: torch.cat([tensor] * n))

    def rows(self, rows: torch.Tensor) -> Batch:
        """Return those rows, int64 `[B]`, alone."""
        return self._each(lambda tensor: tensor[rows])

    def unflattened(self, shape: tuple[int, ...]) -> Batch:
        """Return rows `[L B, ...]` as windows of the shape `[L, B]`."""
        return self._each(lambda tensor: tensor.unflatten(0, shape))

    def after(self, n: int) -> Batch:
        """Return the steps of windows after their first `n`, as rows `[(L - n) B, ...]`."""
        return self._each(lambda tensor: tensor[n:].flatten(0, 1))

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        columns = {name: change(column) for name, column in self.columns.items()}
        return Batch(change(self.features), change(self.teacher_params), columns)


@dataclass(frozen=True)
class Outputs:
    """What a student answers to a batch."""

    family: ActionDistribution
    """Of both: what the parameters mean."""
    params: torch.Tensor
    """The student's distribution parameters, `[B, P]`, with gradient."""
