"""Gradient steps of several students that share arrays: each step is one of all tasks, with equal shares of its states.

In: a buffer for each task. Out: better students. Each student's gradient is computed as if it were alone (`DenseStep`);
these are added up in one flat vector, where arrays that tasks share lie once, and Adam steps there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from policy_distill.config import DistillConfig
from policy_distill.interfaces.stages import Minibatches
from policy_distill.interfaces.students import Loss
from policy_distill.losses.likelihood import begin_draws
from policy_distill.training.adam import Adam
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.recovery import Divergence, Recovery
from policy_distill.training.schedule import learning_rate
from policy_distill.training.tasks.balance import Balance
from policy_distill.training.tasks.sharing import Sharing


class SharedTrainer:
    """One optimiser for the students of several tasks; each of them is given the average of its weights."""

    def __init__(
        self,
        policies: Mapping[str, StudentPolicy],
        losses: Sequence[Loss],
        sharing: Sharing,
        config: DistillConfig,
        balance: Balance,
    ) -> None:
        """Begin where the students are; of an array that several share, where the one with the widest input is."""
        self.policies, self.sharing, self.config, self.balance = dict(policies), sharing, config, balance
        self.losses = list(losses)
        # Clipped is the gradient of all tasks together.
        self._steps = [
            DenseStep(policy, loss, math.inf) for policy, loss in zip(policies.values(), losses, strict=True)
        ]
        self._places = [self._places_of(task, step) for task, step in zip(policies, self._steps, strict=True)]
        self.adam = Adam(sharing.size, config.max_grad_norm)
        self._gradient = np.zeros(sharing.size, np.float32)
        self.recovery = Recovery(config.max_recoveries)
        widths = {task: policy.featurizer.shape[0] for task, policy in policies.items()}
        for task in sorted(policies, key=lambda one: (widths[one], one)):
            self._read(task, policies[task])
        self.adam.restart()
        self.write()

    def _places_of(self, task: str, step: DenseStep) -> np.ndarray:
        """Return where each number of a student's own flat vector lies in that of all, int64 `[n]`."""
        numbers = self.sharing.of_task(task, np.arange(self.sharing.size))
        places = np.zeros(step.adam.weights.shape, np.int64)
        for name, array in step.named(places).items():
            array[:] = numbers[name]
        return places

    def _read(self, task: str, policy: StudentPolicy) -> None:
        own = policy.tensors()
        for name, array in self.sharing.of_task(task, self.adam.weights).items():
            array[:] = own[name]

    @torch.no_grad()
    def write(self) -> None:
        """Give every student the averaged weights."""
        for task, policy in self.policies.items():
            tensors = policy.state_dict()
            for name, array in self.sharing.of_task(task, self.adam.average).items():
                tensors[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def stored(self) -> dict[str, np.ndarray]:
        """Return copies of the averaged arrays as they are stored, each once."""
        return {name: array.copy() for name, array in self.sharing.arrays(self.adam.average).items()}

    def weights(self) -> np.ndarray:
        """Return a copy of the averaged weights, `[size]`."""
        return self.adam.average.copy()

    def set_weights(self, weights: np.ndarray) -> None:
        """Give every student weights that `weights` returned; what is learnt next goes on from where it was.

        Raises:
            ValueError: where they are of other students.
        """
        if weights.shape != self.adam.average.shape:
            raise ValueError("weights of other students")
        self.adam.average[:] = weights
        self.write()

    def fit(
        self, buffers: Sequence[Minibatches], n_updates: int, progress: tuple[float, float], seed: int
    ) -> dict[str, float]:
        """Make `n_updates` steps on minibatches of all tasks; the learning rate falls as of `Trainer.fit`.

        Raises:
            RunFault: for a loss that is not finite, as of `Trainer.fit`.
        """
        return self.recovery.attempt(self, lambda scale: self._fit(buffers, n_updates, progress, seed, scale))

    def _fit(
        self, buffers: Sequence[Minibatches], n_updates: int, progress: tuple[float, float], seed: int, scale: float
    ) -> dict[str, float]:
        for loss in self.losses:
            begin_draws(loss, seed)
        share = max(1, self.config.batch_size // len(buffers))
        drawn = [
            buffer.minibatches(n_updates, share, torch.Generator().manual_seed(seed + number))
            for number, buffer in enumerate(buffers)
        ]
        before, after = progress
        total, norms = np.zeros(len(buffers)), 0.0
        for update, batches in enumerate(zip(*drawn, strict=True)):
            losses, gradients = [], []
            for step, places, batch in zip(self._steps, self._places, batches, strict=True):
                np.take(self.adam.weights, places, out=step.adam.weights)
                value, gradient = step.gradient(batch)
                losses.append(value)
                gradients.append(gradient)
            weights = self.balance.weights(np.array(losses))
            self._gradient[:] = 0.0
            for weight, places, gradient in zip(weights, self._places, gradients, strict=True):
                # No place is there twice: of one task.
                self._gradient[places] += np.float32(weight) * gradient
            rate = scale * learning_rate(self.config, before + (after - before) * update / n_updates)
            norms += self.adam.step(self._gradient, rate)
            total += losses
        return self._measured(total / n_updates, norms / n_updates)

    def _measured(self, losses: np.ndarray, norm: float) -> dict[str, float]:
        """Hand the students what was learnt and return the metrics, of each task by its name.

        Raises:
            Divergence: where a loss or the gradient was not finite.
        """
        wrong = [task for task, value in zip(self.policies, losses, strict=True) if not math.isfinite(value)]
        if wrong or not math.isfinite(norm):
            raise Divergence(
                f"the loss or its gradient is not finite{f' in {wrong[0]}' if wrong else ''}: the student diverged; "
                f"lower --learning-rate (now {self.config.learning_rate}) or check the teachers' outputs"
            )
        self.write()
        of_tasks = {f"task/{task}/train/loss": float(one) for task, one in zip(self.policies, losses, strict=True)}
        return {"train/loss": float(losses.mean()), "train/grad_norm": float(norm), **of_tasks}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""
        balance = {f"balance.{name}": array for name, array in self.balance.state().items()}
        return {**{f"adam.{name}": array for name, array in self.adam.state().items()}, **balance}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, KeyError: where that is of other students.
        """
        parts = {
            prefix: {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            for prefix in ("adam.", "balance.")
        }
        self.adam.restore(parts["adam."])
        self.balance.restore(parts["balance."])
        self.write()
