"""A stream of labelled states: environments that somebody steps, a teacher that labels, a buffer of what was seen.

In: who acts. Out: rollouts, their labels, and the buffer that learners draw from. A stream knows no student: one or
many learn from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from policy_distill.collection.collector import Collector
from policy_distill.collection.labelling import label_each
from policy_distill.collection.rollout import COLUMNS, Rollout
from policy_distill.collection.workers.staff import Staff
from policy_distill.collection.workers.unit import Labelling
from policy_distill.config import DistillConfig
from policy_distill.environments.restarts import Restarts
from policy_distill.interfaces.policies import Actor, Labels, Teacher
from policy_distill.interfaces.stepping import Environments, Source
from policy_distill.run.columns import check_columns, shapes_of, values_of
from policy_distill.run.sight import Sight
from policy_distill.student.features import Featurizer, Normalizer
from policy_distill.student.spaces import describe_space
from policy_distill.system.stopwatch import Stopwatch
from policy_distill.training.buffer import Buffer
from policy_distill.training.memory import capacity_of
from policy_distill.training.spec import images_like
from policy_distill.training.stores import make_store
from policy_distill.training.teacher_episodes import NEEDED, SHAPES, TeacherEpisodes


class Stream:
    """Collects and labels; what it holds changes with every rollout."""

    def __init__(
        self,
        teacher: Teacher,
        envs: Environments,
        config: DistillConfig,
        network: str,
        source: Source | None = None,
        columns: tuple[str, ...] = (),
        noted: tuple[str, ...] = (),
    ) -> None:
        """Open a stream for students of `network`: whether bytes are pixels is a question of that.

        `columns` are kept beside features and labels, as of `policy_distill.run.columns`; those that are `noted` are in
        each rollout alone. `source` steps the environments; by default a `Collector` does, in this process.
        """
        self.teacher = teacher
        self.envs = envs
        self.config = config
        self.network = network
        self.sight = Sight(envs, config, network)
        """What teacher and students see of an observation."""
        self.images: tuple[str, ...] = images_like(teacher, network, self.sight.space)
        """Keys of the observation whose bytes are taken as pixels; "" for the observation itself."""
        self.staff = Staff(source or Collector(envs, config.seed))
        self.restarts = envs.faults.restarts = Restarts(config.env_restarts)
        self.watch = Stopwatch()
        self.env_steps, self.ended = 0, False  # ended: before all of the settings' steps were taken
        self.masked = teacher.takes_action_masks
        """True where the environments are asked which actions are allowed."""
        self.label_states: list[Any] | None = None
        """What a recurrent teacher that labels carries from rollout to rollout, of each environment."""
        self.normalizer: Normalizer | dict[str, Normalizer] | None = None
        """The statistics that features are made with, once there is a first rollout."""
        check_columns((*columns, *noted))
        self._columns, self._noted = columns, (*columns, *noted)
        self.episodes = TeacherEpisodes.of(config, envs.n_envs)
        """The teacher's own episodes, where failed ones are left out; None where all are learnt from."""
        self._opened: tuple[Featurizer, Buffer] | None = None

    @property
    def source(self) -> Source:
        """Who steps the environments."""
        return self.staff.source

    @property
    def progress(self) -> float:
        """Share of all data collected so far, in [0, 1]."""
        return min(self.env_steps / self.config.timesteps, 1.0)

    @property
    def done(self) -> bool:
        """True when no more data is collected."""
        return self.ended or self.env_steps >= self.config.timesteps

    @property
    def is_open(self) -> bool:
        """True once there are states to learn from."""
        return self._opened is not None

    @property
    def featurizer(self) -> Featurizer:
        """From raw observations to the features that are stored."""
        assert self._opened is not None, "the first rollout opens the buffer"
        return self._opened[0]

    @property
    def buffer(self) -> Buffer:
        """All labelled states so far, or as many as fit."""
        assert self._opened is not None, "the first rollout opens the buffer"
        return self._opened[1]

    def collect(self, actor: Actor, teacher_share: float, *, greedy: bool, recorded: Sequence[str] = ()) -> Rollout:
        """Gather the next rollout, shorter where fewer steps are left; of its actions a share are the teacher's.

        Beside the columns of the buffer it holds what is to be `recorded`, as of `Rollout.columns`.
        """
        self.staff.tell(self._labelling())
        rollout = self._collect(self.source, actor, self._n_steps(), greedy, teacher_share, recorded=recorded)
        self.watch.seconds["environment"] = self.source.env_seconds
        return rollout

    def ahead(self, actor: Actor, teacher_share: float, *, greedy: bool) -> None:
        """Let workers begin the rollout that `collect` asks for next, with the same arguments."""
        if self.done:
            return self.staff.dismiss()
        ahead = self.watch.to_collect(self.progress), self.watch.relief
        told: dict[str, Any] = {"masked": self.masked, "columns": self._names(())}
        self.staff.ahead(self._labelling(), *ahead, actor, self._n_steps(), greedy, teacher_share, **told)

    def _labelling(self) -> Labelling:
        return Labelling(self.teacher, self.is_open and not self.staff.awaited, self.valued, self.label_states)

    def _n_steps(self) -> int:
        return min(self.config.n_steps, -(-(self.config.timesteps - self.env_steps) // self.envs.n_envs))

    def _names(self, recorded: Sequence[str]) -> list[str]:
        """Return the columns that a rollout is to hold."""
        needed = (*self._noted, *(NEEDED if self.episodes else ()), *recorded)
        return [name for name in dict.fromkeys(needed) if name in COLUMNS]

    def collect_beside(self, source: Source, actor: Actor, n_steps: int) -> Rollout:
        """Gather a rollout of `n_steps` beyond what was asked for, from another source, by the mode of who acts."""
        return self._collect(source, actor, n_steps, True, 0.0)

    def _collect(self, source: Source, *asked: Any, recorded: Sequence[str] = ()) -> Rollout:
        with self.watch.timed("collect"):
            told: dict[str, Any] = {"masked": self.masked, "columns": self._names(recorded)}
            found = source.collect(*asked, **told)
            # Features are made of arrays, wherever the source has its observations.
            rollout = found.as_arrays()
            self.env_steps += rollout.episode_starts.size
        return rollout

    def label(self, rollout: Rollout) -> torch.Tensor:
        """Return the teacher's distribution parameters `[T * N, P]` for a rollout."""
        return self.label_whole(rollout).params

    def label_whole(self, rollout: Rollout) -> Labels:
        """Return all that the teacher says of a rollout: parameters `[T * N, P]`, and values `[T * N]` if asked for.

        Raises:
            RequestError: where values are asked for that the labels of a teacher of one's own do not have.
        """
        with self.watch.timed("label"):
            if not self.is_open:
                self.teacher = self.teacher.calibrated(self.sight.taught(rollout.obs))
            obs, starts, masks = self.sight.taught(rollout.obs), rollout.episode_starts, rollout.action_masks
            teacher = self.teacher.with_values() if self.valued else self.teacher
            found = rollout.labels or label_each(teacher, obs, starts, self.label_states, masks, valued=self.valued)
            self.label_states = found.state
        return Labels(found.params.flatten(0, 1), value=None if found.value is None else found.value.reshape(-1))

    @property
    def valued(self) -> bool:
        """True where the teacher's values are asked for."""
        return "teacher_value" in self._columns

    def features(self, rollout: Rollout) -> torch.Tensor:
        """Return what students see of a rollout, `[T * N, D]`; the first one says how."""
        if not self.is_open:
            self.open(self.sight.statistics(self.teacher, rollout.flat_obs, self.images))
        return self.features_of(rollout.flat_obs)

    def features_of(self, obs: Any) -> torch.Tensor:
        """Return what students see of raw observations `[B, ...]` of the environments, `[B, D]`."""
        return torch.from_numpy(self.featurizer(self.sight.seen(obs)))

    def store(
        self,
        rollout: Rollout,
        features: torch.Tensor,
        teacher_params: torch.Tensor,
        values: torch.Tensor | None = None,
    ) -> None:
        """Keep a labelled rollout, with its `values` where asked for; in place of all before where settings say so."""
        if self.config.buffer == "latest":
            self.buffer.clear()
        self.buffer.add(features, teacher_params, self.kept(rollout, values))

    def kept(self, rollout: Rollout, values: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Return what is kept of a rollout beside features and labels, `[T * N, ...]`, by name."""
        return values_of(self._columns, rollout, values) | (self.episodes.columns_of(rollout) if self.episodes else {})

    def open(self, normalizer: Normalizer | dict[str, Normalizer] | None) -> None:
        """Make room for states whose features are made with `normalizer`."""
        config, n_envs, device = self.config, self.envs.n_envs, self.config.device
        featurizer = Featurizer(describe_space(self.sight.space), normalizer, self.images)
        store = make_store(featurizer, capacity_of(config, n_envs), n_envs, self.sight.n_frames, device)
        shapes = {**shapes_of(self._columns, self.teacher), **(SHAPES if self.episodes else {})}
        self.normalizer = normalizer
        self._opened = featurizer, Buffer(store, self.teacher.family.n_params, n_envs, shapes)

    def metrics(self) -> dict[str, float]:
        """Return returns, shares and times."""
        found = self.watch.metrics(self.env_steps) | self.restart_metrics()
        if self.source.returns:
            found["rollout/student_return"] = sum(self.source.returns) / len(self.source.returns)
        return found | (self.episodes.metrics() if self.episodes else {})

    def restart_metrics(self) -> dict[str, float]:
        """Return how many environments were restarted so far."""
        return {"rollout/env_restarts": self.restarts.n_here} if self.config.env_restarts else {}
