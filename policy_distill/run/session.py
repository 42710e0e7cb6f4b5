"""What a distillation holds between rollouts, and how it is saved and restored.

In: teacher, environments and settings. Out: the stages that `distill.py` puts in order.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from policy_distill.collection.actors import MixedActor, TeacherActor, check_labels
from policy_distill.collection.rollout import Collector, Rollout
from policy_distill.config import DistillConfig
from policy_distill.environments.fit import check_keys
from policy_distill.environments.frame_stack import frames_of
from policy_distill.environments.open import Environments
from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.fidelity import Fidelity, fidelity_in_episodes, measure_fidelity
from policy_distill.interfaces import Loss, Policy, Teacher
from policy_distill.student.check import check_writable
from policy_distill.student.features import Normalizer
from policy_distill.student.masks import takes_masks
from policy_distill.student.measuring import measure_normalizer
from policy_distill.student.runtime import Student
from policy_distill.training.buffer import Buffer
from policy_distill.training.memory import capacity_of
from policy_distill.training.policy import StudentPolicy, StudentSpec, images_like
from policy_distill.training.schedule import acts_by_mode, n_updates, seed_of
from policy_distill.training.stores import make_store
from policy_distill.training.trainer import Trainer

MEASURED_STATES = 4_000
"""States on which the fidelity at the end is measured, at most; a tenth of a short run."""

STAGES = ("collect", "label", "train", "evaluate")


class Session:
    """Everything that changes while a student is distilled."""

    def __init__(self, teacher: Teacher, envs: Environments, network: str, loss: Loss, config: DistillConfig) -> None:
        self.teacher = teacher
        self.envs = envs
        self.network = network
        self.loss = loss
        self.config = config
        check_keys(config.observation_keys, envs)
        self.collector = Collector(envs, config.seed)
        self.restarts = envs.faults.restarts = Restarts(config.env_restarts)
        self.env_steps = 0
        self.iteration = 0
        self.began = time.perf_counter()
        """When the run began, on the clock of this process; earlier by what a resumed run had taken before."""
        self.seconds = dict.fromkeys((*STAGES, "environment"), 0.0)
        """Time spent in each stage; `environment` is a part of `collect`."""
        self.policy: StudentPolicy | None = None
        self.label_state: Any = None
        """What a recurrent teacher that labels carries from rollout to rollout."""
        self.masked = takes_masks(teacher)

    @property
    def progress(self) -> float:
        """Share of all data collected so far, in [0, 1]."""
        return min(self.env_steps / self.config.timesteps, 1.0)

    @property
    def done(self) -> bool:
        """True when all data is collected."""
        return self.env_steps >= self.config.timesteps

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent within to one of `STAGES`."""
        began = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - began

    def actor(self) -> tuple[Policy, float]:
        """Return who acts next, and the teacher's share: the teacher first, then as `config.actor` says."""
        seed = seed_of(self.config, self.iteration, "act")
        teacher = TeacherActor(self.teacher, seed)
        if self.policy is None or self.config.actor == "teacher":
            return teacher, 1.0
        student = self.student()
        student.seed(seed)
        if self.config.actor == "student":
            return student, 0.0
        share = 1.0 - self.progress
        rng = np.random.default_rng(seed_of(self.config, self.iteration, "mix"))
        return MixedActor(teacher, student, share, rng), share

    def collect(self) -> Rollout:
        """Gather the next rollout, shorter where fewer steps are left."""
        with self.timed("collect"):
            left = -(-(self.config.timesteps - self.env_steps) // self.envs.n_envs)
            actor, share = self.actor()
            n_steps, greedy = min(self.config.n_steps, left), acts_by_mode(self.config, self.iteration, share)
            rollout = self.collector.collect(actor, n_steps, greedy, share, masked=self.masked)
            self.env_steps += rollout.episode_starts.size
        self.seconds["environment"] = self.collector.env_seconds
        return rollout

    def label(self, rollout: Rollout) -> torch.Tensor:
        """Return the teacher's distribution parameters `[T * N, P]` for a rollout."""
        with self.timed("label"):
            if self.policy is None and hasattr(self.teacher, "calibrated"):
                self.teacher = self.teacher.calibrated(rollout.obs)
            params, self.label_state = self.teacher.label(
                rollout.obs, rollout.episode_starts, self.label_state, rollout.action_masks
            )
            check_labels(params)
        return params.reshape(-1, params.shape[-1])

    def learn(self, rollout: Rollout, teacher_params: torch.Tensor) -> dict[str, float]:
        """Store a labelled rollout and train; return what was measured, on its states before training on them."""
        with self.timed("train"):
            if self.policy is None:
                self.create_student(self._normalizer(rollout), teacher_params)
            features = torch.from_numpy(self._policy.featurizer(rollout.flat_obs))
            fidelity = measure_fidelity(self.teacher, self._policy, features, teacher_params)
            if self.config.buffer == "latest":
                self.buffer.clear()
            self.buffer.add(features, teacher_params)
            generator = torch.Generator().manual_seed(seed_of(self.config, self.iteration, "train"))
            before = min((self.env_steps - len(features)) / self.config.timesteps, 1.0)
            n_steps = n_updates(self.config, len(features), before)
            metrics = self.trainer.fit(self.buffer, n_steps, (before, self.progress), generator)
            self.iteration += 1
        return {**metrics, "train/kl": fidelity.kl, "train/agreement": fidelity.agreement}

    def progress_metrics(self, rollout: Rollout) -> dict[str, float]:
        """Return what an iteration adds to the training's own metrics: returns, shares and times."""
        spent = sum(self.seconds[stage] for stage in STAGES)
        metrics = {f"time/{stage}_seconds": self.seconds[stage] for stage in ("collect", "label", "train")}
        metrics |= {"time/fps": self.env_steps / spent, "time/wall_seconds": spent}
        metrics |= self.restart_metrics()
        metrics["rollout/teacher_share"] = rollout.teacher_share
        if self.collector.returns:
            metrics["rollout/student_return"] = sum(self.collector.returns) / len(self.collector.returns)
        return metrics

    def restart_metrics(self) -> dict[str, float]:
        """Return how many environments were restarted so far."""
        return {"rollout/env_restarts": self.restarts.n_here} if self.config.env_restarts else {}

    def create_student(self, normalizer: Any, teacher_params: torch.Tensor | None = None) -> None:
        """Make the student, its optimiser and the buffer."""
        spec = StudentSpec.like(self.teacher, self.network, self.config.activation, normalizer, self.observed_space())
        self.policy = StudentPolicy(spec, torch.Generator().manual_seed(self.config.seed)).to(self.config.device)
        # Before hours of training: what no file can hold is of no use in the end.
        check_writable(self.student())
        if teacher_params is not None:
            self.policy.start_at(teacher_params.to(self.config.device))
        n_envs, featurizer = self.envs.n_envs, self.policy.featurizer
        size = (capacity_of(self.config, n_envs), n_envs, frames_of(self.envs))
        self.buffer = Buffer(make_store(featurizer, *size, self.config.device), spec.family.n_params)
        self.trainer = Trainer(self.policy, self.loss, self.config)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the NumPy student with the weights as they are now."""
        return Student.of(self._policy.to_record(provenance or {}, retention))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the student's weights."""
        return {name: value.detach().clone() for name, value in self._policy.state_dict().items()}

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of the last update, by the names of the weights."""
        return {f"gradients/{name}": grad for name, grad in self.trainer.stepper.gradients().items()}

    def set_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the student other weights."""
        self._policy.load_state_dict(weights)

    def measure(self) -> Fidelity:
        """Let the student act in fresh whole episodes and compare it with the teacher there; they train nobody."""
        n_states = min(MEASURED_STATES, max(1_000, self.config.timesteps // 10))
        with self.timed("evaluate"):
            seed, masked = self.config.seed, self.masked
            return fidelity_in_episodes(self.teacher, self._policy, self.envs, seed, n_states, masked=masked)

    @property
    def _policy(self) -> StudentPolicy:
        assert self.policy is not None, "the first rollout makes the student"
        return self.policy

    @property
    def images(self) -> tuple[str, ...]:
        """Keys of the observation whose bytes the student takes as pixels; "" for the observation itself."""
        return images_like(self.teacher, self.network, self.observed_space())

    def observed_space(self) -> Any:
        """Return the space that the student sees: the environment's, or some keys of it."""
        space: Any = self.envs.observation_space
        keys = self.config.observation_keys
        return spaces.Dict(OrderedDict((key, space[key]) for key in keys)) if keys else space

    def _normalizer(self, rollout: Rollout) -> Normalizer | dict[str, Normalizer] | None:
        known = self.teacher.normalizer
        if isinstance(known, dict):
            keys = self.config.observation_keys
            return {key: value for key, value in known.items() if not keys or key in keys}
        if known is not None or self.config.normalize == "none":
            return known
        # Choices cannot be measured, and pixels need not be.
        obs, space, images = rollout.flat_obs, self.observed_space(), self.images
        if isinstance(obs, dict):
            boxes = {k: sub for k, sub in space.spaces.items() if isinstance(sub, spaces.Box) and k not in images}
            return {key: measure_normalizer(obs[key], sub.low, sub.high) for key, sub in boxes.items()}
        measurable = isinstance(space, spaces.Box) and not images
        return measure_normalizer(obs, space.low, space.high) if measurable else None
