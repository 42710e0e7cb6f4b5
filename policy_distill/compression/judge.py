"""What students keep on the episodes that choose: teacher, random policy and student from the same seeds.

In: students. Out: estimates with their errors. Nothing here proves anything: what is chosen is proven elsewhere.
"""

from __future__ import annotations

import math
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_distill.compression.limits import CHOOSING
from policy_distill.environments.open import open_environments
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.evaluation.proof.betting import log_capital
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.scale import N_EPISODES, Scale
from policy_distill.evaluation.proof.verdict import ALPHA
from policy_distill.evaluation.reference import REFERENCES, Player
from policy_distill.interfaces.stepping import Environments
from policy_distill.run.stream import Stream
from policy_distill.seeds import selection_start
from policy_distill.student.runtime import Student
from policy_distill.system.records import COUNT, MEASURED, part

FALL = 0.5
"""Share of the gain that a fall loses, at least."""

SURE = 2.0
"""Standard errors by which an estimate is clear of the bar."""


@dataclass(frozen=True)
class Kept:
    """The share of the teacher's gain that a student keeps, as far as some episodes tell."""

    share: float = part(MEASURED, needed=True)
    """Of the mean returns."""
    error: float = part(MEASURED, needed=True)
    """Standard error of the paired difference, as a share of the same gain."""
    n_episodes: int = part(COUNT, needed=True)
    """Of so many."""
    n_falls: int = part(COUNT, needed=True)
    """Episodes that lost more than half of the gain."""
    promise: float = part(MEASURED, needed=True)
    """Of the evidence that a proof needs, what its episodes would give if they were as these: from 1 on it succeeds."""

    @property
    def known(self) -> bool:
        """False where the teacher gains nothing over random in these episodes: a share of nothing is none."""
        return not math.isnan(self.share)

    @property
    def doubt(self) -> float:
        """Standard error where one fall more than was seen, of half the gain, is counted as possible.

        Few episodes show no rare fall, and returns that hardly differ then look surer than they are.
        """
        return math.hypot(self.error, FALL / math.sqrt((self.n_episodes + 2) * self.n_episodes))

    def clears(self, bar: float) -> bool:
        """Say whether it is clearly at the bar or above."""
        return self.share - SURE * self.doubt >= bar

    def misses(self, bar: float) -> bool:
        """Say whether it is clearly below."""
        return self.share + SURE * self.error < bar

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "share": self.share,
            "error": self.error,
            "n_episodes": self.n_episodes,
            "n_falls": self.n_falls,
            "promise": self.promise,
        }


class Judge:
    """Plays the episodes of selection; those of the teacher once for all students."""

    def __init__(self, stream: Stream, env: Any, scope: ExitStack, bar: float, budget: int | None = None) -> None:
        """Play in what `env` makes, open within `scope`; a proof is to show that students keep `bar` of the gain.

        `budget` are the steps that stream and judge may take together.
        """
        self._stream = stream
        self._budget = budget
        self._bar = bar
        self._env = env
        self._scope = scope
        self._envs: Environments | None = None
        self._seed = selection_start(stream.config.seed)
        self._played: dict[str, np.ndarray] = {}
        self.env_steps = 0
        """Steps that judging took, beyond those that scale the proof."""
        self.tuning_steps = 0
        """Steps that fine-tuning at the border took, its own judging among them."""
        self.n_most = 0
        """Episodes of selection that anybody played."""

    @property
    def exhausted(self) -> bool:
        """True where the budget is used up: what is judged from here on is judged at a glance."""
        return self.n_left == 0

    @property
    def n_left(self) -> float:
        """Steps of the budget that are left."""
        if self._budget is None:
            return math.inf
        return max(0, self._budget - self._stream.env_steps - self.env_steps - self.tuning_steps)

    @property
    def n_collectable(self) -> float:
        """Steps that may still be collected: of a budget, a part is kept for choosing."""
        if self._budget is None:
            return math.inf
        return max(0, int((1 - CHOOSING) * self._budget) - self._stream.env_steps)

    @property
    def scale(self) -> Scale:
        """What returns are measured by."""
        teacher, random = (self._reference(who, N_EPISODES) for who in REFERENCES)
        return Scale(teacher, random, self._stream.config.worst_loss or None)

    def kept(self, student: Student, n_episodes: int) -> Kept:
        """Return what a student keeps in the first episodes of selection."""
        scale = self.scale
        returns = self._play(student, n_episodes)
        lost = returns - self._reference("teacher", n_episodes)
        gain = scale.gain if scale.gain > 0 else math.nan
        error = float(lost.std(ddof=1)) / math.sqrt(n_episodes) if n_episodes > 1 else math.inf
        falls = int((returns < scale.fall_line).sum())
        return Kept(1.0 + float(lost.mean()) / gain, error / gain, n_episodes, falls, self._promise(lost, scale))

    def _promise(self, lost: np.ndarray, scale: Scale) -> float:
        """Return how far a proof of all its episodes would get, random's part taken for its mean."""
        if not scale.gain > 0:
            return 0.0
        x = (lost + (1 - self._bar) * scale.gain) / scale.stake
        evidence = log_capital(np.resize(np.clip(x, -1.0, None), self._stream.config.eval_episodes))
        return float(evidence / -math.log(ALPHA))

    def state(self) -> dict[str, np.ndarray]:
        """Return what was played."""
        counts = {"env_steps": np.array(self.env_steps), "n_most": np.array(self.n_most)}
        return {**counts, **{f"played.{who}": returns for who, returns in self._played.items()}}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: where these are no returns.
        """
        self.env_steps, self.n_most = int(arrays["env_steps"]), int(arrays["n_most"])
        self._played = {who: np.array(arrays[f"played.{who}"]) for who in REFERENCES if f"played.{who}" in arrays}
        for returns in self._played.values():
            if returns.ndim != 1 or not np.isfinite(returns).all() or len(returns) > self.n_most:
                raise ValueError("the returns of the selection episodes are not finite numbers")

    def _reference(self, who: str, n_episodes: int) -> np.ndarray:
        """Return the returns of teacher or random policy in the first episodes, played where they are not known."""
        known = self._played.get(who, np.zeros(0))
        if len(known) < n_episodes:
            config = self._stream.config
            plan = ProofPlan(
                n_episodes,
                self._seed,
                n_envs=min(config.n_eval_envs, n_episodes),
                max_episode_steps=config.max_episode_steps,
            )
            with closing(Player(self._stream.teacher, self._env, plan, self._stream.restarts)) as player:
                found = player.play(who, self._seed + len(known), n_episodes - len(known))
            # The first of them scale the proof, which plays them in any case.
            self._note(found.lengths[max(0, N_EPISODES - len(known)) :], n_episodes)
            known = self._played[who] = np.concatenate([known, found.returns])
        return known[:n_episodes]

    def _play(self, student: Student, n_episodes: int) -> np.ndarray:
        config, stream = self._stream.config, self._stream
        if self._envs is None:
            n_envs = min(config.n_eval_envs, 2 * N_EPISODES)
            wrappers = [*stream.teacher.env_wrappers, *student.own_wrappers]
            envs = open_environments(self._env, n_envs, wrappers, stream.restarts)
            self._envs = self._scope.enter_context(closing(envs))
        limit = config.max_episode_steps
        found = run_episodes(student, self._envs, n_episodes, self._seed, True, max_episode_steps=limit)
        if not self._envs.owned:
            # The caller's own environments were borrowed, and stand in the middle of nowhere.
            stream.source.begin()
            self._envs = None
        self._note(found.lengths, n_episodes)
        return found.returns

    def _note(self, lengths: np.ndarray, n_episodes: int) -> None:
        self.env_steps += int(lengths.sum())
        self.n_most = max(self.n_most, n_episodes)
