"""Whether a tuned student is better than the one that it began as, on episodes that neither training nor choice saw.

In: two students and an environment. Out: an `Improvement`. What is judged is the mean of the paired differences

    X = tuned - began_with,     better: E[X] > 0,     worse: E[X] < 0

by two bets that err in 5% at most at every stop (`evaluation/proof/betting.py`), as long as no episode loses more than
a tenth more than the worst random episode does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from policy_distill.environments.restarts import Restarts
from policy_distill.evaluation.episodes import Evaluation, join_evaluations
from policy_distill.evaluation.parts.tuning_record import TuningRecord
from policy_distill.evaluation.proof.betting import log_capital
from policy_distill.evaluation.proof.plan import BATCH, ProofPlan
from policy_distill.evaluation.proof.scale import WORSE
from policy_distill.evaluation.proof.verdict import ALPHA
from policy_distill.evaluation.reference import Player
from policy_distill.student.runtime import Student


@dataclass(frozen=True)
class Improvement:
    """What a tuned student gains over the one that it began as."""

    began_with: Evaluation
    tuned: Evaluation
    outcome: str
    """`better`, `worse` or `undecided`."""
    p_value: float
    """Of "it gains nothing"."""

    @property
    def better(self) -> bool:
        """True where a gain is proven."""
        return self.outcome == "better"

    @property
    def gain(self) -> float:
        """Mean difference of paired returns."""
        return float((self.tuned.returns - self.began_with.returns).mean())

    def record(self, method: str) -> TuningRecord:
        """Return what files say of it."""
        return TuningRecord(
            method=method,
            returned="tuned" if self.better else "began_with",
            outcome=self.outcome,
            p_value=self.p_value,
            gain=self.gain,
            n_episodes=self.tuned.n_episodes,
            seed=self.tuned.seed,
            began_with=self.began_with.record(),
            tuned=self.tuned.record(),
        )


def improvement(
    began_with: Student,
    tuned: Student,
    env: Any,
    plan: ProofPlan,
    *,
    on_episode: Callable[[int], None] | None = None,
    restarts: Restarts | None = None,
) -> Improvement:
    """Play both on the episodes of a plan, in batches, until one is proven better or there are none left.

    Raises:
        RunFault: for an environment that fails.
    """
    plan = replace(plan, batch=min(BATCH, plan.n_episodes) if plan.n_episodes > 1 else None)
    with closing(Player(began_with, env, plan, restarts)) as player:
        player.add("student", tuned)
        player.on_episode = on_episode
        assert plan.scale_seed is not None, "which episodes scale it is known"
        scaled = [player.play(who, plan.scale_seed, plan.n_scale) for who in ("teacher", "random")]
        stake = _stake(*scaled)
        if stake <= 0.0:
            # No episode of either is above another: how far the tuned student's are says what is at stake.
            stake = _stake(player.play("student", plan.scale_seed, plan.n_scale), *scaled)
        parts: dict[str, list[Evaluation]] = {"teacher": [], "student": []}
        found = None
        for done, look in plan.steps():
            for who, played in parts.items():
                played.append(player.play(who, plan.seed + done, look - done))
            found = _judged(join_evaluations(parts["teacher"]), join_evaluations(parts["student"]), stake)
            if found.outcome != "undecided":
                break
        assert found is not None
        return found


def _stake(one: Evaluation, *others: Evaluation) -> float:
    """Return what an episode of `one` may lose at most against others, in units of the return."""
    lowest = min(float(other.returns.min()) for other in others)
    loss = WORSE * (float(one.returns.mean()) - lowest)
    return max(loss, WORSE * float(one.returns.max() - one.returns.min()))


def _judged(began_with: Evaluation, tuned: Evaluation, stake: float) -> Improvement:
    x = tuned.returns - began_with.returns
    if stake <= 0.0:
        return Improvement(began_with, tuned, "undecided", 1.0)
    up, down = log_capital(x / stake), log_capital(-x / stake)
    outcome = "undecided"
    if up >= -math.log(ALPHA) and x.min() >= -stake:
        outcome = "better"
    elif down >= -math.log(ALPHA) and x.max() <= stake:
        outcome = "worse"
    return Improvement(began_with, tuned, outcome, min(1.0, math.exp(-max(up, 0.0))))
