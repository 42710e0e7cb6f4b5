"""All students of a race, learning from one stream: narrow ones together, in a few matrix products, wide ones alone.

In: a buffer of labelled states. Out: better students. One that diverges is out of the race, and no other is harmed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from policy_distill.compression.kinds import Kinds
from policy_distill.compression.members import NARROW, Member, is_lottery, widths_of
from policy_distill.config import DistillConfig
from policy_distill.errors import RunFault
from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.likelihood import begin_draws
from policy_distill.networks.table import TREES
from policy_distill.seeds import USERS, purpose_seed
from policy_distill.student.engines.torch_memory import memory_layers_of
from policy_distill.training.buffer import Buffer
from policy_distill.training.dense_step import is_dense
from policy_distill.training.learner import GradientLearner, named
from policy_distill.training.learners import while_learning
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.population.step import PopulationStep
from policy_distill.training.schedule import Moment, learning_rate, n_updates
from policy_distill.training.trees.learner import TreeLearner
from policy_distill.training.windows import answered

LOG = logging.getLogger("policy_distill")

FASTER = 3.0
"""What the learning rate is multiplied by below `LOTTERY` units, whose loss is flat for long: over 32 starts of two to
four units (LunarLander, Pendulum, Swimmer, MountainCar) the median loss was up to 18% lower at 1e-2 than at 3e-3."""


class Population:
    """Members bear the numbers 0..K-1, and keep them when others are dropped."""

    def __init__(
        self,
        members: Sequence[Member],
        kinds: Kinds,
        config: DistillConfig,
        teacher_params: torch.Tensor | None = None,
        given: Mapping[int, StudentPolicy] | None = None,
    ) -> None:
        """Make the students; log σ starts at that of the labels `[B, P]`, and members that are `given` as they are."""
        self.members = list(members)
        self._loss = kinds.loss
        self._config = config
        self._policies = []
        self._alone: dict[int, GradientLearner | TreeLearner] = {}
        self._out: dict[int, str] = {}
        together = []
        for number, member in enumerate(members):
            seed = purpose_seed(config.seed, member.spec, member.activation, member.restart)
            make = TreeLearner if member.spec.partition(":")[0] in TREES else GradientLearner
            spec, own = kinds.spec(member.spec, member.activation), replace(config, seed=seed % USERS)
            learner = make(spec, kinds.loss, own, teacher_params)
            if given and number in given and isinstance(learner, GradientLearner):
                learner.begin_at(given[number])
            self._policies.append(learner.policy)
            if is_dense(learner.policy) and max(widths_of(member.spec), default=0) <= NARROW:
                together.append(number)
            else:
                self._alone[number] = learner
        self._together = together
        self._step = self._together_step(kinds.loss) if together else None

    def _together_step(self, loss: Loss) -> PopulationStep:
        students = [self._policies[number] for number in self._together]
        rates = [FASTER if is_lottery(self.members[number].spec) else 1.0 for number in self._together]
        return PopulationStep(students, loss, self._config.max_grad_norm, rates)

    @property
    def active(self) -> list[int]:
        """Numbers of the members that still learn."""
        return [number for number in range(len(self.members)) if number not in self._out]

    @property
    def out(self) -> dict[int, str]:
        """Why each other one does not."""
        return dict(self._out)

    def drop(self, numbers: Iterable[int], why: str) -> None:
        """Let members learn no more."""
        leaving = [number for number in numbers if number not in self._out]
        self._out |= dict.fromkeys(leaving, why)
        if self._step is not None:
            self._step.drop(self._together.index(number) for number in leaving if number in self._together)
        for number in leaving:
            if number in self._alone:
                self._policies[number] = self._alone.pop(number).policy

    def learn(self, buffer: Buffer, moment: Moment) -> dict[str, float]:
        """Learn from all that is stored, a rollout of `moment` being the newest; return the mean of the losses."""
        with while_learning():
            losses = [*self._learn_together(buffer, moment)]
            for number, learner in list(self._alone.items()):
                try:
                    losses.append(learner.learn(buffer, moment)["train/loss"])
                except RunFault as fault:
                    self._diverge([number], str(fault))
        return {"train/loss": float(np.mean(losses)) if losses else math.nan}

    def _learn_together(self, buffer: Buffer, moment: Moment) -> list[float]:
        step, config = self._step, self._config
        if step is None or not step.active:
            return []
        n_steps = n_updates(config, moment.n_new, moment.before)
        generator = torch.Generator().manual_seed(moment.seed)
        total = np.zeros(len(self._together))
        begin_draws(self._loss, moment.seed)
        for update, batch in enumerate(buffer.minibatches(n_steps, config.batch_size, generator)):
            rate = learning_rate(config, moment.before + (moment.after - moment.before) * update / n_steps)
            losses, _ = step.step(batch, rate)
            total += losses
        self._diverge([self._together[place] for place in step.diverged], "its loss or gradient was not finite")
        return [float(value) for value in total[list(step.active)] / n_steps]

    def _diverge(self, numbers: Iterable[int], why: str) -> None:
        for number in numbers:
            if number not in self._out:
                LOG.warning("%s (%s) is out: %s", self.members[number].spec, self.members[number].activation, why)
                self.drop([number], "diverged")

    def losses(self, batch: Batch, along: Batch | None = None) -> np.ndarray:
        """Return the mean loss `[K]` of every member on labelled states; NaN for those that are out.

        Members with a memory are measured on windows of consecutive ones, `along`; without these, on each state as an
        episode's first, which says less.
        """
        found = np.full(len(self.members), np.nan)
        begin_draws(self._loss, self._config.seed)
        if self._step is not None and self._step.active:
            found[self._together] = self._step.losses(batch)
        for number, learner in self._alone.items():
            begin_draws(self._loss, self._config.seed)
            with torch.no_grad():
                if along is not None and memory_layers_of(learner.policy.network):
                    rows, outputs = answered(learner.policy, along.to(next(learner.policy.parameters()).device))
                else:
                    rows, outputs = batch, Outputs(learner.policy.spec.family, learner.params(batch.features))
                found[number] = float(self._loss(rows.to(outputs.params.device), outputs).mean())
        return found

    def policy(self, number: int) -> StudentPolicy:
        """Return a member with its averaged weights, or as it was last grown."""
        if number in self._alone:
            return self._alone[number].policy
        if self._step is not None and number in self._together:
            self._step.write(self._together.index(number), self._policies[number])
        return self._policies[number]

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that what they learn next depends on; who is out is the caller's to keep."""
        tensors: dict[str, np.ndarray] = {}
        if self._step is not None:
            tensors |= {f"population.{name}": array for name, array in self._step.state().items()}
        for number, learner in self._alone.items():
            tensors |= {f"member{number}.{name}": array for name, array in learner.state().items()}
        return tensors

    def restore(self, tensors: dict[str, np.ndarray], out: dict[int, str], recoveries: dict[int, int]) -> None:
        """Go on from what `state` returned, with those `out` that were.

        Raises:
            ValueError, RuntimeError: where that is of another population.
        """
        self._out = dict(out)
        if self._step is not None:
            self._step.restore(named(tensors, "population."))
        self._alone = {number: learner for number, learner in self._alone.items() if number not in out}
        for number, learner in self._alone.items():
            learner.restore(named(tensors, f"member{number}."))
            learner.n_recoveries = recoveries.get(number, 0)

    @property
    def recoveries(self) -> dict[int, int]:
        """How often each that learns alone went back to its last good weights."""
        return {number: learner.n_recoveries for number, learner in self._alone.items()}
