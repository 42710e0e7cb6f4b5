"""A student as a teacher: of a smaller one, or with others of several training seeds as one teacher of one student."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policy_distill.collection.along import outputs_along
from policy_distill.environments.choice import recorded_in
from policy_distill.errors import RequestError
from policy_distill.families.table import make_family
from policy_distill.interfaces.policies import Labels
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.sampling import params_of
from policy_distill.student.spaces import make_space
from policy_distill.teachers.base import BaseTeacher
from policy_distill.teachers.by_labels import predict_by_labels, ruled_out
from policy_distill.teachers.observing import label_in_chunks
from policy_distill.teachers.request import Request


class StudentTeacher(BaseTeacher):
    """Labels with a student's own distribution; what it has inside (statistics, memory, view) stays inside."""

    labels_apart = True

    def __init__(self, student: Student, source: str | None = None, sha256: str | None = None) -> None:
        """Let a student teach; `source` and `sha256` are those of its file, None for one that has none.

        Raises:
            RequestError: for one without log σ, that remembers what it did itself, or with a wrapper of its own around
                the environment.
        """
        said, view, known = student.description, student.view, recorded_in(student)
        if student.plan.log_std == "dropped":
            raise RequestError(
                "expected a student with log σ to teach another, found one that was saved for deterministic actions "
                "only; use the student that it was made from, or make it again with --keep-std"
            )
        if student.plan.memory.awaited is not None:
            # Labels are asked for along what others did, and a teacher is not told of it.
            raise RequestError(
                "expected a student that does not remember its own actions to teach another, found "
                f"{said.architecture.spec}; distil its own teacher"
            )
        if view.wrapper is not None:
            raise RequestError(
                "expected a student without a wrapper to teach another, found one with "
                f"{view.wrapper['entry_point']}; distil its own teacher"
            )
        self.student = student
        self.family = make_family(said.distribution.family, said.distribution.config)
        self.action_map = student.plan.action_map
        self.action_space = student.action_space
        self.observation_space = student.observation_space if view.whole is None else make_space(view.whole)
        # Of what it does not see it has no statistics.
        self.normalizer = student.normalizer if view.whole is None else None
        self.state_dependent_std = said.architecture.log_std == "head"
        self.takes_action_masks = student.takes_action_masks
        self.samples = student.samples
        self.acts_greedily = not student.samples
        self.env_wrappers = student.env_wrappers
        self.env_kwargs = {} if known is None or known.missing else known.own_kwargs
        self.n_params, self.n_bytes = student.n_params, said.architecture.sizes.n_bytes
        self.provenance: dict[str, Any] = {
            "algorithm": "student",
            "policy_class": said.architecture.spec,
            "source": source,
            "sha256": sha256,
            "env_wrappers": self.env_wrappers,
            "teacher": student.origin.teacher,
            "spent_seeds": [] if (spent := student.origin.spent_seeds) is None else spent,
            "library_versions": student.origin.library_versions or {},
        }

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return the student's parameters `[T, N, P]`; see `Teacher.label`."""
        if not self.student.plan.memory.size:
            params = label_in_chunks(obs, lambda part: torch.from_numpy(self.student.distribution_params(part)))
        else:
            outputs, state = outputs_along(self.student, obs, episode_starts, state)
            flat = params_of(self.student.record, outputs.reshape(-1, outputs.shape[-1]))
            params = torch.from_numpy(flat.reshape(*episode_starts.shape, -1))
        return Labels(ruled_out(params, action_masks if self.takes_action_masks else None), state)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions; its mode as the student itself acts, samples from torch's generator, as others'."""
        if deterministic or not self.samples:
            return self.student.predict(observation, state, episode_start, True, action_masks)
        return predict_by_labels(self, observation, state, episode_start, False, action_masks)

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return its tensors."""
        return {name: torch.from_numpy(array) for name, array in self.student.tensors.items()}


def teacher_of_student(source: Student | Path, request: Request) -> StudentTeacher:
    """Return a student, or that of a file, as a teacher.

    Raises:
        RequestError: as of `load_student`, and for options that only other agents have.
    """
    named = {
        "algo": request.algo != "auto",
        "vecnormalize": request.vecnormalize is not None and not request.declines_statistics,
        "wrapper": request.wrappers is not None,
        "trust": request.trust,
    }
    if unfit := [name for name, given in named.items() if given]:
        raise RequestError(
            f"expected no {unfit[0]} with a student as the teacher, since its file has all that it needs; leave out "
            f"--{unfit[0]}"
        )
    if isinstance(source, Student):
        return StudentTeacher(source)
    return StudentTeacher(load_student(source), source.name, hashlib.sha256(source.read_bytes()).hexdigest())
