"""CartPole-v1: balance a pole for 500 steps; 4 observations, 2 actions."""

from __future__ import annotations

from typing import Any

from envs.teacher import Recipe
from envs.variants import register_variant, scale

ENV_ID = "CartPole-v1"
SOLVED = 475.0
"""Mean return at which Gymnasium calls the task solved; the most is 500."""

# Short rollouts and a low discount: the pole shows within a second whether an action was good.
TEACHER = Recipe(
    timesteps=200_000,
    hyperparameters={
        "n_steps": 32,
        "batch_size": 256,
        "n_epochs": 20,
        "gamma": 0.98,
        "gae_lambda": 0.8,
        "learning_rate": 1e-3,
        "clip_range": 0.2,
    },
)
"""PPO settings of the RL Zoo."""

ZOO = "qrdqn-CartPole-v1"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""


def _long_pole(env: Any) -> None:
    env.length *= 1.5
    env.polemass_length = env.masspole * env.length


VARIANTS = (
    register_variant("CartPoleLongPole-v1", ENV_ID, _long_pole),
    register_variant("CartPoleHeavyCart-v1", ENV_ID, scale(masscart=2.0, total_mass=2.1 / 1.1)),
    register_variant("CartPoleWeakMotor-v1", ENV_ID, scale(force_mag=0.7)),
)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
