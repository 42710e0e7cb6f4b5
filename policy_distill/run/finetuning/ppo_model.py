"""Stable-Baselines3's PPO as an update alone: no environment, and each rollout brings its own buffer.

In: a student with its critic, and an `Experience`. Out: a model whose `train` makes the gradient steps.
"""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.logger import Logger

from policy_distill.interfaces.students import Loss
from policy_distill.run.finetuning.actor_critic import FEATURES, MASKS, TEACHER, ActorCritic, Critic, spaces_of
from policy_distill.run.finetuning.experience import Experience
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.training.policy import StudentPolicy

MEASURED = {
    "train/loss": "train/loss",
    "train/policy_loss": "train/policy_gradient_loss",
    "train/value_loss": "train/value_loss",
    "train/value_explained": "train/explained_variance",
    "train/clip_fraction": "train/clip_fraction",
    "train/step_kl": "train/approx_kl",
}
"""Our names of what SB3 measures in an update."""


def make_ppo(student: StudentPolicy, critic: Critic, loss: Loss, config: FinetuneConfig, n_envs: int) -> PPO:
    """Return a model of a student and its critic, both of which its updates change."""
    model = PPO(
        ActorCritic,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        # The bonus of each state comes at its own weights.
        ent_coef=1.0,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        target_kl=config.target_kl or None,
        policy_kwargs={"student": student, "critic": critic, "loss": loss, "ent_coef": config.ent_coef},
        device=config.device,
        _init_setup_model=False,
    )
    model.observation_space, model.action_space = spaces_of(student)
    # Its own buffer is never filled.
    model.n_envs, model.n_steps = n_envs, 2
    model._setup_model()
    model.set_logger(Logger(None, []))
    return model


@torch.no_grad()
def buffer_of(experience: Experience, rewards: np.ndarray, model: PPO, policy: ActorCritic) -> DictRolloutBuffer:
    """Return a rollout with values, log-probabilities and advantages of the student as it is.

    `rewards` `[T, N]` are those to learn from, normalised or not.
    """
    device, shape = model.device, (experience.n_steps, model.n_envs)
    obs_space, action_space = model.observation_space, model.action_space
    buffer = DictRolloutBuffer(
        shape[0],
        obs_space,  # type: ignore[arg-type]
        action_space,
        device,
        model.gae_lambda,
        model.gamma,
        model.n_envs,
    )
    obs = {FEATURES: experience.features.float(), TEACHER: experience.teacher_params}
    if experience.masks is not None:
        obs[MASKS] = torch.from_numpy(experience.masks.astype(np.float32)).flatten(0, 1)
    actions = torch.from_numpy(experience.actions).flatten(0, 1)
    on_device = {name: value.to(device) for name, value in obs.items()}
    values, log_probs, _ = policy.evaluate_actions(on_device, actions.to(device))
    rewards = rewards.copy()
    if experience.truncated.any():
        # An episode that was cut short would have gone on (Pardo et al. 2018, arXiv 1712.00378).
        final = policy.critic(experience.final_features.float().to(device)).cpu().numpy()
        rewards[experience.truncated] += model.gamma * final
    buffer.observations = {name: value.unflatten(0, shape).cpu().numpy() for name, value in obs.items()}
    buffer.actions = experience.actions.reshape(*shape, buffer.action_dim)
    buffer.rewards = rewards.astype(np.float32)
    buffer.episode_starts = experience.episode_starts.astype(np.float32)
    buffer.values = values.unflatten(0, shape).cpu().numpy()
    buffer.log_probs = log_probs.unflatten(0, shape).cpu().numpy()
    buffer.pos, buffer.full = shape[0], True
    following = policy.critic(experience.next_features.float().to(device))
    buffer.compute_returns_and_advantage(following, experience.ended)
    return buffer
