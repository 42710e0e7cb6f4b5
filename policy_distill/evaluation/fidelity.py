"""Fidelity: how closely the student follows the teacher, state by state, where the student itself goes.

In: teacher and student on held-out episodes. Out: mean forward KL in nats and the agreement of deterministic actions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.collection.along import outputs_along
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Learner
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.actions import ActionMap
from policy_distill.student.onboard.origins import StudentProvenance, TeacherProvenance
from policy_distill.student.runtime import Student
from policy_distill.student.sampling import params_of

BURN_IN = 16
"""Steps in which a student that begins in the middle of an episode comes to remember what it should."""
CHUNK_NUMBERS = 2**22
"""Numbers in the features of one forward pass at most: images would else fill the memory."""


@dataclass(frozen=True)
class Fidelity:
    """Agreement and divergence over a set of states."""

    agreement: float
    """Share of states with equal deterministic actions (discrete), or 1 less the mean absolute difference of the
    executed actions as a share of the action range (continuous)."""
    kl: float
    """Mean of KL(teacher ‖ student), in nats; NaN for a deterministic teacher, which has no density."""


def fidelity_of(teacher: Teacher, student: Student, outputs: np.ndarray, teacher_params: torch.Tensor) -> Fidelity:
    """Compare outputs `[B, n_outputs]` of a student's network with labels `[B, P]`."""
    return _fidelity(teacher, teacher_params, torch.from_numpy(params_of(student.record, outputs)))


@torch.no_grad()
def measure_fidelity(
    teacher: Teacher, learner: Learner, features: torch.Tensor, teacher_params: torch.Tensor
) -> Fidelity:
    """Compare a learner's student on features `[B, D]` whose labels `[B, P]` the teacher gave."""
    parts = features.split(max(1, CHUNK_NUMBERS // features[0].numel()))
    return _fidelity(teacher, teacher_params, torch.cat([learner.params(part) for part in parts]))


def fidelity_along(
    teacher: Teacher,
    student: Student,
    obs: Any,
    episode_starts: np.ndarray,
    teacher_params: torch.Tensor,
    actions: np.ndarray | None = None,
) -> Fidelity:
    """Compare a student with a memory on raw observations `[T, N, ...]` whose labels `[T * N, P]` the teacher gave.

    `actions` are the executed ones, for a student that remembers them. It begins with nothing remembered, so the first
    steps are not looked at.
    """
    outputs, _ = outputs_along(student, obs, episode_starts, actions=actions)
    n_steps, n_envs, n_outputs = outputs.shape
    first = min(BURN_IN, n_steps // 2)
    found = params_of(student.record, outputs[first:].reshape(-1, n_outputs))
    return _fidelity(teacher, teacher_params[first * n_envs :], torch.from_numpy(found))


def _fidelity(teacher: Teacher, teacher_params: torch.Tensor, student_params: torch.Tensor) -> Fidelity:
    # Where the labels lie, since that is where the teacher computes; what is counted of actions is small.
    family, student_params = teacher.family, student_params.to(teacher_params.device)
    kl = family.kl(teacher_params, student_params).mean() if family.has_density else math.nan
    return Fidelity(agreement(family, teacher.action_map, teacher_params, student_params), float(kl))


def agreement(
    family: ActionDistribution, action_map: ActionMap, teacher_params: torch.Tensor, student_params: torch.Tensor
) -> float:
    """Return the agreement of the deterministic executed actions for parameters `[B, P]`; see `Fidelity`."""
    taught = action_map.execute(family.mode(teacher_params).cpu().numpy())
    chosen = action_map.execute(family.mode(student_params).cpu().numpy())
    if action_map.kind == "index":
        return float((taught == chosen).reshape(len(taught), -1).all(axis=1).mean())
    difference = np.abs(taught.astype(np.float64) - chosen) / _action_range(action_map, taught)
    return float(1.0 - difference.mean())


def as_taught(teacher: Teacher, provenance: Any) -> Teacher:
    """Return a teacher as a student knew it: calibrated as the student's `provenance` says, where it is the same.

    A τ found in other states would be another teacher's distribution, and a KL to it another number.
    """
    origin = StudentProvenance.of(provenance)
    if origin.teacher is None:
        return teacher
    members = list(teacher.members)
    records = (origin.taught_by.members or []) if members else [origin.teacher]
    pairs = list(zip(members or [teacher], records, strict=False))
    if len(pairs) != len(members or [teacher]) or not all(_is_same(one, record) for one, record in pairs):
        return teacher
    found = [TeacherProvenance.of(record).temperature for _, record in pairs]
    if all(value is None for value in found):
        # Of a version that did not note it.
        return teacher
    return teacher.with_calibration(found if members else found[0])


def _is_same(teacher: Teacher, record: Any) -> bool:
    """Say whether a record is of this teacher, as far as both tell: a live model has no file."""
    if not isinstance(record, dict):
        return False
    own, noted = TeacherProvenance.of(teacher.provenance), TeacherProvenance.of(record)
    files = (own.sha256, noted.sha256)
    return own.algorithm == noted.algorithm and (None in files or files[0] == files[1])


def _action_range(action_map: ActionMap, taught: np.ndarray) -> Any:
    if action_map.low is not None and action_map.high is not None:
        span = action_map.high.astype(np.float64) - action_map.low
        if np.isfinite(span).all():
            return span
    # Without bounds, the range that the teacher uses.
    return np.maximum(np.ptp(taught, axis=0), 1e-8)
