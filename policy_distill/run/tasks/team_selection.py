"""Keeps the best moment of a run of several tasks: there is one body, so that all tasks end with the same moment.

In: a team from time to time. Out: the weights to end with. What counts is the share of the teacher's gain that is kept,
in the mean over tasks: returns of different tasks have different units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policy_distill.environments.open import without_normalization
from policy_distill.run.judging.selection import N_CANDIDATES, Selection, clearly_better
from policy_distill.run.tasks.team import Team


@dataclass(frozen=True)
class JudgedTeam:
    """The student at one moment of a run."""

    env_steps: int
    """Of each task."""
    weights: np.ndarray
    """`[size]`, as of `SharedTrainer.weights`."""
    returns: np.ndarray
    """`[tasks, n]`, on the selection's episodes, the same for all moments."""


class TeamSelection:
    """Judges the student in all tasks, and remembers when it was best."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.best: JudgedTeam | None = None
        self.owed: dict[str, float] | None = None
        """What the iteration measured after which the student is still to be judged; None between iterations."""
        self.line: np.ndarray | None = None
        """`[tasks, 2]`: mean returns of a random policy and of the teacher on those episodes, once they were played."""
        self._each = {
            name: Selection(task.session, without_normalization(task.env)) for name, task in team.tasks.items()
        }

    @property
    def judges(self) -> bool:
        """True where there are episodes to judge on."""
        return all(one.judges for one in self._each.values())

    def due(self, steps_before: int) -> bool:
        """Say whether the student is to be judged after the iteration that began at `steps_before` of each task."""
        config = self.team.config
        steps = (steps_before, self.team.streams[0].env_steps)
        before, after = (N_CANDIDATES * n // config.timesteps for n in steps)
        return self.judges and after > before

    def judge(self) -> dict[str, float]:
        """Evaluate the student, keep it unless an earlier moment was better, and return what was measured."""
        team, n = self.team, self.team.config.select_episodes
        if self.line is None:
            played = [
                (one.play(None, n), one.play(team.tasks[name].stream.teacher, n)) for name, one in self._each.items()
            ]
            self.line = np.array([[random.mean(), teacher.mean()] for random, teacher in played])
        returns = np.stack([one.play(team.tasks[name].learner.student(), n) for name, one in self._each.items()])
        now = JudgedTeam(team.streams[0].env_steps, team.trainer.weights(), returns)
        if self.best is None or not clearly_better(self._kept(self.best.returns), self._kept(returns)):
            self.best = now
        means = zip(team.tasks, returns.mean(axis=1), strict=True)
        found = {f"task/{name}/eval/selection_return": float(mean) for name, mean in means}
        return {**found, "eval/selection_retention": float(self._kept(returns).mean())}

    def _kept(self, returns: np.ndarray) -> np.ndarray:
        """Return the share of the gain that is kept, in the mean over tasks, by episodes `[n]`."""
        assert self.line is not None, "what it is measured against was played first"
        random, teacher = self.line.T
        gain = teacher - random
        # Where a teacher gains nothing there is no share; its returns count for no other task's.
        return np.asarray(((returns - random[:, None])[gain > 0] / gain[gain > 0, None]).sum(axis=0) / len(gain))

    def take_best(self) -> dict[str, np.ndarray | None]:
        """Give all students the weights of the best moment; return the returns `[n]` of each task that chose it."""
        if self.best is None:
            return dict.fromkeys(self.team.tasks)
        self.team.trainer.set_weights(self.best.weights)
        return dict(zip(self.team.tasks, self.best.returns, strict=True))
