"""What changes in the course of a run: learning rate, gradient steps, acting, seeds.

In: settings and how far the run is. Out: numbers; nothing here remembers anything, so a resumed run finds the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from policy_distill.config import DistillConfig
from policy_distill.seeds import purpose_seed

FINAL_RATE = 0.01
"""The learning rate at the end, as a share of the one at the start."""

FIRST_SHARE, LAST_SHARE = 1.75, 0.25
"""Gradient steps after a rollout at the start and at the end, as a share of their mean over the run: many passes help
while states are few, and late ones change little at a low rate. Where held-out states decide, they are as many after
each."""

BY_MODE = 0.5
"""Share of all data after which nobody samples by turns any more: what is left to learn are the states of the mode."""


@dataclass(frozen=True)
class Moment:
    """Where a run is when a rollout has just been stored."""

    before: float
    """Share of all data collected before the rollout, in [0, 1]."""
    after: float
    """The same with it; the learning rate falls from the one to the other."""
    n_new: int
    """States that it brought."""
    seed: int
    """Of the generator that draws minibatches."""
    measured: bool = False
    """True where held-out states decide how many gradient steps are made."""


def learning_rate(config: DistillConfig, progress: float) -> float:
    """Return the step size at `progress` in [0, 1]: it falls along a cosine."""
    share = FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * share


def n_updates(config: DistillConfig, n_new: int, progress: float, *, even: bool = False) -> int:
    """Return the gradient steps that follow a rollout of `n_new` states that began at `progress` in [0, 1].

    They become fewer in the course of a run, unless `even`.
    """
    share = 1.0 if even else FIRST_SHARE + (LAST_SHARE - FIRST_SHARE) * progress
    return max(1, round(share * config.n_epochs * n_new / config.batch_size))


def acts_by_mode(config: DistillConfig, iteration: int, teacher_share: float, progress: float = 0.0) -> bool:
    """Say whether a rollout is by the mode of who acts; a teacher always shows its whole distribution.

    `progress` is the share of all data collected before it, in [0, 1].
    """
    by_turns = config.acting == "alternate" and (iteration % 2 == 1 or progress >= BY_MODE)
    return teacher_share == 0.0 and (by_turns or config.acting == "mode")


def lags(config: DistillConfig) -> bool:
    """Say whether a rollout is acted by the student from before the rollout in front of it was learnt from.

    What weighs a student's actions by what they lead to needs those of the newest one.
    """
    return config.objective == "kl" and config.reward_weight == 0.0


def seed_of(config: DistillConfig, iteration: int, purpose: str) -> int:
    """Return the seed of one purpose in one iteration."""
    return purpose_seed(config.seed, iteration, purpose)
