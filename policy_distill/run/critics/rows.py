"""What is learnt from where that is no whole buffer: rows by themselves, a column of a buffer, two of these at once.

In: states with numbers beside them. Out: minibatches, as a `Buffer` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from policy_distill.interfaces.stages import Minibatches
from policy_distill.losses.batch import Batch


@dataclass(frozen=True)
class StateRows:
    """States of one rollout."""

    features: torch.Tensor
    """`[n, D]`."""
    teacher_params: torch.Tensor
    """`[n, P]`: labels, or whatever else is to be followed."""
    columns: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """`[n, ...]` each, by name."""

    def minibatches(self, n: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` minibatches of `batch_size` states each, with replacement."""
        whole = Batch(self.features, self.teacher_params, self.columns)
        drawn = torch.randint(len(self.features), (n, batch_size), generator=generator)
        return (whole.rows(rows.to(self.features.device)) for rows in drawn)


@dataclass(frozen=True)
class Changed:
    """Minibatches of another source, each of them changed."""

    source: Minibatches
    change: Callable[[Batch], Batch]

    def minibatches(self, n: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` minibatches."""
        return map(self.change, self.source.minibatches(n, batch_size, generator))


@dataclass(frozen=True)
class Joined:
    """Minibatches of two sources, one's rows behind the other's; columns of the second are added."""

    first: Minibatches
    second: Minibatches

    def minibatches(self, n: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` pairs of minibatches: `2 * batch_size` rows each, of which columns of the second have the half."""
        pairs = zip(
            self.first.minibatches(n, batch_size, generator),
            self.second.minibatches(n, batch_size, generator),
            strict=True,
        )
        return (first.joined(second) for first, second in pairs)
