"""Stand-ins for tests: a teacher that is a formula, and environments that misbehave."""

from typing import Any

import gymnasium
import numpy as np
import torch

from policy_distill.families.categorical import Categorical
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.interfaces.policies import Labels
from policy_distill.student.actions import ActionMap
from policy_distill.teachers.base import BaseTeacher


class FormulaTeacher(BaseTeacher):
    """A linear teacher: logits or mean are `obs @ weight`."""

    n_params = 1000
    n_bytes = 4000

    def __init__(self, observation_space: Any, action_space: Any, weight: Any, log_std: float = -1.0) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.weight = torch.tensor(weight, dtype=torch.float32)
        self.log_std = log_std
        self.n_labels = 0
        self.provenance = {"algorithm": "formula", "source": None, "sha256": None, "library_versions": {}}
        if isinstance(action_space, gymnasium.spaces.Discrete):
            self.family: Any = Categorical(int(action_space.n))
            self.action_map = ActionMap("index", (), "int64")
        else:
            self.family = DiagonalGaussian(action_space.shape[0])
            self.action_map = ActionMap("clip", action_space.shape, "float32", action_space.low, action_space.high)

    def label(self, obs: Any, episode_starts: Any, state: Any = None, action_masks: Any = None) -> Any:
        outputs = torch.from_numpy(obs.astype(np.float32)) @ self.weight
        self.n_labels += 1
        if self.family.name == "diagonal_gaussian":
            outputs = torch.cat([outputs, torch.full_like(outputs, self.log_std)], dim=-1)
        return Labels(outputs)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> Any:
        obs = np.asarray(observation)
        single = obs.ndim == len(self.observation_space.shape)
        labels = self.label(obs[None, None] if single else obs[None], np.zeros((1, 1), bool))
        actions = self.action_map.execute(self.family.mode(labels.params[0]).numpy())
        return (actions[0] if single else actions), state


def cartpole_teacher() -> FormulaTeacher:
    """Balances for 500 steps: pushes towards where the pole falls."""
    env = gymnasium.make("CartPole-v1")
    push = np.array([0.2, 0.6, 4.0, 4.0])
    return FormulaTeacher(env.observation_space, env.action_space, np.stack([-push, push], axis=1))


def pendulum_teacher() -> FormulaTeacher:
    """A controller that damps; it scores better than chance, no more."""
    env = gymnasium.make("Pendulum-v1")
    return FormulaTeacher(env.observation_space, env.action_space, [[0.0], [-3.0], [-1.0]])


class Corridor(gymnasium.Env[np.ndarray, int]):
    """Ten steps, a reward of 1 for action 1; can be told to return NaN at a step of its own count."""

    def __init__(self, nan_at: int | None = None, length: int = 10) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.nan_at, self.length, self.t, self.total = nan_at, length, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return self._obs(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.t += 1
        self.total += 1
        return self._obs(), float(action), self.t >= self.length, False, {}

    def _obs(self) -> np.ndarray:
        value = np.nan if self.nan_at is not None and self.total == self.nan_at else self.t / self.length
        return np.array([value, 1.0], dtype=np.float32)


def corridor_teacher() -> FormulaTeacher:
    """Always prefers action 1."""
    env = Corridor()
    return FormulaTeacher(env.observation_space, env.action_space, [[0.0, 0.0], [0.0, 3.0]])
