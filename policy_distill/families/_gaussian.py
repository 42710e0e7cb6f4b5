"""What the Gaussian families share: parameters are `[mean, log σ]`, `[B, 2A]`; dimensions are independent."""

from __future__ import annotations

import math

import numpy as np
import torch

LOG_STD_RANGE = (-5.0, 2.0)
"""log σ is held in here (σ from 0.0067 to 7.4): a teacher's σ of 1e-6 would weigh its means by 1e12."""


def split(params: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and clamped log σ, `[B, A]` each."""
    mean, log_std = params.chunk(2, dim=-1)
    return mean, log_std.clamp(*LOG_STD_RANGE)


def log_prob(params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Return `[B]` log-densities of `actions` `[B, A]`."""
    mean, log_std = split(params)
    z = (actions - mean) * (-log_std).exp()
    return -(0.5 * z**2 + log_std + 0.5 * math.log(2 * math.pi)).sum(dim=-1)


def entropy(params: torch.Tensor) -> torch.Tensor:
    """Return `[B]` differential entropies in nats."""
    _, log_std = split(params)
    return (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(dim=-1)


def sample(params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw `[B, A]`."""
    mean, log_std = split(params)
    return mean + log_std.exp() * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)


def kl(p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
    """Return KL(p ‖ q) = Σ log(σq/σp) + (σp² + (μp - μq)²) / 2σq² - 1/2, `[B]`."""
    (p_mean, p_log_std), (q_mean, q_log_std) = split(p_params), split(q_params)
    ratio = p_log_std - q_log_std
    distance = (p_mean - q_mean) * (-q_log_std).exp()
    # expm1 keeps the small difference of exp(2r) - 1 - 2r that decides near equality.
    return 0.5 * (torch.expm1(2 * ratio) - 2 * ratio + distance**2).sum(dim=-1)


def kl_gradient(teacher: np.ndarray, student: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return forward KL `[B]` and its gradient for parameters `[2A, B]`, in NumPy."""
    dim = len(student) // 2
    low, high = LOG_STD_RANGE
    log_std = np.clip(student[dim:], low, high)
    ratio = np.clip(teacher[dim:], low, high) - log_std
    precision = np.exp(-log_std)
    distance = (student[:dim] - teacher[:dim]) * precision
    growth = np.expm1(2 * ratio)
    squared = distance * distance
    values = 0.5 * (growth - 2 * ratio + squared).sum(axis=0)
    gradient = np.empty_like(student)
    np.multiply(distance, precision, out=gradient[:dim])
    np.negative(growth + squared, out=gradient[dim:])
    # Beyond its range log σ no longer matters.
    gradient[dim:] *= log_std == student[dim:]
    return values, gradient
