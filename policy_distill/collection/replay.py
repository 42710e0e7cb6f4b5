"""Where running episodes stand, and how they are brought back there: from their seeds, by the actions that were taken.

In: environments that start from a seed of one's own, and the actions of each step. Out: the same environments in the
middle of the same episodes, bit for bit; and in words, those that did not come back so.

No state of an environment is asked for, since few can say it: an episode is a function of its seed and its actions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from policy_distill.interfaces.stepping import Environments

MAX_BYTES = 2**28
"""Actions remembered at most, in bytes."""

MAX_STEPS = 2**17
"""Steps remembered at most: an episode that lasts longer restarts in a resumed run."""


class EpisodeLog:
    """The actions since the oldest running episode began."""

    def __init__(self, n_envs: int) -> None:
        self.n_steps = 0
        """Steps taken in all."""
        self.begun = np.zeros(n_envs, dtype=np.int64)
        """`n_steps` when each environment's episode began."""
        self.seeds = np.zeros(n_envs, dtype=np.int64)
        """What it began from."""
        self._actions: deque[np.ndarray] = deque(maxlen=MAX_STEPS)

    def began(self, index: int, seed: int) -> None:
        """Note that an episode begins in one environment."""
        self.begun[index], self.seeds[index] = self.n_steps, seed

    def took(self, actions: np.ndarray) -> None:
        """Note the actions `[N, ...]` of one step."""
        if not self.n_steps:
            self._actions = deque(maxlen=max(1, min(MAX_STEPS, MAX_BYTES // max(actions.nbytes, 1))))
        # A copy: a policy may write its next actions where these lie.
        self._actions.append(actions.copy())
        self.n_steps += 1

    def mark(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Return where the log stands, for `go_back`."""
        return self.n_steps, self.begun.copy(), self.seeds.copy()

    def go_back(self, mark: tuple[int, np.ndarray, np.ndarray]) -> None:
        """Forget what came after a mark; it must not be older than the last `trim`."""
        for _ in range(self.n_steps - mark[0]):
            self._actions.pop()
        self.n_steps, self.begun, self.seeds = mark

    def trim(self) -> None:
        """Forget what no running episode needs."""
        needed = self.n_steps - int(self.begun.min())
        while len(self._actions) > needed:
            self._actions.popleft()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the log as arrays; `ages` are the steps of each running episode."""
        self.trim()
        actions = np.stack(self._actions) if self._actions else np.zeros((0, len(self.begun)))
        return {"ages": self.n_steps - self.begun, "seeds": self.seeds.copy(), "actions": actions}

    def newest(self, n_steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ages and seeds of the running episodes `[N]`, and the actions of the newest steps, for `extend`."""
        actions = np.stack([self._actions[index - n_steps] for index in range(n_steps)])
        return self.n_steps - self.begun, self.seeds, actions

    def extend(self, ages: np.ndarray, seeds: np.ndarray, actions: np.ndarray) -> None:
        """Go on with what another log notes of the steps that followed."""
        for step in actions:
            self.took(step)
        self.begun, self.seeds = self.n_steps - ages, seeds

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""
        actions, ages, seeds = arrays["actions"], arrays["ages"].astype(np.int64), arrays["seeds"].astype(np.int64)
        fits = actions.shape[1:2] == ages.shape == seeds.shape == self.begun.shape
        if not fits or (ages < 0).any() or (seeds < 0).any():
            raise ValueError("its log of actions comes from other environments")
        self.n_steps = 0
        for step in actions:
            self.took(step)
        self.n_steps = max(len(actions), int(ages.max()))
        self.begun, self.seeds = self.n_steps - ages, seeds

    def forgotten(self) -> dict[int, str]:
        """Return, for each environment whose episode is not remembered from its start, why."""
        first = self.n_steps - len(self._actions)
        return dict.fromkeys(
            np.flatnonzero(self.begun < first).tolist(), "its episode is longer than what is remembered"
        )

    def replay(
        self, envs: Environments, on_step: Callable[[], None] | None = None
    ) -> tuple[np.ndarray, dict[int, str]]:
        """Bring environments to where the log ends; one that fails on the way, and may be restarted, from its seed.

        Args:
            envs: the environments.
            on_step: called before each step, so that it may also be what ends the replay.

        Returns:
            The running returns `[N]`, and for each environment that could not be brought there, why.
        """
        failed = self.forgotten()
        returns = np.zeros(len(self.begun))
        wanted = ~np.isin(np.arange(len(returns)), list(failed))
        while wanted.any():
            returns[wanted] = 0.0
            ended = self._replay(envs, wanted, returns, on_step or (lambda: None))
            again = np.isin(np.arange(len(wanted)), list(envs.faults.failed))
            failed |= {
                int(index): f"its episode ended at step {ended[index]}, and did not before"
                for index in np.flatnonzero((ended > 0) & ~again)
            }
            wanted = wanted & again
        return returns, failed

    def _replay(
        self, envs: Environments, wanted: np.ndarray, returns: np.ndarray, on_step: Callable[[], None]
    ) -> np.ndarray:
        """Replay the episodes of `wanted` environments; return the step `[N]` that each ended at, 0 where none did."""
        first, ended = self.n_steps - len(self._actions), np.zeros(len(wanted), dtype=np.int64)
        for offset, actions in enumerate([*self._actions, None]):
            on_step()
            step = first + offset
            for index in np.flatnonzero(wanted & (self.begun == step)).tolist():
                envs.reset(index, int(self.seeds[index]))
            active = wanted & (self.begun <= step) & (ended == 0)
            if actions is None or not active.any():
                continue
            rewards, terminated, truncated = envs.step(actions, active)
            returns[active] += rewards[active]
            over = active & (terminated | truncated)
            ended[over] = step + 1 - self.begun[over]
        return ended
