"""SB3's `predict` for teachers who have labels and nothing else to act from.

In: a teacher's `label`. Out: executed actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from policy_distill.interfaces.policies import Teacher
from policy_distill.system.nested import first_of, with_axis

FORBIDDEN = -1e8
"""Logit of an action that a mask rules out, as sb3-contrib has it."""


def ruled_out(params: torch.Tensor, action_masks: np.ndarray | None) -> torch.Tensor:
    """Return logits `[T, N, P]` under `action_masks`, bool `[T, N, P]`; as they are without any."""
    if action_masks is None:
        return params
    allowed = torch.from_numpy(np.asarray(action_masks, dtype=bool)).reshape(params.shape).to(params.device)
    return params.masked_fill(~allowed, FORBIDDEN)


def predict_by_labels(
    teacher: Teacher,
    observation: Any,
    state: Any = None,
    episode_start: np.ndarray | None = None,
    deterministic: bool = False,
    action_masks: np.ndarray | None = None,
) -> tuple[np.ndarray, Any]:
    """Return executed actions for one raw observation or a batch, under `action_masks` `[B, A]` where given.

    Samples are drawn from torch's generator, as SB3's are.
    """
    single = _is_single(observation, teacher.observation_space)
    batch = with_axis(observation) if single else observation
    count = len(first_of(batch))
    starts = np.zeros(count, bool) if episode_start is None else np.asarray(episode_start)
    masks = None if action_masks is None else np.asarray(action_masks).reshape(1, count, -1)
    labels = teacher.label(with_axis(batch), starts[None], state, masks)
    family, params = teacher.family, labels.params[0].cpu()
    greedy = deterministic or not teacher.samples
    chosen = family.mode(params) if greedy else family.sample(params, torch.default_generator)
    actions = teacher.action_map.execute(chosen.numpy())
    return (actions[0] if single else actions), labels.state


def _is_single(obs: Any, space: Any) -> bool:
    """Say whether an observation lacks the dimension of a batch; images may have their channels elsewhere."""
    if isinstance(obs, dict):
        key = next(iter(obs))
        return _is_single(obs[key], space[key])
    return np.ndim(obs) == len(space.shape)
