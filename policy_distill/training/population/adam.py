"""Adam for many networks at once: each has its own norm, clipping and share of the learning rate.

The same steps as `adam.Adam`, on one flat vector in which each number belongs to one member.
"""

from __future__ import annotations

import math

import numpy as np

from policy_distill.training.adam import BETAS, EPSILON, VECTORS, share_of_newest


class PopulationAdam:
    """Weights, their average and their moments: float32 vectors of one length."""

    def __init__(self, owners: np.ndarray, rate_scales: np.ndarray, max_grad_norm: float) -> None:
        """Make vectors of zeros.

        Args:
            owners: int64 `[n]`, whose each number is, in 0..K-1.
            rate_scales: float `[K]`, what each member's learning rate is multiplied by.
            max_grad_norm: to which a member's gradient is shortened.
        """
        n = len(owners)
        self.weights, self.average, self.first, self.second, self._scratch = (np.zeros(n, np.float32) for _ in range(5))
        self._owners, self._n_members = owners, len(rate_scales)
        self._rates = None if (rate_scales == 1.0).all() else rate_scales.astype(np.float32)[owners]
        self.max_grad_norm = max_grad_norm
        self.n_steps = 0

    def vectors(self) -> dict[str, np.ndarray]:
        """Return the four vectors themselves, by name."""
        return {name: getattr(self, name) for name in VECTORS}

    def norms(self, gradient: np.ndarray) -> np.ndarray:
        """Return the norm `[K]` of each member's part of a gradient `[n]`."""
        np.multiply(gradient, gradient, out=self._scratch)
        return np.sqrt(np.bincount(self._owners, self._scratch, self._n_members))

    def step(self, gradient: np.ndarray, norms: np.ndarray, rate: float) -> None:
        """Go one step down `gradient` `[n]`, which has these finite norms and is clipped in place."""
        self.n_steps += 1
        scratch, (beta, gamma) = self._scratch, BETAS
        if (norms > self.max_grad_norm).any():
            shares = np.minimum(1.0, self.max_grad_norm / np.maximum(norms, EPSILON)).astype(np.float32)
            gradient *= np.take(shares, self._owners, out=scratch)
        self.first *= np.float32(beta)
        np.multiply(gradient, np.float32(1 - beta), out=scratch)
        self.first += scratch
        self.second *= np.float32(gamma)
        np.multiply(gradient, gradient, out=scratch)
        scratch *= np.float32(1 - gamma)
        self.second += scratch
        np.sqrt(self.second, out=scratch)
        scratch *= np.float32(1 / math.sqrt(1 - gamma**self.n_steps))
        scratch += np.float32(EPSILON)
        np.divide(self.first, scratch, out=scratch)
        scratch *= np.float32(rate / (1 - beta**self.n_steps))
        if self._rates is not None:
            scratch *= self._rates
        self.weights -= scratch
        np.subtract(self.weights, self.average, out=scratch)
        scratch *= np.float32(share_of_newest(self.n_steps))
        self.average += scratch
