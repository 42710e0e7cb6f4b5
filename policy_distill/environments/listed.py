"""Gymnasium environments side by side in this process, each restarted from a seed of its own.

In: environments. Out: their observations, rewards and ends as arrays `[N, ...]`; the contract is `Environments`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from policy_distill.environments.faults import LOG, EnvFaults, make_writer, reason_of
from policy_distill.environments.frozen_normalization import with_statistics
from policy_distill.environments.identity import EnvIdentity, identify_made
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.running_statistics import Settled
from policy_distill.environments.usable_keys import without_unusable
from policy_distill.errors import RequestError
from policy_distill.system.nested import take


class EnvironmentList:
    """A list of Gymnasium environments in this process."""

    resets_itself = False

    def __init__(
        self,
        envs: list[gymnasium.Env[Any, Any]],
        *,
        owned: bool = True,
        make: Callable[[int], gymnasium.Env[Any, Any]] | None = None,
        restarts: Restarts | None = None,
        identity: EnvIdentity | None = None,
    ) -> None:
        """Take environments; `make` makes another in place of one with an index that failed, which else is only reset.

        `restarts` are those that may be made; `identity` is what is known of them, where they do not say it.
        """
        self.envs = envs
        self.make = make
        """Makes another in place of the one with an index; None where nobody can."""
        self.n_envs = len(envs)
        self.env_id = envs[0].spec.id if envs[0].spec is not None else type(envs[0].unwrapped).__name__
        self.identity = identity or identify_made(envs[0])
        self.observation_space = without_unusable(envs[0].observation_space, self.env_id)
        self.action_space = envs[0].action_space
        self.max_episode_steps = envs[0].spec.max_episode_steps if envs[0].spec is not None else None
        self.obs = _storage(self.observation_space, self.n_envs)
        self.faults = EnvFaults(self.env_id, self.n_envs, restarts)
        self._write = make_writer(self.obs)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.owned = owned
        self._settled = [Settled(env, self.env_id) for env in envs]
        self.statistics = self._settled[0].statistics
        """Frozen statistics that wrappers normalise observations by, as JSON values, innermost first."""
        self.identity = with_statistics(self.identity, self.statistics)
        self._rewards = np.zeros(self.n_envs)
        self._terminated = np.zeros(self.n_envs, dtype=bool)
        self._truncated = np.zeros(self.n_envs, dtype=bool)

    def reset(self, index: int, seed: int) -> None:
        """Start a new episode in one environment from `seed`."""
        while True:
            self.faults.began(index, seed)
            self.faults.n_calls += 1
            self.faults.stepping = True
            try:
                self._write(index, self.envs[index].reset(seed=seed)[0])
                break
            except (Exception, SystemExit) as error:
                self.restart(index, error)
        self.faults.stepping = False

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments, or those where `active` `[N]` is True; the others keep their last values."""
        self.faults.n_steps += 1
        self.faults.n_calls += 1
        self.faults.stepping = True
        for index in range(self.n_envs) if active is None else np.flatnonzero(active).tolist():
            try:
                obs, reward, terminated, truncated, _ = self.envs[index].step(actions[index])
                self._write(index, obs)
                tap = self._settled[index].tap
                self._rewards[index] = reward if tap is None else tap.reward
                self._terminated[index] = terminated
                self._truncated[index] = truncated
            except (Exception, SystemExit) as error:
                self.restart(index, error)
                self.faults.stepping = True
                # Its episode ends here, so that whoever steps starts another.
                self._rewards[index], self._terminated[index], self._truncated[index] = 0.0, False, True
        self.faults.stepping = False
        return self._rewards.copy(), self._terminated.copy(), self._truncated.copy()

    def restart(self, index: int, error: Exception | SystemExit) -> None:
        """Put a new environment in place of one that failed, to be reset.

        Raises:
            RunFault: where no restart is left; with the environment's index, step and seed.
        """
        while True:
            if isinstance(error, SystemExit):
                # It asked the whole process to end, as games do whose window is closed.
                error = RuntimeError(f"it called sys.exit({error.code!r})")
            self.faults.handle(index, error)
            if self.make is None:
                return
            # What keeps one from being made may hang as well.
            self.faults.n_calls += 1
            self.faults.stepping = True
            try:
                self._close(index)
                self.envs[index] = self.make(index)
                self._settled[index] = Settled(self.envs[index], self.env_id)
                return
            except (Exception, SystemExit) as again:
                error = again
            finally:
                self.faults.stepping = False

    def terminal_obs(self, index: int) -> Any:
        """Return what one environment showed last: its next episode has not begun yet."""
        return take(self.obs, index)

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`.

        Raises:
            RequestError: where the environments have no method `action_masks`.
            RunFault: where that raises; with the environment's index, step and seed.
        """
        masks = []
        for index, env in enumerate(self.envs):
            try:
                method = env.get_wrapper_attr("action_masks")
            except AttributeError:
                raise RequestError(
                    f"expected a method action_masks in {self.env_id}, as sb3-contrib has it; found none"
                ) from None
            try:
                masks.append(np.asarray(method(), dtype=bool))
            except Exception as error:
                self.faults.stop(index, error)
        return np.stack(masks)

    def part(self, first: int, n_envs: int) -> EnvironmentList:
        """Return environments `first` to `first + n_envs - 1` as they stand, for a fork of this process to go on with.

        They are the same objects: in one process, the list and its part must not both be stepped.
        """
        found, own, make = copy.copy(self), slice(first, first + n_envs), self.make
        found.envs, found._settled, found.n_envs = self.envs[own], self._settled[own], n_envs
        found.make = None if make is None else lambda index: make(first + index)
        found.obs = copy.deepcopy(take(self.obs, own))
        found._write = make_writer(found.obs)
        found.faults = self.faults.part(first, n_envs)
        found.restarting, found._rewards = self.restarting[own].copy(), self._rewards[own].copy()
        found._terminated, found._truncated = self._terminated[own].copy(), self._truncated[own].copy()
        return found

    def lend(self) -> gymnasium.Env[Any, Any]:
        """Return the only environment, for others to use in turns with its owner."""
        (env,) = self.envs
        return env

    def close(self) -> None:
        """Close the environments, or leave them as they were where they are the caller's."""
        for settled in () if self.owned else self._settled:
            settled.undo()
        for index in range(self.n_envs if self.owned else 0):
            self._close(index)

    def _close(self, index: int) -> None:
        """Close one; an error there takes nothing from what it did before."""
        try:
            self.envs[index].close()
        except (Exception, SystemExit) as error:
            LOG.warning("%s: environment %d could not be closed: %s", self.env_id, index, reason_of(error))


def _storage(space: gymnasium.Space[Any], n_envs: int) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        nested = [key for key, sub in space.spaces.items() if isinstance(sub, gymnasium.spaces.Dict)]
        if nested:
            raise RequestError(
                f"expected a Dict of arrays, found one with a Dict under {nested[0]!r}; flatten it in a wrapper"
            )
        return {key: _storage(sub, n_envs) for key, sub in space.spaces.items()}
    if space.shape is None or space.dtype is None:
        raise RequestError(
            f"expected observations that are arrays or a Dict of them, found {space}; wrap the environment"
        )
    return np.zeros((n_envs, *space.shape), dtype=space.dtype)
