"""An expert of LunarLander under one gravity: the best agent that there is for it, which went on training there.

In: agents, a gravity and a number of steps. Out: the zip of the expert as it was at its best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import TransformReward
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import LinearSchedule

from envs.lunar_lander import TEACHER
from policy_distill.environments.names import with_kwargs
from policy_distill.interfaces.policies import Teacher
from policy_distill.seeds import TEACHER_CHECKS
from policy_distill.teachers.files.save_agent import place_for, save_agent

N_LOOKS = 6
"""Looks at how good the expert is, beside those at the agents that it may begin as."""
N_EPISODES = 100
"""Episodes of each look, the same ones every time."""
SETTINGS = {**TEACHER.hyperparameters, "n_steps": 512, "batch_size": 1024, "n_epochs": 10, "ent_coef": 0.0}
"""Of PPO: the RL Zoo's, with large batches and no bonus for entropy: an agent that can land is to become sure."""
RATE = 1e-3
"""Adam's step size at the start; it falls linearly to nothing."""
TARGET_KL = 0.03
"""Passes over a rollout end once the policy has moved so far, in nats."""
UNIT = 100.0
"""What rewards are divided by, so that the critic's errors do not crowd out the policy's gradient."""


class KeepBest(BaseCallback):
    """Keeps the weights of the policy as it was when it returned most, the first one included."""

    def __init__(self, env: Any, every: int) -> None:
        super().__init__()
        self._env, self._every, self._next = env, every, every
        self.best, self.weights = float("-inf"), dict[str, Any]()

    def look(self) -> None:
        """Play, and keep the weights where they are the best so far."""
        self._env.seed(TEACHER_CHECKS)
        mean = float(np.mean(evaluate_policy(self.model, self._env, N_EPISODES)[0]))
        if mean > self.best:
            self.best = mean
            self.weights = {name: value.clone() for name, value in self.model.policy.state_dict().items()}

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._next:
            self._next += self._every
            self.look()


def train_expert(begun: Sequence[Teacher], gravity: float, timesteps: int, out: Path) -> float:
    """Let the best of some agents go on under a gravity, write it as it was at its best; return its mean return there.

    `begun` are agents of the same network.
    """
    env = with_kwargs("LunarLander-v3", {"gravity": gravity})
    vec_env = make_vec_env(lambda: TransformReward(gymnasium.make(env), _divided), TEACHER.n_envs, seed=0)
    looked = make_vec_env(lambda: gymnasium.make(env), 10, seed=TEACHER_CHECKS)
    settings: dict[str, Any] = {**SETTINGS, "learning_rate": LinearSchedule(RATE, 0.0, 1.0), "target_kl": TARGET_KL}
    model = PPO("MlpPolicy", vec_env, seed=0, device="cpu", **settings)
    keep = KeepBest(looked, timesteps // N_LOOKS)
    keep.init_callback(model)
    try:
        for one in begun:
            model.policy.load_state_dict(_in_unit(one.weights() or {}, 1.0 / UNIT))
            keep.look()
        model.policy.load_state_dict(keep.weights)
        model.learn(timesteps, callback=keep)
        keep.look()
        model.policy.load_state_dict(_in_unit(keep.weights, UNIT))
        save_agent(model, place_for(out), env, looked)
    finally:
        vec_env.close()
        looked.close()
    return keep.best


def _divided(reward: Any) -> float:
    return float(reward) / UNIT


def _in_unit(weights: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return an agent's weights with values so many times as large."""
    return {name: value * factor if name.startswith("value_net") else value for name, value in weights.items()}
