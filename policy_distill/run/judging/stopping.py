"""Ends a run's collection once its student keeps what its teacher gains: a budget is not a duty.

In: a session from time to time. Out: whether it is to go on. A student that was judged well twice in a row, while its
divergence on fresh states has stopped falling, learns the stored states once more at a falling rate, as at the end of a
budget. It then has to be confirmed on episodes that nobody has chosen by; where it is not, it goes on from where it
was. The proof has other episodes still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from policy_distill.evaluation.parts.stop_record import BUDGET, KEPT, StopRecord
from policy_distill.evaluation.proof.scale import Scale, clearly_gains
from policy_distill.run.judging.confirmation import MOST, Confirmation, verdict_takes
from policy_distill.run.judging.selection import Judged, Selection
from policy_distill.run.session import Session
from policy_distill.training.learner import GradientLearner
from policy_distill.training.learners import while_learning
from policy_distill.training.schedule import Moment, seed_of

FIRST = 4
"""Rollouts before the first look."""
GROWTH = 1.5
"""Steps at a look, as a multiple of those at the look before."""
IN_A_ROW = 2
"""Looks at which a student has to keep the teacher's return, one after another."""
LOST = 0.02
"""Share of the teacher's gain that a student may seem to have lost at a look, beyond its standard error. An earlier
student has to keep as much more than a later one: few episodes do not show who falls; who learnt more falls less."""
FALLS, NOTHING = 0.5, 0.01
"""The divergence on fresh states has stopped falling where its mean over the last third of the rollouts is more than
this share of that over the third before, or is no more than this, in nats."""
CLOSING = 4
"""A student that may be the last one learns once more from as many states as a fourth of those that are stored."""


@dataclass
class Looks:
    """What a run has found out so far about when to stop."""

    next_at: int = 0
    """Steps from which on the next look is due."""
    n_kept: int = 0
    """Looks in a row at which the student kept the teacher's return."""
    n_steps: int = 0
    """Environment steps that judging took."""
    teacher: list[float] = field(default_factory=list)
    """Returns of the teacher on the selection's episodes, as many of these as were needed."""
    random: list[float] = field(default_factory=list)
    """Returns of a random policy on the first of them."""
    n_confirmed: int = 0
    """Fresh episodes on which the last student was confirmed."""
    n_seeds: int = 0
    """Episodes on which any student was judged."""
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what the next look depends on."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Looks:
        """Return what `to_json` said.

        Raises:
            ValueError, KeyError, TypeError: where it said nothing of the kind.
        """
        found = cls(**{one.name: values[one.name] for one in fields(cls)})
        counts = (found.next_at, found.n_kept, found.n_steps, found.n_confirmed, found.n_seeds)
        returns = np.array([*found.teacher, *found.random], np.float64)
        if not all(type(n) is int and n >= 0 for n in counts) or not np.isfinite(returns).all():
            raise ValueError("its record of when to stop is not valid")
        return found


class StoppingSelection(Selection):
    """Judges students more and more rarely, and ends the collection with one that is confirmed."""

    def __init__(self, session: Session, env: Any) -> None:
        super().__init__(session, env)
        self.looks = Looks()

    @property
    def n_seeds(self) -> int:
        """Episode seeds that choosing takes."""
        return max(super().n_seeds, self.looks.n_seeds)

    @property
    def matters(self) -> float:
        """By how much more an earlier student has to return at least; known after the first look."""
        looks = self.looks
        return LOST * max(float(np.mean(looks.teacher) - np.mean(looks.random)), 0.0) if looks.random else 0.0

    def due(self, steps_before: int) -> bool:
        """Say whether a student is to be judged; looks never take more steps than were collected."""
        stream, looks = self.session.stream, self.looks
        if not self.judges or stream.done:
            return self.judges
        first = min(FIRST * stream.envs.n_envs * stream.config.n_steps, stream.config.timesteps)
        return stream.env_steps >= max(looks.next_at, first) and looks.n_steps <= stream.env_steps

    def judge(self) -> float:
        """Evaluate the student as it is now, and end the collection where that is enough; return its mean return."""
        stream, before = self.session.stream, self.env_steps
        score, newest = super().judge(), self.newest
        assert newest is not None
        per_episode = (self.env_steps - before) / len(newest.returns)
        # Changed all at once: a stop in the middle of this is as if it had not begun.
        looks = replace(self.looks, teacher=[*self.looks.teacher])
        if not stream.done:
            self._measure(looks)
            looks.n_kept = looks.n_kept + 1 if self._keeps(newest.returns, looks) else 0
            if looks.n_kept >= IN_A_ROW and has_settled(self.session.fresh):
                self._end_with_proof(looks, newest.returns, per_episode)
        looks.next_at = math.ceil(GROWTH * stream.env_steps)
        looks.n_steps += self.env_steps - before
        self.looks = looks
        stream.ended = looks.stopped
        return score

    def metrics(self) -> dict[str, float]:
        """Return the steps that judging took, and whether it ended the collection."""
        return {"eval/judged_steps": float(self.looks.n_steps), "eval/stopped": float(self.looks.stopped)}

    def record(self) -> StopRecord:
        """Return why the collection ended, when it has."""
        looks, stream = self.looks, self.session.stream
        reason = KEPT if looks.stopped else BUDGET
        return StopRecord(reason, stream.env_steps, stream.config.timesteps, looks.n_steps, looks.n_confirmed)

    def _measure(self, looks: Looks) -> None:
        """Judge what students stand between, once: the teacher and a random policy."""
        n_episodes, teacher = self.session.config.select_episodes, self.session.stream.teacher
        if not looks.random:
            looks.teacher = self.play(teacher, n_episodes).tolist()
            looks.random = self.play(None, n_episodes).tolist()

    def _keeps(self, student: np.ndarray, looks: Looks) -> bool:
        """Say whether returns `[n]` do not clearly lose more than a little of the teacher's gain."""
        teacher, random = np.array(looks.teacher[: len(student)]), np.array(looks.random)
        if not clearly_gains(teacher, random):
            return False
        lost = teacher - student
        error = lost.std(ddof=1) / math.sqrt(len(lost)) if len(lost) > 1 else 0.0
        return bool(lost.mean() - error <= LOST * (teacher.mean() - random.mean()))

    def _end_with_proof(self, looks: Looks, returns: np.ndarray, per_episode: float) -> None:
        """Let the student learn once more, and end the collection where it is confirmed; else it is as it was.

        It had these `returns` before, in episodes of so many steps; what is likely to cost more than it saves is not
        begun.
        """
        session, n_chosen = self.session, len(returns)
        teacher, random = np.array(looks.teacher[:n_chosen]), np.array(looks.random)
        scale = Scale(teacher, random, session.config.worst_loss or None)
        n_most, left = min(MOST, session.config.eval_episodes), self._left()
        needed = verdict_takes(teacher - returns, scale)
        # Two play, the teacher and the student.
        if needed > n_most or 2 * needed * per_episode > left:
            return
        learner = session.learner
        kept = {name: np.array(array) for name, array in learner.state().items()}
        try:
            self._close()
            returns = self.play(learner.student(), n_chosen)
            found = Confirmation(scale, left, n_most)
            while not found.over:
                self._confirm_more(found, looks)
            looks.n_seeds = max(looks.n_seeds, n_chosen + len(found.student))
            if found.confirmed:
                looks.stopped, looks.n_confirmed = True, len(found.student)
                self.best = self.newest = Judged(session.stream.env_steps, learner.weights(), returns)
        finally:
            if not looks.stopped:
                learner.restore(kept)

    def _confirm_more(self, found: Confirmation, looks: Looks) -> None:
        """Play some more fresh episodes of the student, and of the teacher where it has not played them yet."""
        session, before = self.session, self.env_steps
        start, n_more = self.session.config.select_episodes + len(found.student), found.n_more
        n_missing = start + n_more - len(looks.teacher)
        if n_missing > 0:
            looks.teacher += self.play(session.stream.teacher, n_missing, len(looks.teacher)).tolist()
        student = self.play(session.learner.student(), n_more, start)
        found.add(student, np.array(looks.teacher[start : start + n_more]), self.env_steps - before)

    def _left(self) -> int:
        """Return the steps that a stop would save: it is to cost no more."""
        return self.session.config.timesteps - self.session.stream.env_steps

    def _close(self) -> None:
        """Let the student learn from what is stored as at the end of the budget, at a rate that falls to its last."""
        session, stream = self.session, self.session.stream
        if not isinstance(session.learner, GradientLearner) or session.corrected:
            return
        n_new = max(1, round(session.effort.factor * stream.buffer.n_learnt / CLOSING))
        seed = seed_of(session.config, session.iteration, "close")
        with while_learning(), stream.watch.timed("train"):
            measured = session.effort.end is not None
            session.learner.learn(stream.buffer, Moment(stream.progress, 1.0, n_new, seed, measured))


def has_settled(fresh: list[float]) -> bool:
    """Say whether the divergence on fresh states, one value for each rollout, has stopped falling."""
    third = len(fresh) // 3
    if third == 0:
        return False
    before, last = (float(np.mean(part)) for part in (fresh[-2 * third : -third], fresh[-third:]))
    return last > FALLS * before or last <= NOTHING
