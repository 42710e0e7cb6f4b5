"""Gymnasium environments side by side in this process, each restarted from a seed of its own.

In: environments. Out: their observations, rewards and ends as arrays `[N, ...]`; the contract is `Environments`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from policy_distill.env_faults import EnvFaults, make_writer
from policy_distill.errors import RequestError


class EnvironmentList:
    """A list of Gymnasium environments in this process."""

    resets_itself = False

    def __init__(
        self,
        envs: list[gymnasium.Env[Any, Any]],
        *,
        owned: bool = True,
        make: Callable[[], gymnasium.Env[Any, Any]] | None = None,
    ) -> None:
        """Take environments; `make` makes another in place of one that failed, which else is only reset."""
        self.envs = envs
        self._make = make
        self.n_envs = len(envs)
        self.observation_space = envs[0].observation_space
        self.action_space = envs[0].action_space
        self.env_id = envs[0].spec.id if envs[0].spec is not None else type(envs[0].unwrapped).__name__
        self.obs = _storage(self.observation_space, self.n_envs)
        self.faults = EnvFaults(self.env_id, self.n_envs)
        self._write = make_writer(self.obs)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.owned = owned
        self._rewards = np.zeros(self.n_envs)
        self._terminated = np.zeros(self.n_envs, dtype=bool)
        self._truncated = np.zeros(self.n_envs, dtype=bool)

    def reset(self, index: int, seed: int) -> None:
        """Start a new episode in one environment from `seed`."""
        while True:
            self.faults.began(index, seed)
            self.faults.stepping = True
            try:
                self._write(index, self.envs[index].reset(seed=seed)[0])
                break
            except Exception as error:
                self.restart(index, error)
            except SystemExit as error:
                self.restart(index, left(error))
        self.faults.stepping = False

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments, or those where `active` `[N]` is True; the others keep their last values."""
        self.faults.n_steps += 1
        self.faults.stepping = True
        for index in range(self.n_envs) if active is None else np.flatnonzero(active).tolist():
            try:
                obs, reward, terminated, truncated, _ = self.envs[index].step(actions[index])
                self._write(index, obs)
                self._rewards[index] = reward
                self._terminated[index] = terminated
                self._truncated[index] = truncated
            except Exception as error:
                self.restart(index, error)
            except SystemExit as error:
                self.restart(index, left(error))
                self.faults.stepping = True
                # Its episode ends here, so that whoever steps starts the next one.
                self._rewards[index], self._terminated[index], self._truncated[index] = 0.0, False, True
        self.faults.stepping = False
        return self._rewards.copy(), self._terminated.copy(), self._truncated.copy()

    def restart(self, index: int, error: Exception) -> None:
        """Put a new environment in place of one that failed, to be reset.

        Raises:
            RunFault: where no restart is left; with the environment's index, step and seed.
        """
        while True:
            self.faults.handle(index, error)
            try:
                if self._make is not None:
                    self.envs[index] = self._make()
                return
            except Exception as again:
                error = again

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`.

        Raises:
            RequestError: where the environments have no method `action_masks`.
        """
        try:
            return np.stack([env.get_wrapper_attr("action_masks")() for env in self.envs]).astype(bool)
        except AttributeError:
            raise RequestError(
                f"expected a method action_masks of {self.env_id}, as sb3-contrib uses it; found none"
            ) from None

    def close(self) -> None:
        """Close the environments, unless they are the caller's."""
        for env in self.envs if self.owned else ():
            env.close()


def _storage(space: gymnasium.Space[Any], n_envs: int) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _storage(sub, n_envs) for key, sub in space.spaces.items()}
    if space.shape is None or space.dtype is None:
        raise RequestError(
            f"expected observations that are arrays or a Dict of them, found {space}; wrap the environment"
        )
    return np.zeros((n_envs, *space.shape), dtype=space.dtype)


def left(error: SystemExit) -> RuntimeError:
    """Return what is said of an environment that asked the whole process to end, as games do whose window is closed."""
    return RuntimeError(f"it called sys.exit({error.code!r})")
