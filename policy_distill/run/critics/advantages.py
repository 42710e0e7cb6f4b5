"""How much better than expected a rollout's actions turned out, by temporal differences.

In: rewards of a rollout, and values of its states. Out: advantages `[T, N]`, and where they are known. NumPy alone.
"""

from __future__ import annotations

import numpy as np


def follows(episode_starts: np.ndarray, terminated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what is known of each step `[T, N]`: that the next row is of its episode, and that it is known at all.

    A step that terminates its episode leads nowhere, which is known. One at the end of the rollout, or after which an
    episode was cut short (by a limit of steps, by a fault), led to a state that is not at hand: what follows it is
    unknown. Its own state stands for the rest of the episode there, by its value.
    """
    goes_on = np.zeros_like(terminated)
    goes_on[:-1] = ~episode_starts[1:] & ~terminated[:-1]
    return goes_on, goes_on | terminated


def advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    episode_starts: np.ndarray,
    terminated: np.ndarray,
    discount: float,
    trace: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return generalised advantages, float64 `[T, N]`, and where they are known, bool `[T, N]`.

    A_t = Σ_k (γ λ)^k δ_{t+k} with δ_t = r_t + γ V(s_{t+1}) - V(s_t), up to the end of the episode or to the last known
    step (Schulman et al. 2016, arXiv 1506.02438, eq. 16). At λ = 1 that is what was received, less V(s_t): whatever V
    is, it then changes the variance of a score-function gradient alone, and not its mean.

    Args:
        rewards: `[T, N]`, each that of the step.
        values: `[T, N]`, of the states that the steps began in.
        episode_starts: bool `[T, N]`.
        terminated: bool `[T, N]`; after it nothing is to come.
        discount: γ.
        trace: λ.
    """
    goes_on, known = follows(episode_starts, terminated)
    found = np.zeros(rewards.shape)
    after, value_after = np.zeros(rewards.shape[1:]), np.zeros(rewards.shape[1:])
    for step in reversed(range(len(rewards))):
        to_come = np.where(goes_on[step], value_after + trace * after, 0.0)
        after = np.where(known[step], rewards[step] + discount * to_come - values[step], 0.0)
        value_after = values[step]
        found[step] = after
    return found, known
