"""How agents of Atari are trained, by algorithm."""

from __future__ import annotations

from stable_baselines3.common.utils import LinearSchedule

from envs.teacher import Recipe

TEACHERS = {
    "dqn": Recipe(
        timesteps=450_000,
        algo="dqn",
        n_envs=1,
        net_arch=(),
        hyperparameters={
            "buffer_size": 100_000,
            "learning_rate": 1e-4,
            "batch_size": 32,
            "learning_starts": 100_000,
            "target_update_interval": 1000,
            "train_freq": 4,
            "gradient_steps": 1,
            "exploration_fraction": 0.1,
            "exploration_final_eps": 0.01,
            # Each frame once and not twice: half of 5.6 GB.
            "optimize_memory_usage": True,
            "replay_buffer_kwargs": {"handle_timeout_termination": False},
        },
    ),
    "ppo": Recipe(
        timesteps=1_250_000,
        net_arch=(),
        hyperparameters={
            "n_steps": 128,
            "n_epochs": 4,
            "batch_size": 256,
            "learning_rate": LinearSchedule(2.5e-4, 0.0, 1.0),
            "clip_range": LinearSchedule(0.1, 0.0, 1.0),
            "vf_coef": 0.5,
            "ent_coef": 0.01,
        },
    ),
}
"""Settings of the RL Zoo for Atari, with Mnih et al.'s network. Of its 10 million steps these are what two hours of one
core allow, at 16 ms a step of DQN and 6 ms of PPO."""
