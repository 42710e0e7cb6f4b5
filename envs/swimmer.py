"""Swimmer-v5: swim by wriggling; 8 observations, 2 torques, 1000 steps. Needs `mujoco`."""

from __future__ import annotations

from envs.mujoco_variants import scale_model
from envs.teacher import Recipe
from envs.variants import register_variant

ENV_ID = "Swimmer-v5"
SOLVED = 330.0
"""Mean return of a good agent; random actions score about 0."""

# A discount close to 1: with the usual one agents learn to lunge forward once and stop (Franceschetti et al. 2022).
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=1,
    normalize=True,
    net_arch=(64, 64),
    hyperparameters={"gamma": 0.9999},
)
"""PPO settings of the RL Zoo."""

ZOO = "trpo-Swimmer-v3"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = (
    register_variant("SwimmerHeavy-v5", ENV_ID, scale_model(body_mass=1.2)),
    register_variant("SwimmerWeakMotor-v5", ENV_ID, scale_model(actuator_gear=0.8)),
)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
