"""Better weights for a small student without gradients: evolution strategies.

In: weights as one flat vector, and returns of candidates near them. Out: weights that return more.

    candidates = CandidateReturns(student, "Swimmer-v5", n_candidates=16, n_episodes=2)  # evaluation/candidates
    search = EvolutionStrategy(candidates.start, n_pairs=8, seed=0)
    while candidates.env_steps < 200_000:
        weights = search.ask()  # [16, P]
        search.tell(candidates.score(weights, training_seed(0, 0, search.generation)))
    better = candidates.student(search.weights)

All candidates of a generation act in the same episodes (common random numbers), so that most of what luck adds to their
returns cancels; the next generation has others. Nothing is random but the directions, which follow from the seed and
the generation: what `state` returns, and `restore` takes, is all that the rest of a search depends on, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

BETAS = (0.9, 0.99)
"""Adam's, of the direction and of its square; few steps are made, so the second is shorter than usual."""
EPSILON = 1e-8


class EvolutionStrategy:
    """Antithetic pairs, weighted by the ranks of their returns (Salimans et al. 2017, arXiv 1703.03864).

    Ranks do not know how far apart returns are, so that one fall moves the weights no more than any other last place.
    """

    def __init__(
        self, start: np.ndarray, *, n_pairs: int = 8, sigma: float = 0.05, rate: float = 0.02, seed: int = 0
    ) -> None:
        """Begin at weights.

        Args:
            start: the weights, float `[P]`.
            n_pairs: pairs of candidates in a generation, each a direction and its opposite; at least 1.
            sigma: how far candidates are from the weights in each of these, as a standard deviation; above 0.
            rate: how far a generation moves each weight at most, about: Adam's step size; above 0.
            seed: of the directions.

        Raises:
            ValueError: for what is no vector of finite numbers, or a setting out of range.
        """
        self.weights = np.array(start, np.float64)
        """float64 `[P]`, the middle of the candidates."""
        if self.weights.ndim != 1 or not self.weights.size or not np.isfinite(self.weights).all():
            raise ValueError(f"expected finite weights [P], found an array of shape {self.weights.shape}")
        if n_pairs < 1 or not (0 < sigma < math.inf and 0 < rate < math.inf):
            raise ValueError(f"expected a pair or more, sigma and rate above 0, found {n_pairs}, {sigma} and {rate}")
        self.n_pairs, self.sigma, self.rate, self.seed = n_pairs, sigma, rate, seed
        self.generation = 0
        """Generations that were told."""
        self._mean, self._square = np.zeros_like(self.weights), np.zeros_like(self.weights)

    @property
    def n_candidates(self) -> int:
        """Candidates in a generation."""
        return 2 * self.n_pairs

    def ask(self) -> np.ndarray:
        """Return the generation's candidates, float32 `[2 * n_pairs, P]`: directions first, then their opposites.

        Asked again before it was told, it returns the same ones.
        """
        steps = self.sigma * self._directions()
        return np.concatenate([self.weights + steps, self.weights - steps]).astype(np.float32)

    def tell(self, returns: np.ndarray) -> None:
        """Move the weights towards candidates that returned more.

        Args:
            returns: of the candidates, `[2 * n_pairs]`, in their order; one that is no number counts as the lowest.

        Raises:
            ValueError: for another number of them.
        """
        utilities = centred_ranks(returns)
        if len(utilities) != self.n_candidates:
            raise ValueError(f"expected the returns of {self.n_candidates} candidates, found {len(utilities)}")
        better = utilities[: self.n_pairs] - utilities[self.n_pairs :]
        gradient = better @ self._directions() / (2 * self.n_pairs * self.sigma)
        self.generation += 1
        self._mean += (1 - BETAS[0]) * (gradient - self._mean)
        self._square += (1 - BETAS[1]) * (gradient**2 - self._square)
        mean, square = (
            moment / (1 - beta**self.generation) for moment, beta in zip((self._mean, self._square), BETAS, strict=True)
        )
        self.weights += self.rate * mean / (np.sqrt(square) + EPSILON)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the rest of the search depends on, beside its settings."""
        arrays = {"weights": self.weights, "mean": self._mean, "square": self._square}
        return {name: array.copy() for name, array in arrays.items()} | {"generation": np.array(self.generation)}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` returned, in a search with the same settings.

        Raises:
            ValueError, KeyError: where that is of other weights.
        """
        found = [np.array(arrays[name], np.float64) for name in ("weights", "mean", "square")]
        generation = int(arrays["generation"])
        if any(one.shape != self.weights.shape for one in found) or generation < 0:
            raise ValueError(f"expected a search among {self.weights.size} weights, found another")
        self.weights, self._mean, self._square = found
        self.generation = generation

    def _directions(self) -> np.ndarray:
        """Return the generation's directions, `[n_pairs, P]`."""
        rng = np.random.default_rng((self.seed, self.generation))
        return rng.standard_normal((self.n_pairs, self.weights.size))


def centred_ranks(returns: np.ndarray) -> np.ndarray:
    """Return ranks from -0.5 for the lowest to 0.5 for the highest of returns `[K]`; equal ones share the mean rank."""
    values = np.nan_to_num(np.asarray(returns, np.float64), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts + 1) / 2)[place]
    return ranks / max(len(values) - 1, 1) - 0.5
