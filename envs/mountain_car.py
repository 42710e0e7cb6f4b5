"""MountainCar-v0: rock a weak car up a hill; 2 observations, 3 actions."""

from __future__ import annotations

from envs.teacher import Recipe
from envs.variants import register_variant, scale

ENV_ID = "MountainCar-v0"
SOLVED = -105.0
"""Mean return of a good agent; -200 is the least, random actions score that."""

# Off-policy: the goal is reached by luck at first, and each time that it is must be learnt from more than once.
TEACHER = Recipe(
    algo="dqn",
    timesteps=120_000,
    n_envs=1,
    hyperparameters={
        "learning_rate": 4e-3,
        "batch_size": 128,
        "buffer_size": 10_000,
        "learning_starts": 1000,
        "gamma": 0.98,
        "target_update_interval": 600,
        "train_freq": 16,
        "gradient_steps": 8,
        "exploration_fraction": 0.2,
        "exploration_final_eps": 0.07,
    },
)
"""DQN settings of the RL Zoo."""

ZOO = "dqn-MountainCar-v0"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = (
    register_variant("MountainCarSteep-v0", ENV_ID, scale(gravity=1.1)),
    register_variant("MountainCarWeakMotor-v0", ENV_ID, scale(force=0.9)),
)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
