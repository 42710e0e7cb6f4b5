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

from policy_distill.collection.actors import RandomPolicy
from policy_distill.environments.open import open_environments
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.evaluation.parts.stop_record import StopRecord
from policy_distill.interfaces.policies import Policy
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
        """Environment steps that judging took, in this process."""
        self.owed: dict[str, float] | None = None
        """What the iteration measured whose student is still to be judged; None between iterations."""

    @property
    def n_seeds(self) -> int:
        """Episode seeds that choosing takes."""
        return self.session.config.select_episodes

    @property
    def judges(self) -> bool:
        """True where there are episodes to judge on."""
        return self.session.config.select_episodes > 0 and self.session.config.eval_episodes > 0

    @property
    def matters(self) -> float:
        """By how much more an earlier student has to return at least, to be preferred to one that learnt more."""
        return 0.0

    def due(self, steps_before: int) -> bool:
        """Say whether a candidate is to be judged after the iteration that began at `steps_before`."""
        config = self.session.config
        if not self.judges:
            return False
        before, after = (
            self.n_candidates * n // config.timesteps for n in (steps_before, self.session.stream.env_steps)
        )
        return after > before

    def judge(self) -> float:
        """Evaluate the student as it is now, keep it unless an earlier one was better, and return its mean return."""
        session = self.session
        returns = self.play(session.learner.student(), session.config.select_episodes)
        self.newest = Judged(session.stream.env_steps, session.learner.weights(), returns)
        if self.best is None or not clearly_better(self.best.returns, returns, matters=self.matters):
            self.best = self.newest
        return float(returns.mean())

    def play(self, policy: Policy | None, n_episodes: int, after: int = 0) -> np.ndarray:
        """Return what a policy, or a random one for None, scores in `n_episodes` that begin `after` so many others."""
        stream, config = self.session.stream, self.session.config
        n_envs, start = min(n_episodes, config.n_eval_envs), selection_start(config.seed) + after
        wrappers = [*stream.teacher.env_wrappers, *(policy.own_wrappers if policy is not None else ())]
        with (
            stream.watch.timed("evaluate"),
            closing(open_environments(self.env, n_envs, wrappers, stream.restarts)) as envs,
        ):
            random: dict[str, Any] = {"takes_action_masks": stream.teacher.takes_action_masks}
            random["rewindable"] = stream.restarts.allowed > 0
            actor = policy or RandomPolicy(envs.action_space, envs.n_envs, start, **random)
            limit: dict[str, Any] = {"max_episode_steps": config.max_episode_steps}
            played = run_episodes(actor, envs, n_episodes, start, True, **limit)
        self.env_steps += int(played.lengths.sum())
        if not envs.owned:
            # The caller's own environments were borrowed, and stand in the middle of nowhere.
            stream.source.begin()
        return played.returns

    def metrics(self) -> dict[str, float]:
        """Return what is logged beside the score."""
        return {}

    def record(self) -> StopRecord | None:
        """Return why the collection ended; None where nobody asked."""
        return None

    def finish(self) -> np.ndarray | None:
        """Give the session the weights of the best student, and return the returns that chose it."""
        return self.take_best()

    def take_best(self) -> np.ndarray | None:
        """Do so without another episode, whatever else there is to choose by."""
        if self.best is None:
            return None
        self.session.learner.set_weights(self.best.weights)
        return self.best.returns


def clearly_better(one: np.ndarray, other: np.ndarray, n_errors: float = 1.0, *, matters: float = 0.0) -> bool:
    """Say whether paired returns `one` exceed `other` by more than `n_errors` standard errors of their difference.

    And by more than what `matters`, in returns.
    """
    difference = one - other
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return bool(difference.mean() > max(n_errors * error, matters))
