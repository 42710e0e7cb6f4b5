"""A fine-tuning by an evolution strategy: no state is collected, whole episodes of candidates are.

In: a student and an environment. Out: the stages that `course.py` puts in order, for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

import torch

from policy_distill.run.finetuning.course import FinetuneCourse
from policy_distill.run.finetuning.evolution_learner import EvolutionLearner
from policy_distill.run.finetuning.session import FinetuneSession


class EvolutionSession(FinetuneSession):
    """A search around a student; its stream counts the steps, and measures the student at the end."""

    _evolution: EvolutionLearner
    _env: Any

    def search(self, env: Any) -> AbstractContextManager[Any]:
        """Open what candidates act in, within a context, and begin."""
        self._env = env
        self.create_student(None)
        return closing(self._evolution)

    def create_student(self, normalizer: Any, teacher_params: torch.Tensor | None = None) -> None:
        """Make who learns, at the student that the run begins with; candidates act in what was opened before."""
        if self._learner is not None:
            self._evolution.close()
        self._evolution = EvolutionLearner(self.origin, self._env, self.config, self.standing)
        self._learner = self._evolution

    @property
    def tuner(self) -> EvolutionLearner:
        """Who learns."""
        return self._evolution

    @property
    def changes(self) -> bool:
        """True: every generation is another student."""
        return True

    def evolve(self) -> dict[str, float]:
        """Make a generation; return what was measured. One that was stopped has changed nothing."""
        stream, before = self.stream, self._evolution.candidates.env_steps
        try:
            with stream.watch.timed("collect"):
                metrics = self._evolution.generation()
        except BaseException:
            self._evolution.candidates.env_steps = before
            raise
        stream.env_steps += self._evolution.candidates.env_steps - before
        self.iteration += 1
        return {**stream.metrics(), **metrics, "rollout/teacher_share": 0.0}


class EvolutionCourse(FinetuneCourse):
    """A fine-tuning whose iterations are generations."""

    session: EvolutionSession

    def advance(self, kept: Callable[..., AbstractContextManager[None]]) -> dict[str, float]:
        """Make a generation; a stop within `kept` loses nothing but that one."""
        with kept():
            return self.session.evolve()
