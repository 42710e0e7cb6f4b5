"""Contracts of the stages of a run after states are collected: where these are kept, how one learns, who is told.

Sizes: `B` samples, `D` features, `P` distribution parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from policy_distill.config import DistillConfig
    from policy_distill.interfaces.students import Loss
    from policy_distill.losses.batch import Batch
    from policy_distill.student.runtime import Student
    from policy_distill.training.buffer import Buffer
    from policy_distill.training.policy import StudentPolicy
    from policy_distill.training.schedule import Moment
    from policy_distill.training.spec import StudentSpec


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
        """Store features `[B, ...]` in rows `[B]`, int64, in place of what was there."""

    def get(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features `[B, ...]` of rows `[B]`, int64, on the store's device."""

    def clear(self) -> None:
        """Forget everything."""

    def arrays(self, size: int) -> dict[str, np.ndarray]:
        """Return the first `size` rows as arrays, no larger than they lie here."""

    def restore(self, arrays: dict[str, np.ndarray], next_row: int) -> int:
        """Take what `arrays` returned into an empty store, and return how many states they are.

        Raises:
            ValueError: where they are of another store.
        """


class Minibatches(Protocol):
    """What minibatches are drawn from: a buffer, or what else has states with numbers beside them."""

    def minibatches(self, n: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Draw `n` minibatches of `batch_size` states each."""


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


class Learner(Protocol):
    """Makes a student of labelled states, and a better one of more of them, whatever kind of student that is.

    It has one from the start, which acts and has a file before anything was learnt.
    """

    n_recoveries: int
    """How often it went back to what it had, since what it learnt was not finite; a checkpoint keeps the count."""

    def learn(self, buffer: Buffer, moment: Moment) -> dict[str, float]:
        """Learn from all that is stored, a rollout of `moment` being the newest; return what was measured.

        Raises:
            RunFault: where the student diverged for good.
        """

    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`, on the device of these."""

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now; what it will do is not changed by what is learnt later."""

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of what the student is made of, for `set_weights`."""

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the student what `weights` returned, of whatever moment of the run.

        Raises:
            ValueError, RuntimeError: where that is of another student.
        """

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the last update's gradients by name, for a tracker; nothing of one that has none."""

    def state(self) -> dict[str, np.ndarray]:
        """Return all that what it learns next depends on, but for the buffer and `n_recoveries`.

        Names begin with `student.` or `training.`.
        """

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, among other arrays of a checkpoint.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another student.
        """


class LearnerKind(Protocol):
    """Makes learners: a class whose constructor takes this, or a function that has the other two."""

    def __call__(
        self, spec: StudentSpec, loss: Loss, config: DistillConfig, teacher_params: torch.Tensor | None = None
    ) -> Learner:
        """Return a learner of a student of `spec`, given the first labels `[B, P]`, or before `restore` None."""

    def check(self, network: str, activation: str) -> None:
        """Check a student's specification before anything is opened.

        Raises:
            RequestError: for one that it cannot make.
        """

    def columns(self, network: str) -> tuple[str, ...]:
        """Return what the buffer is to keep for it beside features and labels, by name; see `run.columns`."""

    def n_params(self, spec: StudentSpec) -> int:
        """Return how many parameters the student's network will have, or about so many.

        Raises:
            RequestError: for a student that cannot be of what is observed.
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
