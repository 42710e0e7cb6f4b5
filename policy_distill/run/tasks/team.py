"""Several tasks and one student between two rollouts: a stream for each task, and one trainer that learns from all.

In: a session for each task. Out: the stages that `course.py` puts in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.config import DistillConfig
from policy_distill.evaluation.fidelity import measure_fidelity
from policy_distill.run.session import Session
from policy_distill.run.stream import Stream
from policy_distill.run.tasks.settings import TaskSettings
from policy_distill.student.many import ManyTasks
from policy_distill.student.runtime import Student
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import while_learning
from policy_distill.training.schedule import n_updates, seed_of
from policy_distill.training.tasks.balance import Balance
from policy_distill.training.tasks.sharing import BodySpec, Sharing, share
from policy_distill.training.tasks.trainer import SharedTrainer


@dataclass(frozen=True)
class Task:
    """One task of several."""

    name: str
    session: Session
    """Its stream, and a learner whose student the shared trainer writes."""
    env: Any
    """What those who judge make their environments from."""

    @property
    def stream(self) -> Stream:
        """Its environments, its teacher and its states."""
        return self.session.stream

    @property
    def learner(self) -> GradientLearner:
        """Who holds its student."""
        found = self.session.learner
        assert isinstance(found, GradientLearner), "checked before the run"
        return found


class Team:
    """All tasks of a run."""

    def __init__(self, tasks: Mapping[str, Task], network: str, settings: TaskSettings, config: DistillConfig) -> None:
        self.tasks, self.network, self.settings, self.config = dict(tasks), network, settings, config
        self.iteration = 0
        """Rollouts of each task that were learnt from."""
        self._trainer: SharedTrainer | None = None

    @property
    def streams(self) -> list[Stream]:
        """Those of all tasks."""
        return [task.stream for task in self.tasks.values()]

    @property
    def begun(self) -> bool:
        """True once there is a student."""
        return self._trainer is not None

    @property
    def trainer(self) -> SharedTrainer:
        """Who learns."""
        assert self._trainer is not None, "the first rollouts make the student"
        return self._trainer

    @property
    def env_steps(self) -> int:
        """Environment steps that were collected, over all tasks."""
        return sum(stream.env_steps for stream in self.streams)

    @property
    def done(self) -> bool:
        """True when no more data is collected."""
        return all(stream.done for stream in self.streams)

    def collect(self) -> dict[str, Rollout]:
        """Gather the next rollout of each task: the teacher's own first, then its student's."""
        return {name: task.session.collect() for name, task in self.tasks.items()}

    def label(self, rollouts: Mapping[str, Rollout]) -> dict[str, torch.Tensor]:
        """Return each teacher's distribution parameters `[T * N, P]` of its own rollout."""
        return {name: task.stream.label(rollouts[name]) for name, task in self.tasks.items()}

    def learn(self, rollouts: Mapping[str, Rollout], labels: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Store labelled rollouts and learn from all states so far; return what was measured."""
        first = self.streams[0]
        with while_learning(), first.watch.timed("train"):
            self._open(rollouts)
            features = {name: task.stream.features(rollouts[name]) for name, task in self.tasks.items()}
            if not self.begun:
                self.create(labels)
            metrics = self._measured(features, labels)
            for name, task in self.tasks.items():
                task.stream.store(rollouts[name], features[name], labels[name])
            n_new = sum(map(len, features.values()))
            before = min((first.env_steps - len(features[next(iter(features))])) / self.config.timesteps, 1.0)
            n_steps = n_updates(self.config, n_new, before)
            seed = seed_of(self.config, self.iteration, "train")
            buffers = [stream.buffer for stream in self.streams]
            metrics |= self.trainer.fit(buffers, n_steps, (before, first.progress), seed)
            self.iteration += 1
            for task in self.tasks.values():
                task.session.iteration = self.iteration
        return {**metrics, **self._times()}

    def _open(self, rollouts: Mapping[str, Rollout]) -> None:
        """Where one network serves all tasks, let one normaliser do so too: that of all first rollouts together."""
        first = self.streams[0]
        if not self.settings.task_blind or first.is_open:
            return
        seen = [rollout.flat_obs for rollout in rollouts.values()]
        whole = (
            {key: np.concatenate([one[key] for one in seen]) for key in seen[0]}
            if isinstance(seen[0], dict)
            else (np.concatenate(seen))
        )
        statistics = None if self.config.normalize == "none" else first.sight.measured(whole, first.images)
        for stream in self.streams:
            stream.open(statistics)

    def create(self, labels: Mapping[str, torch.Tensor] | None = None) -> None:
        """Make all students and the trainer; log σ starts at that of the labels, weights of losses by them."""
        for name, task in self.tasks.items():
            task.session.create_student(task.stream.normalizer, None if labels is None else labels[name])
        balance = Balance(self.settings.balance, len(self.tasks))
        if labels is not None:
            families = [stream.teacher.family for stream in self.streams]
            balance.begin(families, [labels[name] for name in self.tasks])
        policies = {name: task.learner.policy for name, task in self.tasks.items()}
        losses = [task.session.loss for task in self.tasks.values()]
        self._trainer = SharedTrainer(policies, losses, self.sharing(), self.config, balance)

    def sharing(self) -> Sharing:
        """Return which arrays the students share."""
        spaces = [task.session.specify(None).observation_space for task in self.tasks.values()]
        numbers = [spaces.index(one) for one in spaces]
        shapes = {
            name: {key: tuple(value.shape) for key, value in task.learner.policy.state_dict().items()}
            for name, task in self.tasks.items()
        }
        settings = self.settings
        return share(
            shapes,
            numbers,
            BodySpec.of(self.network).n_shared,
            padded=settings.inputs == "padded",
            blind=settings.task_blind,
        )

    def student(self, students: Mapping[str, Student]) -> ManyTasks:
        """Return the students of all tasks as one, whose arrays are stored once."""
        trainer = self.trainer
        return ManyTasks.joined(
            students,
            {name: {own: list(at) for own, at in places.items()} for name, places in trainer.sharing.places.items()},
            trainer.stored(),
            network=self.network,
            inputs=self.settings.inputs,
            task_blind=self.settings.task_blind,
        )

    def _measured(self, features: Mapping[str, torch.Tensor], labels: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Return how closely each student follows its teacher on states that it has not learnt from."""
        found: dict[str, float] = {}
        for name, task in self.tasks.items():
            fidelity = measure_fidelity(task.stream.teacher, task.learner, features[name], labels[name])
            found |= {f"task/{name}/train/kl": fidelity.kl, f"task/{name}/train/agreement": fidelity.agreement}
            if task.stream.source.returns:
                returns = task.stream.source.returns
                found[f"task/{name}/rollout/student_return"] = sum(returns) / len(returns)
        for metric in ("train/kl", "train/agreement"):
            found[metric] = float(np.mean([found[f"task/{name}/{metric}"] for name in self.tasks]))
        return found

    def _times(self) -> dict[str, float]:
        """Return where the time went, over all tasks, and restarts of their environments."""
        parts = [stream.watch.metrics(stream.env_steps) for stream in self.streams]
        found = {name: sum(part[name] for part in parts) for name in parts[0]}
        found["time/fps"] = self.env_steps / max(found["time/wall_seconds"], 1e-9)
        if self.config.env_restarts:
            found["rollout/env_restarts"] = sum(stream.restarts.n_here for stream in self.streams)
        return found
