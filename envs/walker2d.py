"""Walker2d-v5: walk on two legs without falling; 17 observations, 6 torques. Needs `mujoco`."""

from __future__ import annotations

from torch import nn

from envs.mujoco_variants import body_variants
from envs.teacher import Recipe

ENV_ID = "Walker2d-v5"
SOLVED = 3500.0
"""Mean return of a good agent of this algorithm; random actions score about 2."""

# Little noise from the start: one careless torque ends the episode.
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=1,
    normalize=True,
    hyperparameters={
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.99,
        "learning_rate": 5.05041e-05,
        "ent_coef": 0.000585045,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.95,
        "max_grad_norm": 1.0,
        "vf_coef": 0.871923,
        "policy_kwargs": {"log_std_init": -2, "ortho_init": False, "activation_fn": nn.ReLU},
    },
)
"""PPO settings of the RL Zoo."""

ZOO = "tqc-Walker2d-v3"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = body_variants(ENV_ID)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
