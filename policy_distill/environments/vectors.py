"""Vector environments that step as one: SB3's `VecEnv` and Gymnasium's `VectorEnv`, in other processes too.

They start new episodes by themselves, so only their first episodes can be given seeds; later ones follow from those.
"""

from __future__ import annotations

import copy
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
from policy_distill.system.nested import take

HARMLESS = {"VecNormalize", "VecMonitor", "VecTransposeImage", "VecCheckNan", "RecordEpisodeStatistics"}
"""Wrappers of vectors that leave the task as it is: what they do to observations, a student does inside."""


class Vector:
    """What both kinds have in common: they are stepped and restarted as one, and are the caller's."""

    owned = False
    resets_itself = True

    def __init__(self, vector: Any, spaces: tuple[Any, Any], spec: Any, beside: Sequence[str]) -> None:
        """Take a vector with the spaces of one observation and one action, and its specification where it has one."""
        self.vector = vector
        self.n_envs = vector.num_envs
        self.observation_space = without_unusable(spaces[0], type(vector).__name__)
        self.action_space = spaces[1]
        self.env_id = spec.id if spec is not None else type(vector).__name__
        self.max_episode_steps: int | None = spec.max_episode_steps if spec is not None else None
        self.identity = _identity(spec, vector, beside)
        self.statistics = check_vector(vector, self.env_id)
        self.restarting = np.zeros(self.n_envs, dtype=bool)
        self.obs: Any = None
        self.faults = EnvFaults(self.env_id, self.n_envs)
        self._seeds = np.zeros(self.n_envs, dtype=np.int64)
        self._normalized = False

    def reset(self, index: int, seed: int) -> None:
        """Note the seed; the last index restarts all environments, environment i from the first seed + i."""
        self._seeds[index] = seed
        if index == self.n_envs - 1:
            for other in range(self.n_envs):
                self.faults.began(other, int(self._seeds[0]) + other)
            with _named(self, self.vector):
                obs = self._reset_all(int(self._seeds[0]))
            self.obs = self._checked(obs)

    def restart(self, index: int, error: Exception) -> None:
        """Stop the run: nobody but the caller can make an environment of theirs anew; raises RunFault."""
        self.faults.stop(index, error)

    def close(self) -> None:
        """Leave the vector open: it is the caller's."""

    def _reset_all(self, seed: int) -> Any:
        raise NotImplementedError

    def _checked(self, obs: Any) -> Any:
        try:
            return _checked(obs, self.observation_space, self.n_envs, self._normalized)
        except Misbehaviour as fault:
            self.faults.stop(None, fault)


class Sb3Environments(Vector):
    """An SB3 `VecEnv`, observations and rewards as it gives them."""

    def __init__(self, vec_env: Any, beside: Sequence[str] = ()) -> None:
        spec = vec_env.get_attr("spec")[0] if asked(vec_env, "get_attr") is not None else None
        super().__init__(vec_env, (vec_env.observation_space, vec_env.action_space), spec, beside)
        # Of a `VecNormalize`, or of what wraps one.
        self._raw_rewards = asked(vec_env, "get_original_reward")
        self._normalized = asked(vec_env, "normalize_obs") is not None
        self._infos: Any = ()

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments; a vector has no idle members."""
        with _named(self, self.vector):
            obs, rewards, dones, self._infos = self.vector.step(actions)
        self.obs = self._checked(obs)
        if self._raw_rewards is not None:
            rewards = self._raw_rewards()
        truncated = np.array([bool(info.get("TimeLimit.truncated", False)) for info in self._infos])
        return rewards.astype(np.float64), dones & ~truncated, dones & truncated

    def terminal_obs(self, index: int) -> Any:
        """Return what the vector notes of the end of an episode, as it gives observations."""
        return self._infos[index]["terminal_observation"]

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(self.vector.env_method("action_masks")).astype(bool)

    def _reset_all(self, seed: int) -> Any:
        self.vector.seed(seed)
        return self.vector.reset()


class GymnasiumEnvironments(Vector):
    """A Gymnasium `VectorEnv` in any autoreset mode."""

    def __init__(self, vector: gymnasium.vector.VectorEnv[Any, Any, Any], beside: Sequence[str] = ()) -> None:
        super().__init__(vector, (vector.single_observation_space, vector.single_action_space), vector.spec, beside)
        self._mode = vector.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        self._seen_last: Any = None

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all environments.

        In the mode NEXT_STEP an ended environment spends one step, without reward, on its restart; the state labelled
        there is the episode's last one.
        """
        with _named(self, self.vector):
            obs, rewards, terminated, truncated, infos = self.vector.step(actions)
        ended = terminated | truncated
        self.restarting = ended if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        self._seen_last = obs
        if self._mode == AutoresetMode.SAME_STEP:
            self._seen_last = infos.get("final_obs", obs)
        elif self._mode == AutoresetMode.DISABLED and ended.any():
            # A vector may write the next observations where these lie.
            self._seen_last = copy.deepcopy(obs)
            obs, _ = self.vector.reset(options={"reset_mask": ended})
        self.obs = self._checked(obs)
        return np.asarray(rewards, np.float64), terminated.copy(), truncated.copy()

    def terminal_obs(self, index: int) -> Any:
        """Return what was seen last of an episode that ended."""
        return take(self._seen_last, index)

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`."""
        return np.stack(cast(SyncVectorEnv, self.vector).call("action_masks")).astype(bool)

    def _reset_all(self, seed: int) -> Any:
        return self.vector.reset(seed=seed)[0]


def adapt(env: Any, beside: Sequence[str] = ()) -> Sb3Environments | GymnasiumEnvironments:
    """Return the adapter for a vector environment; wrappers named in `beside` do not count to its identity."""
    if isinstance(env, gymnasium.vector.VectorEnv):
        return GymnasiumEnvironments(env, beside)
    return Sb3Environments(env, beside)


class _named:
    """Within, whatever the environments raise becomes a fault with the index, where it can be found, step and seed."""

    __slots__ = ("_envs", "_vector")

    def __init__(self, envs: Vector, vector: Any) -> None:
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
