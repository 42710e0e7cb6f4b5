"""Adam on one flat vector, with the gradient clipped by its norm and the weights averaged as they go.

Kingma and Ba 2015 (arXiv 1412.6980); the average is the polynomial-decay one of Shamir and Zhang 2013
(arXiv 1212.1824).
"""

from __future__ import annotations

import math

import numpy as np

BETAS = (0.9, 0.999)
EPSILON = 1e-8
VECTORS = ("weights", "average", "first", "second")
AVERAGED = 8
"""Of t steps, about the last t / AVERAGED are in the average: enough to cancel the noise of minibatches, and no more of
the past."""


def share_of_newest(n_steps: int) -> float:
    """Return the weight of step `n_steps` (counted from 1) in the running average."""
    return (AVERAGED + 1) / (AVERAGED + n_steps)


class Adam:
    """Weights, their average and their moments: float32 vectors of one length."""

    def __init__(self, n: int, max_grad_norm: float) -> None:
        self.weights, self.average, self.first, self.second, self._scratch = (np.zeros(n, np.float32) for _ in range(5))
        self.max_grad_norm = max_grad_norm
        self.n_steps = 0

    def restart(self) -> None:
        """Begin anew from the weights as they are."""
        self.average[:] = self.weights
        self.first[:] = self.second[:] = 0.0
        self.n_steps = 0

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all vectors and the count of steps."""
        vectors = {name: getattr(self, name).copy() for name in VECTORS}
        return {**vectors, "n_steps": np.array(self.n_steps)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: where that is of another student.
        """
        if any(state[name].shape != self.weights.shape for name in VECTORS) or int(state["n_steps"]) < 0:
            raise ValueError("the optimiser's state is of another student")
        for name in VECTORS:
            getattr(self, name)[:] = state[name]
        self.n_steps = int(state["n_steps"])

    def step(self, gradient: np.ndarray, rate: float) -> float:
        """Go one step down `gradient`, clipped in place; return its norm before. What is not finite does nothing."""
        norm = math.sqrt(gradient @ gradient)
        if not math.isfinite(norm):
            return norm
        self.n_steps += 1
        if norm > self.max_grad_norm:
            gradient *= np.float32(self.max_grad_norm / norm)
        (beta, gamma), scratch = BETAS, self._scratch
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
        self.weights -= scratch
        np.subtract(self.weights, self.average, out=scratch)
        scratch *= np.float32(share_of_newest(self.n_steps))
        self.average += scratch
        return norm
