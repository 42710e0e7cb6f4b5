"""Keeps the best student of a run, judged on episodes that neither training nor the proof ever sees.

In: a session from time to time. Out: the weights to end with. A later student is kept unless an earlier one was better
by more than its paired standard error: picking the highest of several noisy scores would pick luck, and the proof, on
seeds of its own, would then find less.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.environments.open import open_environments
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.run.session import Session
from policy_distill.seeds import selection_start

N_CANDIDATES = 5
"""Students judged in a run, evenly spaced; the last of them at its end."""


@dataclass(frozen=True)
class Judged:
    """A student at one moment of a run."""

    env_steps: int
    """When."""
    weights: dict[str, torch.Tensor]
    """Its parameters."""
    returns: np.ndarray
    """`[n]`, on the selection's episodes, the same for all candidates."""


class Selection:
    """Judges students as they come and remembers the best."""

    def __init__(self, session: Session, env: Any, n_candidates: int = N_CANDIDATES) -> None:
        self.session = session
        self.env = env
        self.n_candidates = n_candidates
        self.best: Judged | None = None
        self.newest: Judged | None = None
        """Who was judged last."""
        self.env_steps = 0
        """Steps that judging took, in this process."""
        self.owed: dict[str, float] | None = None
        """What the iteration measured whose student is still to be judged; None between iterations."""

    @property
    def n_seeds(self) -> int:
        """Episode seeds that choosing takes."""
        return self.session.config.select_episodes

    def due(self, steps_before: int) -> bool:
        """Say whether a candidate is to be judged after the iteration that began at `steps_before`."""
        config = self.session.config
        if config.select_episodes == 0 or config.eval_episodes == 0:
            return False
        before, after = (
            self.n_candidates * n // config.timesteps for n in (steps_before, self.session.stream.env_steps)
        )
        return after > before

    def judge(self) -> float:
        """Evaluate the student as it is now, keep it unless an earlier one was better, and return its mean return."""
        session, config = self.session, self.session.config
        student, n_episodes = session.learner.student(), config.select_episodes
        n_envs = min(n_episodes, config.n_eval_envs)
        wrappers = [*session.stream.teacher.env_wrappers, *student.own_wrappers]
        with (
            session.stream.watch.timed("evaluate"),
            closing(open_environments(self.env, n_envs, wrappers, session.stream.restarts)) as envs,
        ):
            limit: dict[str, Any] = {"max_episode_steps": config.max_episode_steps}
            played = run_episodes(student, envs, n_episodes, selection_start(config.seed), True, **limit)
        returns = played.returns
        self.env_steps += int(played.lengths.sum())
        self.newest = Judged(session.stream.env_steps, session.learner.weights(), returns)
        if self.best is None or not clearly_better(self.best.returns, returns):
            self.best = self.newest
        if not envs.owned:
            # The caller's own environments were borrowed, and stand in the middle of nowhere.
            session.stream.source.begin()
        return float(returns.mean())

    def finish(self) -> np.ndarray | None:
        """Give the session the weights of the best student, and return the returns that chose it."""
        return self.take_best()

    def take_best(self) -> np.ndarray | None:
        """Do so without another episode, whatever else there is to choose by."""
        if self.best is None:
            return None
        self.session.learner.set_weights(self.best.weights)
        return self.best.returns


def clearly_better(one: np.ndarray, other: np.ndarray, n_errors: float = 1.0) -> bool:
    """Say whether paired returns `one` exceed `other` by more than `n_errors` standard errors of their difference."""
    difference = one - other
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return bool(difference.mean() > n_errors * error)
