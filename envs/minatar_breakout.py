"""MinAtar/Breakout-v1: a paddle, a ball and three rows of bricks on a board of 10 x 10 cells in 4 planes, 3 actions.

Needs `minatar`. An episode ends when the ball is missed; each brick gains 1, and a cleared board is filled anew.
"""

from __future__ import annotations

import gymnasium
from minatar.gym import register_envs
from stable_baselines3.common.utils import LinearSchedule
from torch import nn

from envs.small_cnn import SmallCNN
from envs.teacher import Recipe

ENV_ID = "MinAtar/Breakout-v1"

if ENV_ID not in gymnasium.registry:
    register_envs()


TEACHER = Recipe(
    timesteps=700_000,
    n_envs=64,
    net_arch=(),
    own_classes=True,
    hyperparameters={
        "n_steps": 128,
        "batch_size": 1024,
        "n_epochs": 4,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "learning_rate": LinearSchedule(2.5e-3, 0.0, 1.0),
        "ent_coef": 0.01,
        "vf_coef": 0.5,
        "max_grad_norm": 0.5,
        "policy_kwargs": {"features_extractor_class": SmallCNN, "activation_fn": nn.ReLU},
    },
)
"""PPO settings that break ten bricks in the mean, after some ten minutes."""

SOLVED = None
"""It is trained to its end. Random actions break half a brick an episode."""

ZOO, VARIANTS = "", ()
EPSILON = 0.05
"""Share of random actions in a proof, as of Atari agents."""
PERTURB = f"action-noise:{EPSILON * 2 / 3:.4f},sticky:0.25"
"""One in three random actions is the one that it replaces, and `action-noise` counts those that are not. MinAtar's own
sticky actions, one in ten, are in all of them."""
