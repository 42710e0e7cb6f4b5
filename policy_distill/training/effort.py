"""How hard a student trains: more gradient steps while they still help on states that it has not learnt, fewer after.

In: a learner, and a part of the newest rollout that is kept from it for the time being. Out: a better student, and what
its next rollout is worth in gradient steps. The newest states are the student's own, so what helps there helps where it
is going to act; they are learnt from with the next rollout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

from policy_distill.interfaces.stages import Learner
from policy_distill.interfaces.students import ActionDistribution, Loss
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.likelihood import begin_draws
from policy_distill.seeds import purpose_seed
from policy_distill.training.buffer import Buffer
from policy_distill.training.schedule import Moment

LEAST, MOST = 0.25, 2.0
"""Gradient steps, as multiples of those that the settings name."""
FORMER = 4.0
"""The most that runs of earlier versions stand at; they go on with no more than MOST."""
CHANGE = 1.1
"""What they are multiplied or divided by from one rollout to the next."""
WORTH = 0.001
"""A rollout's steps, as the settings name them, are worth their time where they lower the loss by this share."""
ENOUGH = 0.001
"""Nats of held-out loss below which no more steps are worth their time, whatever share they lower it by."""
MEMORY = 0.1
"""Weight of the newest rollout in the losses that decide: a rollout alone says little."""
HELD = 8
"""Of a rollout the last one in so many steps is held out."""
FEWEST = 32
"""States that are measured on at least; of shorter rollouts nothing is held out."""


@dataclass
class Effort:
    """Gradient steps as a multiple of those that the settings name, and what it follows."""

    factor: float = 1.0
    middle: float | None = None
    """Held-out loss after the first half of a rollout's steps, in the mean of the last rollouts; None before any."""
    end: float | None = None
    """The same after all of them."""

    def look(self, middle: float, end: float, *, enough: float = -math.inf) -> None:
        """Take the held-out losses of a rollout, and change the factor by what its second half has brought.

        A rollout whose loss was below `enough` after its first half needed no second one.
        """
        if self.middle is None or self.end is None:
            self.middle, self.end = middle, end
        self.middle += MEMORY * (middle - self.middle)
        self.end += MEMORY * (end - self.end)
        # A half of few steps lowers less than one of many.
        gained = (self.middle - self.end) / (0.5 * self.factor)
        helped = middle >= enough and gained > WORTH * abs(self.middle)
        change = CHANGE if helped else 1.0 / CHANGE
        self.factor = min(max(self.factor * change, LEAST), MOST)

    def to_json(self) -> dict[str, float | None]:
        """Return what the next rollout depends on."""
        return {"factor": self.factor, "middle": self.middle, "end": self.end}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Effort:
        """Return what `to_json` said.

        Raises:
            ValueError, KeyError, TypeError: where it said nothing of the kind.
        """
        factor, middle, end = (values[name] for name in ("factor", "middle", "end"))
        if not LEAST <= float(factor) <= FORMER or (middle is None) != (end is None):
            raise ValueError(f"an effort of {factor} that follows {middle} and {end}")
        return cls(min(float(factor), MOST), *(None if one is None else float(one) for one in (middle, end)))


def n_held(n_steps: int, n_envs: int) -> int:
    """Return the states at the end of a rollout that are held out; 0 where they would be too few to measure on."""
    found = n_steps // HELD * n_envs
    return found if found >= FEWEST else 0


class Objective(NamedTuple):
    """What is measured on held-out states."""

    loss: Loss
    family: ActionDistribution
    """Of teacher and student."""

    @torch.no_grad()
    def on(self, held: Batch, learner: Learner, seed: int) -> float:
        """Return the mean loss on labelled states; a loss that draws does so from `seed` on."""
        begin_draws(self.loss, seed)
        return float(self.loss(held, Outputs(self.family, learner.params(held.features))).mean())


def learn_measured(
    learner: Learner,
    buffer: Buffer,
    newest: Batch,
    n_held: int,
    moment: Moment,
    effort: Effort,
    objective: Objective,
) -> dict[str, float]:
    """Store a labelled rollout but for its last states, learn in two halves, measure after each, and store the rest.

    Args:
        learner: who learns.
        buffer: where the rollout is stored.
        newest: its states, those of one step of all environments after one another.
        n_held: how many of the last ones are measured on.
        moment: where the run is.
        effort: how many steps are made; it is told what they have brought.
        objective: what is measured.

    Returns:
        What the learner measured in the second half, the held-out loss and the effort that was made.
    """
    seen, held = newest.rows(slice(None, -n_held)), newest.rows(slice(-n_held, None))
    moment = replace(moment, measured=True)
    made, between = effort.factor, 0.5 * (moment.before + moment.after)
    n_half = max(1, round(0.5 * made * moment.n_new))
    buffer.add(seen.features, seen.teacher_params, seen.columns)
    learner.learn(buffer, replace(moment, after=between, n_new=n_half))
    middle = objective.on(held, learner, moment.seed)
    second = replace(moment, before=between, n_new=n_half, seed=purpose_seed(moment.seed, "second half"))
    metrics = learner.learn(buffer, second)
    end = objective.on(held, learner, moment.seed)
    buffer.add(held.features, held.teacher_params, held.columns)
    # What has no density is measured in units of its actions, where nobody knows what is enough.
    effort.look(middle, end, enough=ENOUGH if objective.family.has_density else -math.inf)
    return {**metrics, "train/heldout_loss": end, "train/effort": made}
