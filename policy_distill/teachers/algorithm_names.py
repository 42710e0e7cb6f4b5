"""The algorithms of SB3 and sb3-contrib by the names that the RL Zoo uses, which files are called by."""

from __future__ import annotations

NAMES = (
    "ppo",
    "a2c",
    "trpo",
    "ppo_lstm",
    "ppo_mask",
    "sac",
    "tqc",
    "crossq",
    "td3",
    "ddpg",
    "ars",
    "dqn",
    "qrdqn",
    "her",
)
"""What stands before the environment in the name of a file on the hub."""
