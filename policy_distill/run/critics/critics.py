"""Who judges states beside a student, where a run asks for it: by the teacher's values, or by what is gained.

In: labelled rollouts, before and after the student learns from them. Out: what it learns from, and the critic that its
file carries. A run that asks for none of them is as it would be without this file, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from policy_distill.config import DistillConfig
from policy_distill.interfaces.stages import Learner, Minibatches
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.scored import GATE
from policy_distill.run.critics.advantages import advantages
from policy_distill.run.critics.critic import ValueCritic, value_rows
from policy_distill.run.critics.objective import TRACE, Labelled, Score
from policy_distill.run.critics.rows import Changed, Joined, StateRows
from policy_distill.student.record import CriticRecord
from policy_distill.training.buffer import Buffer
from policy_distill.training.learner import named
from policy_distill.training.schedule import Moment
from policy_distill.training.spec import StudentSpec

VALUE = "teacher_value"
"""The buffer's column of the teacher's values."""


def columns_for(config: DistillConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which columns the buffer keeps for critics, and which ones a rollout is to note beside them."""
    kept = (VALUE,) if config.value_weight or config.value_gate or config.objective == "teacher_value" else ()
    noted = ["actions"] if config.objective != "kl" else []
    return kept, (*noted, "rewards", "terminated") if noted or config.value_gate else ()


class Critics:
    """Those that a run asks for."""

    def __init__(self, spec: StudentSpec, loss: Loss, config: DistillConfig, discount: float | None) -> None:
        """Make them for a student of `spec`; `discount` is that of the teacher's values."""
        self._discount, self._device = discount, config.device
        rate = config.value_weight
        self.taught = ValueCritic(spec, config, "teacher's value", rate) if rate else None
        """Of the teacher's values."""
        self.own = ValueCritic(spec, config, "student's value") if config.value_gate else None
        """Of what the student itself gains."""
        self.score = None if config.objective == "kl" else Score(spec, loss, config, discount)
        self._rows: StateRows | None = None

    def look(
        self, seen: Labelled, learner: Learner, moment: Moment, *, by_student: bool, sampled: bool
    ) -> dict[str, float]:
        """Take a labelled rollout before anybody learns from it, `learner` having acted; return what was measured.

        `by_student` says that it alone acted, and `sampled` that its actions were drawn from its distribution: a score
        is of these alone.
        """
        metrics: dict[str, float] = {}
        if self.taught is not None:
            assert seen.values is not None
            metrics["train/value_explained"] = self.taught.explained(seen.features, seen.values)
        if self.own is not None:
            assert seen.values is not None
            metrics["train/gate_open"] = float(self._open(self.own, seen.features, seen.values).mean())
            if by_student:
                self._learn_own(self.own, seen, moment)
        self._rows = None
        if self.score is not None and by_student and sampled:
            self._rows, found = self.score.rows(seen, learner, moment)
            metrics |= found
        return metrics

    def drawn(self, buffer: Buffer) -> Minibatches | None:
        """Return what the student learns from, gates and the score's rows included; None for the buffer as it is."""
        gated = None if self.own is None else Changed(buffer, partial(self._gated, self.own))
        return gated if self._rows is None else Joined(gated or buffer, self._rows)

    def learn(self, buffer: Buffer, new: torch.Tensor | None, moment: Moment) -> dict[str, float]:
        """Teach the teacher's values, `new` `[n]` being the newest of them; return what was measured."""
        if self.taught is None:
            return {}
        assert new is not None
        source = Changed(buffer, partial(value_rows, name=VALUE))
        return {"train/value_loss": self.taught.learn(source, new, moment)}

    def record(self) -> CriticRecord | None:
        """Return what the student's file carries."""
        return None if self.taught is None or not self.taught.begun else self.taught.record(self._discount)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that what they learn next depends on; names begin with `critics.`."""
        parts = {name: part.state() for name, part in self._parts().items()}
        return {f"critics.{name}.{key}": array for name, part in parts.items() for key, array in part.items()}

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, among other arrays of a checkpoint.

        Raises:
            ValueError, RuntimeError, KeyError: where that is of another run.
        """
        for name, part in self._parts().items():
            part.restore(named(tensors, f"critics.{name}."))

    def _parts(self) -> dict[str, ValueCritic | Score]:
        parts = {"taught": self.taught, "own": self.own, "score": self.score}
        return {name: part for name, part in parts.items() if part is not None}

    def _learn_own(self, own: ValueCritic, seen: Labelled, moment: Moment) -> None:
        """Learn what the student gains from each state on, by TD(λ) on its rollout, of the teacher's discount."""
        assert self._discount is not None, "the run has checked it"
        starts, columns = seen.rollout.episode_starts, seen.rollout.columns
        before = own.values(seen.features).double().numpy().reshape(seen.shape)
        gain, known = advantages(columns["rewards"], before, starts, columns["terminated"], self._discount, TRACE)
        at = torch.from_numpy(np.flatnonzero(known))
        if len(at):
            targets = torch.from_numpy((gain + before).ravel()).float()[at]
            own.learn(StateRows(seen.features[at].to(self._device), targets[:, None].to(self._device)), targets, moment)

    def _gated(self, own: ValueCritic, batch: Batch) -> Batch:
        gate = self._open(own, batch.features, batch.columns[VALUE].cpu()).to(batch.features.device)
        return replace(batch, columns={**batch.columns, GATE: gate})

    def _open(self, own: ValueCritic, features: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return 1 where the teacher expects more than the student gains, else 0; 1 while that is not known, `[B]`."""
        return (values > own.values(features)).float() if own.begun else torch.ones(len(features))
