"""Keeps the best student of a fine-tuning, the one that it began with among them, and goes back to it after a collapse.

In: a session from time to time. Out: the weights to end with.
"""

from __future__ import annotations

import logging
import math
from typing import Any, Protocol

import numpy as np
import torch

from policy_distill.config import DistillConfig
from policy_distill.evaluation.proof.scale import clearly_gains
from policy_distill.interfaces.policies import Policy
from policy_distill.interfaces.stages import Learner
from policy_distill.run.finetuning.standing import Standing
from policy_distill.run.judging.selection import Selection, clearly_better
from policy_distill.run.stream import Stream
from policy_distill.training.learner import Weights

LOG = logging.getLogger("policy_distill")

ROUNDS = 5
"""All in all the last student and the best one play so many times the episodes that others are judged on."""
N_ERRORS, LOST = 3.0, 0.2
"""A student is given up where an earlier one was better by so many paired standard errors and by this share of what it
gained over a random policy."""


class Tuner(Protocol):
    """Who improves a student, and can be taken back to an earlier one."""

    def go_back(self, weights: Weights) -> None:
        """Give the student earlier weights, and go on from them by smaller steps."""


class TunedSession(Protocol):
    """A session in which reward improves a student."""

    config: DistillConfig
    standing: Standing
    """Where the student stands, as it was judged last."""
    anchored: bool
    """True where there is a teacher other than the student itself."""

    @property
    def stream(self) -> Stream:
        """Where its states come from."""

    @property
    def learner(self) -> Learner:
        """Who learns."""

    @property
    def tuner(self) -> Tuner:
        """Who improves the student."""

    @property
    def changes(self) -> bool:
        """True once the student is another one than it came as."""


class FinetuneSelection(Selection):
    """Judges students as they come, remembers the best, and takes the learner back to it."""

    session: TunedSession  # type: ignore[assignment]

    def __init__(self, session: Any, env: Any, n_candidates: int) -> None:
        super().__init__(session, env, n_candidates)

    @property
    def n_seeds(self) -> int:
        """Episode seeds that choosing takes."""
        return ROUNDS * self.session.config.select_episodes

    @property
    def judges(self) -> bool:
        """True where there are episodes to judge on."""
        config = self.session.config
        return config.select_episodes > 0 and config.eval_episodes > 0 and self.n_candidates > 0

    def due(self, steps_before: int) -> bool:
        """Say whether a candidate is to be judged; as long as only the critic learns, it is the one that came."""
        return self.session.changes and super().due(steps_before)

    def begin(self) -> float:
        """Judge a random policy, the teacher where there is one, and the student that the run begins with."""
        self.measure()
        return self.judge()

    def measure(self) -> None:
        """Judge what students stand between: a random policy, and the teacher where there is one."""
        session, random = self.session, self._returns(None)
        session.standing.random = float(random.mean())
        if session.anchored:
            teacher = self._returns(session.stream.teacher)
            gains = clearly_gains(teacher, random)
            session.standing.teacher = float(teacher.mean()) if gains else math.nan
            if not gains and self.session.config.kl_schedule == "retention":
                LOG.warning(
                    "the teacher is not clearly better than a random policy (%.4g and %.4g in %d episodes): there is "
                    "no gain to keep, so the teacher stops holding the student once it is judged; use --kl-schedule "
                    "linear to keep it",
                    teacher.mean(), random.mean(), len(random),
                )  # fmt: skip

    def judge(self) -> float:
        """Evaluate the student as it is now, and go back to the best one where it has collapsed; return its score."""
        score, session = super().judge(), self.session
        assert self.best is not None and self.newest is not None
        before, now = float(self.best.returns.mean()), float(self.newest.returns.mean())
        clearly = clearly_better(self.best.returns, self.newest.returns, N_ERRORS)
        if clearly and before - now > LOST * abs(before - session.standing.random):
            LOG.warning(
                "at %d steps the student fell from %.4g to %.4g: training continues from the one at %d steps, at "
                "half the rate",
                self.newest.env_steps, before, now, self.best.env_steps,
            )  # fmt: skip
            session.tuner.go_back(self.best.weights)
            now = before
        session.standing.look(now)
        return score

    def finish(self) -> np.ndarray | None:
        """Give the session the best student's weights, or the last one's, and return the returns that it was judged by.

        The best of several on a few episodes is partly luck. So both play others, which neither was judged on.
        """
        session, best = self.session, self.best
        if best is None:
            return None
        last, later = session.learner.weights(), session.learner.student()
        session.learner.set_weights(best.weights)
        if all(torch.equal(value, last[name]) for name, value in best.weights.items()):
            return best.returns
        n_judged = session.config.select_episodes
        earlier, n_more = session.learner.student(), (ROUNDS - 1) * n_judged
        if self._returns(later, n_more, n_judged).mean() < self._returns(earlier, n_more, n_judged).mean():
            return best.returns
        session.learner.set_weights(last)
        return self._returns(later)

    def _returns(self, policy: Policy | None, n_episodes: int | None = None, after: int = 0) -> np.ndarray:
        """Return what a policy, or a random one for None, scores on the episodes that students are judged on.

        Or on `n_episodes` that begin so many `after` the first of these.
        """
        return self.play(policy, n_episodes or self.session.config.select_episodes, after)
