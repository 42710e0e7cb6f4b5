"""Environments by any name: a Gymnasium id, an EnvSpec, a callable, one environment, or a vector of them.

In: what the user calls the environment. Out: `Environments`, stepped side by side in one process, each of which can
be restarted from a seed of its own. What cannot be taken apart is adapted in `vector_environments.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from policy_distill.env_faults import EnvFaults, make_writer
from policy_distill.errors import RequestError
from policy_distill.make_env import make_env
from policy_distill.wrappers import WrapperSpec, apply_wrappers


class Environments(Protocol):
    """`N` environments side by side."""

    n_envs: int
    env_id: str
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    owned: bool
    """True where the environments were made here; False for the caller's own."""
    resets_itself: bool
    """True where an ended episode is followed by the next without a call of `reset`."""
    restarting: np.ndarray
    """bool `[N]`: the next step of this environment only restarts it, whatever the action."""
    obs: Any
    """The current raw observations `[N, ...]`, or a dict of such; overwritten by every step."""
    faults: EnvFaults
    """Where the episodes stand, and what is done about an environment that fails."""

    def reset(self, index: int, seed: int) -> None:
        """Start a new episode in one environment."""
        ...

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all (or the active) environments; return rewards, terminated, truncated, each `[N]`."""
        ...

    def restart(self, index: int, error: Exception) -> None:
        """Put a new environment in place of one that failed, to be reset; raise `RunFault` where that may not be."""
        ...

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`, as sb3-contrib's `action_masks` says it."""
        ...

    def close(self) -> None:
        """Close what was opened here."""
        ...


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


def open_environments(env: Any, n_envs: int, wrappers: Sequence[WrapperSpec] = ()) -> Environments:
    """Return environments for anything that names them; given vector environments keep their own number.

    `wrappers` are put around environments that are made here from an id or a spec; what is handed over stays as it is.

    Raises:
        RequestError: where `env` is unknown, cannot be made, or is not an environment.
    """
    if isinstance(env, str | EnvSpec):
        named = env

        def make() -> gymnasium.Env[Any, Any]:
            return apply_wrappers(make_env(named), list(wrappers))

        return EnvironmentList([make() for _ in range(n_envs)], make=make)
    if isinstance(env, gymnasium.Env):
        return EnvironmentList([env], owned=False)
    # Looked up in the object itself: a wrapper passes attributes through, and would be lost if taken apart.
    members = vars(env).get("envs") if hasattr(env, "__dict__") else None
    if isinstance(members, list | tuple) and members and all(isinstance(member, gymnasium.Env) for member in members):
        return EnvironmentList(list(members), owned=False)
    if hasattr(env, "step_async") or isinstance(env, gymnasium.vector.VectorEnv):
        from policy_distill.vector_environments import adapt

        return adapt(env)
    if callable(env):
        return EnvironmentList([_call(env) for _ in range(n_envs)], make=lambda: _call(env))
    raise RequestError(
        "expected a Gymnasium id, an EnvSpec, a callable that makes an environment, or a vector environment; "
        f"found {type(env).__name__}"
    )


def without_normalization(env: Any) -> Any:
    """Return what a `VecNormalize` wraps, since teachers and students take raw observations; anything else as it is."""
    return env.venv if hasattr(env, "venv") and hasattr(env, "obs_rms") and "venv" in vars(env) else env


def _call(make: Callable[[], Any]) -> gymnasium.Env[Any, Any]:
    env = make()
    if not isinstance(env, gymnasium.Env):
        raise RequestError(
            f"expected a callable that returns a Gymnasium environment, it returned {type(env).__name__}"
        )
    return env


def _storage(space: gymnasium.Space[Any], n_envs: int) -> Any:
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _storage(sub, n_envs) for key, sub in space.spaces.items()}
    if space.shape is None or space.dtype is None:
        raise RequestError(
            f"expected observations that are arrays or a Dict of them, found {space}; wrap the environment"
        )
    return np.zeros((n_envs, *space.shape), dtype=space.dtype)
