"""LunarLanderContinuous-v3: land on the pad; 8 observations, throttles of two engines in [-1, 1]. Needs `box2d`."""

from __future__ import annotations

from envs.teacher import Recipe

ENV_ID = "LunarLanderContinuous-v3"
SOLVED = 200.0
"""Mean return at which Gymnasium calls the task solved; good agents reach 270."""

# A long horizon: the landing bonus comes hundreds of steps after the burn that made it possible.
TEACHER = Recipe(
    timesteps=1_000_000,
    n_envs=16,
    hyperparameters={
        "n_steps": 1024,
        "batch_size": 64,
        "n_epochs": 4,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "ent_coef": 0.01,
    },
)
"""PPO settings of the RL Zoo."""

ZOO = ""
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS: tuple[str, ...] = ()
"""The same task under other physics, other than by its constructor's arguments."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1,env:gravity=-11.9,env:gravity=-8,env:enable_wind=true"
"""Conditions to try a student under."""
