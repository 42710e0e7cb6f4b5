"""HalfCheetah-v5: run; 17 observations, 6 torques, 1000 steps. Needs `mujoco`."""

from __future__ import annotations

from torch import nn

from envs.mujoco_variants import body_variants
from envs.teacher import Recipe

ENV_ID = "HalfCheetah-v5"
SOLVED = 5500.0
"""Mean return of a good agent of this algorithm; random actions score about -270."""

# Small steps, many of them: a low learning rate, 20 passes, and little noise from the start.
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=1,
    normalize=True,
    hyperparameters={
        "batch_size": 64,
        "n_steps": 512,
        "gamma": 0.98,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.92,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
        "policy_kwargs": {"log_std_init": -2, "ortho_init": False, "activation_fn": nn.ReLU},
    },
)
"""PPO settings of the RL Zoo."""

ZOO = "ppo-HalfCheetah-v3"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = body_variants(ENV_ID)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
