"""Contracts of the stages of a run after states are collected: where these are kept, how one learns, who is told.

Sizes: `B` samples, `D` features, `P` distribution parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from policy_distill.training.buffer import Batch
    from policy_distill.training.policy import StudentPolicy


class FeatureStore(Protocol):
    """Features of up to `capacity` states."""

    capacity: int
    device: str
    row_bytes: int
    """Bytes of one state's features as `get` returns them."""

    @property
    def n_bytes(self) -> int:
        """Bytes of the storage."""

    def put(self, rows: torch.Tensor, features: torch.Tensor) -> None:
        """Store features `[B, ...]` in rows `[B]`, int64 on the CPU, in place of what was there."""

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features `[B, ...]` of rows `[B]`, int64 on the CPU, on the store's device."""

    def clear(self) -> None:
        """Forget everything."""

    def arrays(self, size: int) -> dict[str, np.ndarray]:
        """Return the first `size` rows as arrays, no larger than they lie here."""

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> int:
        """Take what `arrays` returned into an empty store, and return how many states they are.

        Raises:
            ValueError: where they are of another store.
        """


class Stepper(Protocol):
    """Makes the gradient steps of one student, and keeps all that the next one depends on."""

    def read(self, student: StudentPolicy) -> None:
        """Start from a student's weights."""

    def write(self, student: StudentPolicy) -> None:
        """Give a student the averaged weights."""

    def step(self, batch: Batch, rate: float) -> tuple[Any, Any]:
        """Make one step on features `[B, D]` and labels `[B, P]`; return the mean loss and the gradient's norm."""

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the last step's gradient, after clipping, by the names of the weights."""

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: where that is of another student.
        """


class Tracker(Protocol):
    """A sink of metrics. Only `log` must do something: `tracking/base.py` has a base class with the rest.

    What a user hands over may have `log` alone; it is given the others where it comes in.
    """

    wants_gradients: bool
    """True where `histograms` is to be told the gradients of every iteration."""
    wants_history: bool
    """True where a resumed run is to tell `log` first what came before: the sink has begun anew."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` (names of the form `stage/quantity`) at `step` environment steps."""

    def histograms(self, arrays: Mapping[str, np.ndarray], step: int) -> None:
        """Record the distribution of each array's values."""
        ...

    def sync(self) -> None:
        """Put what was logged where it survives the process: a checkpoint that relies on it comes next."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """Record the final values of a run."""

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Record a file (`kind` is "student", "teacher" or "video") with its metadata."""

    def close(self) -> None:
        """Flush and finish; called once, also after an error."""
