"""CartPole-v1: balance a pole for 500 steps; 4 observations, 2 actions."""

from __future__ import annotations

from typing import Any

ENV_ID = "CartPole-v1"
SOLVED = 475.0
"""Mean return at which Gymnasium calls the task solved; the most is 500."""

# Short rollouts and a low discount: the pole shows within a second whether an action was good.
TEACHER: dict[str, Any] = {
    "n_steps": 32,
    "batch_size": 256,
    "n_epochs": 20,
    "gamma": 0.98,
    "gae_lambda": 0.8,
    "learning_rate": 1e-3,
    "clip_range": 0.2,
}
"""PPO settings that solve the task with a [256, 256] network."""
