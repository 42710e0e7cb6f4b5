"""A distillation as its settings ask for it: by the divergence alone, or with the reward in the loop.

In: teacher, environments and settings. Out: the session, and the course that it takes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.environments.open import without_normalization
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.interfaces.students import Loss
from policy_distill.run.course import Course
from policy_distill.run.finetuning.rewarded import RewardedSession
from policy_distill.run.finetuning.selection import FinetuneSelection
from policy_distill.run.judging.selection import N_CANDIDATES
from policy_distill.run.judging.stopping import StoppingSelection
from policy_distill.run.place import Place
from policy_distill.run.provenance import RunIdentity
from policy_distill.run.session import Session
from policy_distill.system.interrupts import Interrupts
from policy_distill.system.progress import Progress
from policy_distill.tracking.fan_out import FanOut


class RewardedCourse(Course):
    """A distillation with the reward in the loop: what students stand between is measured first."""

    selection: FinetuneSelection

    def iterate(self, tracker: FanOut, bar: Progress) -> None:
        """Measure teacher and random policy, then run iterations until all data is collected."""
        if self.selection.judges and not self.session.has_student:
            self.selection.measure()
        super().iterate(tracker, bar)


def session_of(teacher: Teacher, envs: Environments, student: str, loss: Loss, config: DistillConfig) -> Session:
    """Return a session that learns from what the settings ask for."""
    kind = RewardedSession if config.reward_weight > 0.0 else Session
    return kind(teacher, envs, student, loss, config)


def course_of(
    session: Session,
    env: Any,
    identity: RunIdentity,
    place: Place,
    interrupts: Interrupts,
    scope: ExitStack,
    request: dict[str, Any] | None = None,
) -> Course:
    """Return the course of a session, its folder taken up within `scope`; `request` is as of `Course`."""
    if not isinstance(session, RewardedSession):
        judge = StoppingSelection(session, without_normalization(env)) if session.config.stop == "auto" else None
        return Course(session, env, identity, place, interrupts, scope, judge, request)
    selection = FinetuneSelection(session, without_normalization(env), N_CANDIDATES)
    return RewardedCourse(session, env, identity, place, interrupts, scope, selection)
