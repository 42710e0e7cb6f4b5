"""LunarLander-v3: land on the pad with four engines' commands; 8 observations, 4 actions. Needs `box2d`."""

from __future__ import annotations

from typing import Any

ENV_ID = "LunarLander-v3"
SOLVED = 200.0
"""Mean return at which Gymnasium calls the task solved; good agents reach 240 to 280."""

# A long horizon: the landing bonus comes hundreds of steps after the burn that made it possible.
TEACHER: dict[str, Any] = {
    "n_steps": 1024,
    "batch_size": 64,
    "n_epochs": 4,
    "gamma": 0.999,
    "gae_lambda": 0.98,
    "ent_coef": 0.01,
}
"""PPO settings that solve the task, in about a million steps."""
