"""Hopper-v5: hop on one leg without falling; 11 observations, 3 torques. Needs `mujoco`."""

from __future__ import annotations

from torch import nn

from envs.mujoco_variants import body_variants
from envs.teacher import Recipe

ENV_ID = "Hopper-v5"
SOLVED = 2400.0
"""Mean return of a good agent of this algorithm; random actions score about 20."""

# A long horizon and little noise: one careless torque ends the episode.
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=1,
    normalize=True,
    hyperparameters={
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        "policy_kwargs": {"log_std_init": -2, "ortho_init": False, "activation_fn": nn.ReLU},
    },
)
"""PPO settings of the RL Zoo."""

ZOO = ""
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS = body_variants(ENV_ID)
"""The same task under other physics."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
