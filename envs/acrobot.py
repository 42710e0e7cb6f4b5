"""Acrobot-v1: swing two links up over a bar; 6 observations, 3 actions."""

from __future__ import annotations

from envs.teacher import Recipe
from envs.variants import register_variant, scale

ENV_ID = "Acrobot-v1"
SOLVED = -85.0
"""Mean return of a good agent; -500 is the least, random actions score about that."""

# One agent in many environments: the first swing that gets over the bar is rare, and found by luck.
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=16,
    normalize=True,
    hyperparameters={"n_steps": 256, "n_epochs": 4, "gamma": 0.99, "gae_lambda": 0.94, "ent_coef": 0.0},
)
"""PPO settings of the RL Zoo."""

ZOO = "a2c-Acrobot-v1"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = (
    register_variant("AcrobotHeavyLink-v1", ENV_ID, scale(LINK_MASS_2=1.2)),
    register_variant("AcrobotLongLink-v1", ENV_ID, scale(LINK_LENGTH_1=1.1, LINK_COM_POS_1=1.1)),
)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
