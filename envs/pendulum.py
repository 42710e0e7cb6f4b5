"""Pendulum-v1: swing a pendulum up and hold it; 3 observations, one torque in [-2, 2]."""

from __future__ import annotations

from typing import Any

ENV_ID = "Pendulum-v1"
SOLVED = -200.0
"""Mean return of an agent that swings up at once; 0 is the most, random actions score about -1200."""

# State-dependent exploration: white noise on the torque averages out before the pendulum feels it.
TEACHER: dict[str, Any] = {
    "n_steps": 1024,
    "batch_size": 64,
    "n_epochs": 10,
    "gamma": 0.9,
    "gae_lambda": 0.95,
    "learning_rate": 1e-3,
    "use_sde": True,
    "sde_sample_freq": 4,
}
"""PPO settings that solve the task, in about 100,000 steps."""
