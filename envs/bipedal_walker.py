"""BipedalWalker-v3: walk over rough ground on two legs; 24 observations, 4 torques. Needs `box2d`."""

from __future__ import annotations

from envs.teacher import Recipe

ENV_ID = "BipedalWalker-v3"
SOLVED = 280.0
"""Mean return of a good agent; Gymnasium calls the task solved at 300. Random actions score about -100."""

# Many environments and long rollouts: a fall costs 100, and most first steps end in one.
TEACHER = Recipe(
    timesteps=5_000_000,
    n_envs=32,
    normalize=True,
    net_arch=(64, 64),
    hyperparameters={
        "n_steps": 2048,
        "batch_size": 64,
        "n_epochs": 10,
        "gamma": 0.999,
        "gae_lambda": 0.95,
        "ent_coef": 0.0,
        "learning_rate": 3e-4,
        "clip_range": 0.18,
    },
)
"""PPO settings of the RL Zoo."""

ZOO = "ppo-BipedalWalker-v3"
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS: tuple[str, ...] = ()
"""The same task under other physics, other than by its constructor's arguments."""

PERTURB = "obs-noise:0.1,action-noise:0.1,sticky:0.25,delay:1"
"""Conditions to try a student under."""
