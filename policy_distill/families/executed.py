"""The log-probability of an action as the environment got it, and not as it was drawn.

In: distribution parameters, executed actions. Out: nats. What was drawn beyond a bound was executed at the bound: the
probability of that is the tail's, and its gradient has less variance than the density's of what was drawn, and the same
mean (Fujita and Maeda 2018, "Clipped Action Policy Gradient", arXiv 1802.07564).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.special import log_ndtr

from policy_distill.families import _gaussian
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.actions import ActionMap


def executed_log_prob(
    family: ActionDistribution, action_map: ActionMap, params: torch.Tensor, actions: torch.Tensor
) -> torch.Tensor:
    """Return `[B]` log-probabilities, or log-densities within bounds, of executed actions `[B, *shape]`.

    Where an action map clips, the family is a diagonal Gaussian. A squashed action that rounding has put on a bound
    counts as one just within it.
    """
    if action_map.kind == "index":
        chosen = actions - torch.as_tensor(action_map.start, device=actions.device)
        return family.log_prob(params, _flat(chosen) if action_map.shape else chosen)
    flat = _flat(actions).to(params.dtype)
    if action_map.kind == "none":
        return family.log_prob(params, flat)
    low, high = (_bound(bound, params) for bound in (action_map.low, action_map.high))
    if action_map.kind == "unsquash":
        return family.log_prob(params, 2.0 * (flat - low) / (high - low) - 1.0)
    return _censored(params, flat, low, high)


def _censored(params: torch.Tensor, actions: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    mean, log_std = _gaussian.split(params)
    scale = (-log_std).exp()
    within = -0.5 * ((actions - mean) * scale) ** 2 - log_std - 0.5 * math.log(2 * math.pi)
    at_low, at_high = actions <= low, actions >= high
    # Where a bound is infinite nothing is at it, and its tail would be a NaN in the gradient.
    below = log_ndtr((torch.where(at_low, low, mean) - mean) * scale)
    above = log_ndtr((mean - torch.where(at_high, high, mean)) * scale)
    return torch.where(at_low, below, torch.where(at_high, above, within)).sum(dim=-1)


def _flat(actions: torch.Tensor) -> torch.Tensor:
    return actions.reshape(len(actions), -1)


def _bound(bound: Any, params: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(np.asarray(bound).ravel(), dtype=params.dtype, device=params.device)
