"""Vector environments that step as one: SB3's `VecEnv` and Gymnasium's `VectorEnv`, in other processes too.

They start new episodes by themselves, so only their first episodes can be given seeds; later ones follow from those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from policy_distill.environments.faults import EnvFaults, Misbehaviour
from policy_distill.environments.identity import EnvIdentity, identify
from policy_distill.environments.running_statistics import check_vector
from policy_distill.environments.usable_keys import without_unusable
from policy_distill.environments.watch import culprit_of
from policy_distill.system.foreign import asked

HARMLESS = {"VecNormalize", "VecMonitor", "VecTransposeImage", "VecCheckNan", "RecordEpisodeStatistics"}
"""Wrappers of vectors that leave the task as it is: what they do to observations, a student does inside."""


class Sb3Environments:
    """An SB3 `VecEnv`, observations and rewards as it gives them."""

    owned = False
    resets_itself = True

    def __init__(self, vec_env: Any, beside: Sequence[str] = ()) -> None:
        self.vec_env = vec_env
        # A `VecNormalize`, or what wraps one.
        self._raw_rewards = asked(vec_env, "get_original_reward")
        self._normalized = asked(vec_env, "normalize_obs") is not None
        self.n_envs = vec_env.num_envs
        self.observation_space = without_unusable(vec_env.observation_space, type(vec_env).__name__)
        self.action_space = vec_env.action_space
        spec = vec_env.get_attr("spec")[0] if asked(vec_env, "get_attr") is not None else None
        self.env_id, self.max_episode_steps = _spec_id(spec, vec_env), _limit(spec)
        self.identity = _identity(spec, vec_env, beside)
        self.statistics = check_vector(vec_env, self.env_id)
        self._seeds = np.zeros(self.n_envs, dtype=np.int64)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.obs: Any = None
        self.faults = EnvFaults(self.env_id, self.n_envs)

    def reset(self, index: int, seed: int) -> None:
        """Note the seed; the last index restarts all environments, environment i from the first seed + i."""
        self._seeds[index] = seed
        if index == self.n_envs - 1:
            for other in range(self.n_envs):
                self.faults.began(other, int(self._seeds[0]) + other)
            with _named(self, self.vec_env):
                self.vec_env.seed(int(self._seeds[0]))
                obs = self.vec_env.reset()
            self.obs = self._checked(obs)

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments; a vector has no idle members."""
        with _named(self, self.vec_env):
            obs, rewards, dones, infos = self.vec_env.step(actions)
        self.obs = self._checked(obs)
        if self._raw_rewards is not None:
            rewards = self._raw_rewards()
        truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        return rewards.astype(np.float64), dones & ~truncated, dones & truncated

    def restart(self, index: int, error: Exception) -> None:
        """Stop the run: nobody but the caller can make an environment of theirs anew; raises RunFault."""
        self.faults.stop(index, error)

    def _checked(self, obs: Any) -> Any:
        try:
            return _checked(obs, self.observation_space, self.n_envs, self._normalized)
        except Misbehaviour as fault:
            self.faults.stop(None, fault)

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(self.vec_env.env_method("action_masks")).astype(bool)

    def close(self) -> None:
        """Leave the vector open: it is the caller's."""


class GymnasiumEnvironments:
    """A Gymnasium `VectorEnv` in any autoreset mode."""

    owned = False
    resets_itself = True

    def __init__(self, vector_env: gymnasium.vector.VectorEnv[Any, Any, Any], beside: Sequence[str] = ()) -> None:
        self.vector_env = vector_env
        self.n_envs = vector_env.num_envs
        self.observation_space = without_unusable(vector_env.single_observation_space, type(vector_env).__name__)
        self.action_space = vector_env.single_action_space
        self.env_id, self.max_episode_steps = _spec_id(vector_env.spec, vector_env), _limit(vector_env.spec)
        self.identity = _identity(vector_env.spec, vector_env, beside)
        self.statistics = check_vector(vector_env, self.env_id)
        self._mode = vector_env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._seeds = np.zeros(self.n_envs, dtype=np.int64)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.obs: Any = None
        self.faults = EnvFaults(self.env_id, self.n_envs)

    def reset(self, index: int, seed: int) -> None:
        """Note the seed; the last index restarts all environments, environment i from the first seed + i."""
        self._seeds[index] = seed
        if index == self.n_envs - 1:
            for other in range(self.n_envs):
                self.faults.began(other, int(self._seeds[0]) + other)
            with _named(self, self.vector_env):
                obs, _ = self.vector_env.reset(seed=int(self._seeds[0]))
            self.obs = self._checked(obs)

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments.

        In the mode NEXT_STEP an ended environment spends one step, without reward, on its restart; the state labelled
        there is the episode's last one.
        """
        with _named(self, self.vector_env):
            obs, rewards, terminated, truncated, _ = self.vector_env.step(actions)
        ended = terminated | truncated
        self.restarting = ended if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        if self._mode == AutoresetMode.DISABLED and ended.any():
            obs, _ = self.vector_env.reset(options={"reset_mask": ended})
        self.obs = self._checked(obs)
        return np.asarray(rewards, np.float64), terminated.copy(), truncated.copy()

    def restart(self, index: int, error: Exception) -> None:
        """Stop the run: nobody but the caller can make an environment of theirs anew; raises RunFault."""
        self.faults.stop(index, error)

    def _checked(self, obs: Any) -> Any:
        try:
            return _checked(obs, self.observation_space, self.n_envs)
        except Misbehaviour as fault:
            self.faults.stop(None, fault)

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(cast(SyncVectorEnv, self.vector_env).call("action_masks")).astype(bool)

    def close(self) -> None:
        """Leave the vector open: it is the caller's."""


def adapt(env: Any, beside: Sequence[str] = ()) -> Sb3Environments | GymnasiumEnvironments:
    """Return the adapter for a vector environment; wrappers named in `beside` do not count to its identity."""
    if isinstance(env, gymnasium.vector.VectorEnv):
        return GymnasiumEnvironments(env, beside)
    return Sb3Environments(env, beside)


class _named:
    """Within, whatever the environments raise becomes a fault with the index, where it can be found, step and seed."""

    __slots__ = ("_envs", "_vector")

    def __init__(self, envs: Sb3Environments | GymnasiumEnvironments, vector: Any) -> None:
        self._envs = envs
        self._vector = vector

    def __enter__(self) -> None:
        faults = self._envs.faults
        faults.n_steps += 1
        faults.n_calls += 1
        faults.stepping = True

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        faults = self._envs.faults
        faults.stepping = False
        if isinstance(error, Exception):
            # The caller's own processes: nobody else can start them again.
            faults.stop(*culprit_of(self._vector, error))


def _checked(obs: Any, space: Any, n_envs: int, normalized: bool = False) -> Any:
    """Return a copy of a vector's observations, each as its space has it in shape and kind of dtype."""
    if isinstance(obs, dict):
        return {key: _checked(obs[key], sub, n_envs, normalized) for key, sub in space.spaces.items()}
    array = np.array(obs)
    if array.shape != (n_envs, *space.shape):
        raise Misbehaviour(None, f"it returned observations of shape {array.shape}, expected {(n_envs, *space.shape)}")
    # VecNormalize leaves whole numbers in its space and returns floats.
    if not normalized and array.dtype != space.dtype and not np.can_cast(array.dtype, space.dtype, "same_kind"):
        raise Misbehaviour(None, f"it returned observations of dtype {array.dtype}, expected {space.dtype}")
    return array


def _identity(spec: Any, env: Any, beside: Sequence[str]) -> EnvIdentity:
    """Return what is known of a vector's environments; wrappers of vectors are in no specification."""
    if spec is None:
        return EnvIdentity(type(env).__name__, missing="it is a vector of environments without a specification")
    known, wrapped = identify(spec, beside), []
    while "venv" in vars(env) or isinstance(env, gymnasium.vector.VectorWrapper):
        wrapped.append(type(env).__name__)
        env = vars(env).get("venv") or vars(env)["env"]
    changing = sorted(set(wrapped) - HARMLESS - {*beside})
    missing = f"it is a vector in {', '.join(changing)}" if changing and not known.missing else known.missing
    return replace(known, missing=missing)


def _spec_id(spec: Any, env: Any) -> str:
    return spec.id if spec is not None else type(env).__name__


def _limit(spec: Any) -> int | None:
    return spec.max_episode_steps if spec is not None else None
