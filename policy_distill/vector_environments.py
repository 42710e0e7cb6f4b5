"""Vector environments that step as one: SB3's `VecEnv` and Gymnasium's `VectorEnv`, in other processes too.

They start new episodes by themselves, so only their first episodes can be given seeds; later ones follow from those.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Sb3Environments:
    """An SB3 `VecEnv`, observations and rewards as it gives them."""

    owned = False
    resets_itself = True

    def __init__(self, vec_env: Any) -> None:
        self.vec_env = vec_env
        self.n_envs = vec_env.num_envs
        self.observation_space = vec_env.observation_space
        self.action_space = vec_env.action_space
        self.env_id = _spec_id(getattr(vec_env, "get_attr", lambda _: [None])("spec")[0], vec_env)
        self._seeds = np.zeros(self.n_envs, dtype=np.int64)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.obs: Any = None

    def reset(self, index: int, seed: int) -> None:
        """Note the seed; the last index restarts all environments, environment i from the first seed + i."""
        self._seeds[index] = seed
        if index == self.n_envs - 1:
            self.vec_env.seed(int(self._seeds[0]))
            self.obs = _copy(self.vec_env.reset())

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments; a vector has no idle members."""
        obs, rewards, dones, infos = self.vec_env.step(actions)
        self.obs = _copy(obs)
        if hasattr(self.vec_env, "get_original_reward"):
            rewards = self.vec_env.get_original_reward()
        truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        return rewards.astype(np.float64), dones & ~truncated, dones & truncated

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(self.vec_env.env_method("action_masks")).astype(bool)

    def close(self) -> None:
        """Leave the vector open: it is the caller's."""


class GymnasiumEnvironments:
    """A Gymnasium `VectorEnv` in any autoreset mode."""

    owned = False
    resets_itself = True

    def __init__(self, vector_env: gymnasium.vector.VectorEnv[Any, Any, Any]) -> None:
        self.vector_env = vector_env
        self.n_envs = vector_env.num_envs
        self.observation_space = vector_env.single_observation_space
        self.action_space = vector_env.single_action_space
        self.env_id = _spec_id(vector_env.spec, vector_env)
        self._mode = vector_env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._seeds = np.zeros(self.n_envs, dtype=np.int64)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.obs: Any = None

    def reset(self, index: int, seed: int) -> None:
        """Note the seed; the last index restarts all environments, environment i from the first seed + i."""
        self._seeds[index] = seed
        if index == self.n_envs - 1:
            self.obs = _copy(self.vector_env.reset(seed=int(self._seeds[0]))[0])

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments.

        In the mode NEXT_STEP an ended environment spends one step, without reward, on its restart; the state labelled
        there is the episode's last one.
        """
        obs, rewards, terminated, truncated, _ = self.vector_env.step(actions)
        ended = terminated | truncated
        self.restarting = ended if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        if self._mode == AutoresetMode.DISABLED and ended.any():
            obs, _ = self.vector_env.reset(options={"reset_mask": ended})
        self.obs = _copy(obs)
        return np.asarray(rewards, np.float64), terminated.copy(), truncated.copy()

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(cast(SyncVectorEnv, self.vector_env).call("action_masks")).astype(bool)

    def close(self) -> None:
        """Leave the vector open: it is the caller's."""


def adapt(env: Any) -> Sb3Environments | GymnasiumEnvironments:
    """Return the adapter for a vector environment."""
    return GymnasiumEnvironments(env) if isinstance(env, gymnasium.vector.VectorEnv) else Sb3Environments(env)


def _copy(obs: Any) -> Any:
    return {k: np.array(v) for k, v in obs.items()} if isinstance(obs, dict) else np.array(obs)


def _spec_id(spec: Any, env: Any) -> str:
    return spec.id if spec is not None else type(env).__name__
