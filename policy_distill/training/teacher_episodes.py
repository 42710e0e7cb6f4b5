"""Which of the teacher's own episodes nobody learns from: those that failed.

In: rollouts, with their rewards and ends. Out: the number of each state's episode, and which of them are learnt from.
An episode is known to have failed only when it has ended, several rollouts later maybe: until then its states wait
in the buffer, where they take the room that they would take anyway.

An episode is the teacher's where it began and ended in rollouts of which the teacher chose more than half of the
actions. One that it hands over, that a fault cuts short or that the end of the data does, has no return: its states
stay, as those of the student's episodes do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.system.packing import alike
from policy_distill.training.buffer import Buffer, Shapes

if TYPE_CHECKING:
    from policy_distill.collection.rollout import Rollout

NEEDED = ("rewards", "terminated", "truncated")
"""Columns of a rollout that tell what an episode came to."""

HALF = 0.5
"""Share of the actions above which a rollout's episodes are the teacher's."""

SHAPES: Shapes = {"episode": ((), torch.int64)}
"""The column that the buffer keeps: a number by state."""

PATIENCE = 20
"""Episodes of the teacher after which a run stops from which all of them are left out."""

STAYS = math.inf
"""In place of the return of what is learnt from whatever it came to; of an episode that still runs it is NaN."""


class TeacherEpisodes:
    """The returns of the episodes that the teacher acted, by number; number 0 is all that others acted."""

    def __init__(self, config: DistillConfig, n_envs: int) -> None:
        self._config = config
        self.running = np.zeros(n_envs, np.int64)
        """Number of the teacher's episode in each environment; 0 where there is none."""
        self.returns = [STAYS]
        """By number."""
        self.lengths = [0]
        """Steps by number; 0 of an episode that still runs, and of number 0."""
        self._sums = np.zeros(n_envs)
        """What the running episodes have returned so far."""
        self._steps = np.zeros(n_envs, np.int64)
        """Their steps so far."""
        self._n_known = 0
        """States that became known since `leave_out` last said so."""

    @classmethod
    def of(cls, config: DistillConfig, n_envs: int) -> TeacherEpisodes | None:
        """Return the episodes of a run whose settings leave some of them out; None for any other run."""
        asked = config.min_teacher_return is not None or config.drop_worst > 0
        return cls(config, n_envs) if asked else None

    def columns_of(self, rollout: Rollout) -> dict[str, torch.Tensor]:
        """Return the number of each state's episode, int64 `[T * N]`, as a column of the buffer."""
        return {"episode": torch.from_numpy(self._numbered(rollout).ravel())}

    def leave_out(self, buffer: Buffer, *, goes_on: bool, over: bool) -> int:
        """Let nobody learn from failed episodes, nor from those that are still to end where the teacher `goes_on`.

        Returns:
            How many states are newly known to be learnt from or not, of the last rollout or of those before; 0 where
            there is nothing to learn from yet.

        Raises:
            RequestError: where there will not be anything; `over` says that no more comes.
        """
        if not goes_on:
            self._hand_over()
        self.tell(buffer)
        self._check(buffer.n_learnt, over=over)
        n_known, self._n_known = self._n_known, 0
        return n_known if buffer.n_learnt else 0

    def tell(self, buffer: Buffer) -> None:
        """Tell a buffer which of its states are learnt from."""
        numbers = buffer.columns["episode"][: buffer.size].cpu().numpy()
        buffer.learn_from(torch.from_numpy(self._learnt()[numbers]))

    def _numbered(self, rollout: Rollout) -> np.ndarray:
        """Return the number of each state's episode, int64 `[T, N]`."""
        rewards, ended = rollout.columns["rewards"], rollout.columns["terminated"] | rollout.columns["truncated"]
        taught = rollout.teacher_share > HALF
        if not taught:
            self._hand_over()
        numbers = np.zeros(rewards.shape, np.int64)
        for step, begins in enumerate(rollout.episode_starts):
            for index in np.flatnonzero(begins).tolist():
                # One that is still running was cut short between two steps.
                self._ended(index, STAYS)
                if taught:
                    self._begin(index)
            numbers[step] = self.running
            self._sums += rewards[step]
            self._steps += 1
            for index in np.flatnonzero(ended[step] & (self.running > 0)).tolist():
                self._ended(index, float(self._sums[index]))
        self._n_known += int((numbers == 0).sum())
        return numbers

    def _hand_over(self) -> None:
        """Let the running episodes be another's, or nobody's: they stay."""
        for index in range(len(self.running)):
            self._ended(index, STAYS)

    def _learnt(self) -> np.ndarray:
        """Return by number whether an episode's states are learnt from: not where it still runs, or was left out."""
        found: np.ndarray = ~np.isnan(self.returns)
        found[self._left_out()] = False
        return found

    def _check(self, n_learnt: int, *, over: bool) -> None:
        """Check that something is left to learn from; `n_learnt` states are, and no more come where it is `over`.

        Raises:
            RequestError: where nothing is, or will be.
        """
        found, least = [one for one in self.returns if math.isfinite(one)], self._config.min_teacher_return
        hopeless = self._config.actor == "teacher" and len(found) >= PATIENCE
        if n_learnt or not found or not (over or hopeless):
            return
        if least is not None and max(found) < least:
            raise RequestError(
                f"expected episodes of the teacher that return {least:g} or more, found {len(found)}, the best with a "
                f"return of {max(found):.5g}: nothing is left to learn from; lower --min-teacher-return"
            )
        raise RequestError(
            f"expected a buffer that holds episodes until they have ended, found buffer_size={self._config.buffer_size}"
            ": nothing is left to learn from; raise --buffer-size"
        )

    def metrics(self) -> dict[str, float]:
        """Return the share of the teacher's whole episodes that are left out; nothing before one has ended."""
        n_whole = int(np.isfinite(self.returns).sum())
        return {"rollout/dropped_share": len(self._left_out()) / n_whole} if n_whole else {}

    def counts(self) -> dict[str, Any]:
        """Return what is left out, as `LeftOutRecord` has it: episodes, those left out, their states, the best one."""
        out = self._left_out().tolist()
        best = max((self.returns[number] for number in out), default=None)
        n_whole = int(np.isfinite(self.returns).sum())
        n_states = sum(self.lengths[number] for number in out)
        return {"n_episodes": n_whole, "n_left_out": len(out), "n_states": n_states, "best": best}

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next rollout's numbers depend on."""
        by_number = {"returns": np.array(self.returns), "lengths": np.array(self.lengths)}
        return {**by_number, "running": self.running, "sums": self._sums, "steps": self._steps}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, KeyError: where that is of other environments.
        """
        running, sums, steps = (np.array(arrays[name]) for name in ("running", "sums", "steps"))
        returns, lengths = arrays["returns"], arrays["lengths"]
        fits = all(alike(*pair) for pair in ((running, self.running), (sums, self._sums), (steps, self._steps)))
        if not fits or returns.shape != lengths.shape or not ((running >= 0) & (running < len(returns))).all():
            raise ValueError("the teacher's episodes are of other environments")
        self.running, self._sums, self._steps = running, sums, steps
        self.returns, self.lengths = returns.tolist(), lengths.tolist()

    def _begin(self, index: int) -> None:
        self.running[index], self._sums[index], self._steps[index] = len(self.returns), 0.0, 0
        self.returns.append(math.nan)
        self.lengths.append(0)

    def _ended(self, index: int, returned: float) -> None:
        """Note what the running episode of an environment came to, if there is one."""
        number = int(self.running[index])
        if number == 0:
            return
        self.returns[number], self.lengths[number], self.running[index] = returned, int(self._steps[index]), 0
        self._n_known += self.lengths[number]

    def _left_out(self) -> np.ndarray:
        """Return the numbers of the episodes that are left out, of all that have ended so far."""
        returns, least = np.array(self.returns), self._config.min_teacher_return
        ended = np.flatnonzero(np.isfinite(returns))
        order = ended[np.argsort(returns[ended], kind="stable")]
        # A tenth of ten is one, also where 0.1 is a little less.
        n_worst = math.floor(self._config.drop_worst * len(order) + 1e-9)
        n_low = 0 if least is None else int((returns[order] < least).sum())
        return order[: max(n_worst, n_low)]
