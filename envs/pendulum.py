"""Pendulum-v1: swing a pendulum up and hold it; 3 observations, one torque in [-2, 2]."""

from __future__ import annotations

from envs.teacher import Recipe
from envs.variants import register_variant, scale

ENV_ID = "Pendulum-v1"
SOLVED = -200.0
"""Mean return of an agent that swings up at once; 0 is the most, random actions score about -1200."""

# State-dependent exploration: white noise on the torque averages out before the pendulum feels it.
TEACHER = Recipe(
    timesteps=200_000,
    hyperparameters={
        "n_steps": 1024,
        "batch_size": 64,
        "n_epochs": 10,
        "gamma": 0.9,
        "gae_lambda": 0.95,
        "learning_rate": 1e-3,
        "use_sde": True,
        "sde_sample_freq": 4,
    },
)
"""PPO settings of the RL Zoo."""

ZOO = "sac-Pendulum-v1"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = (
    register_variant("PendulumHeavy-v1", ENV_ID, scale(m=1.2)),
    register_variant("PendulumLong-v1", ENV_ID, scale(l=1.1)),
)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
