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

    def rows(self, rows: torch.Tensor | slice) -> Batch:
        """Return those rows, int64 `[B]` or a slice, alone."""
        return self._each(lambda tensor: tensor[rows])

    def unflattened(self, shape: tuple[int, ...]) -> Batch:
        """Return rows `[L B, ...]` as windows of the shape `[L, B]`."""
        return self._each(lambda tensor: tensor.unflatten(0, shape))

    def joined(self, other: Batch) -> Batch:
        """Return these rows with those of another batch behind them; a column that one lacks is 0 in its rows."""
        names = list(dict.fromkeys([*self.columns, *other.columns]))
        columns = {name: torch.cat([self._column(name, other), other._column(name, self)]) for name in names}
        features = torch.cat([self.features, other.features])
        return Batch(features, torch.cat([self.teacher_params, other.teacher_params]), columns)

    def _column(self, name: str, other: Batch) -> torch.Tensor:
        if name in self.columns:
            return self.columns[name]
        like = other.columns[name]
        return like.new_zeros((len(self.features), *like.shape[1:]))

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
