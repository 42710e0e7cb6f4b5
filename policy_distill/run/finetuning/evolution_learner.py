"""Improves a small student by reward without gradients: an evolution strategy in the space of its weights.

In: returns of candidates near it. Out: a better student.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from policy_distill.errors import RunFault
from policy_distill.evaluation.candidates import CandidateReturns
from policy_distill.run.finetuning.form import with_spread
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.run.finetuning.standing import Standing
from policy_distill.seeds import training_seed
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.training.evolution import EvolutionStrategy
from policy_distill.training.learner import Weights
from policy_distill.training.policy import StudentPolicy

STEP_BACK = 0.5
"""What the step is multiplied by when the student goes back to an earlier one."""


class EvolutionLearner:
    """A student, and the search around it."""

    def __init__(self, origin: StudentRecord, env: Any, config: FinetuneConfig, standing: Standing) -> None:
        """Search from a student's weights; candidates act in `env`.

        Raises:
            RequestError: for a student without weights to vary, or an environment that cannot be made again.
        """
        self._origin, self._config, self.standing = origin, config, standing
        self.candidates = CandidateReturns(
            Student.of(origin),
            env,
            n_candidates=2 * config.es_pairs,
            n_episodes=config.es_episodes,
            max_episode_steps=config.max_episode_steps or None,
        )
        self._search = self._search_from(self.candidates.start)
        self.n_recoveries = 0
        self.n_setbacks = 0
        """How often the student went back to an earlier one, since it got worse."""

    def _search_from(self, weights: np.ndarray) -> EvolutionStrategy:
        config = self._config
        # Weights differ in size by their layer's inputs and by the student's own statistics.
        size = float(np.sqrt(np.mean(np.square(weights)))) or 1.0
        sigma, rate = config.es_sigma * size, config.es_rate * size
        return EvolutionStrategy(weights, n_pairs=config.es_pairs, sigma=sigma, rate=rate, seed=config.seed)

    def generation(self) -> dict[str, float]:
        """Score a generation of candidates, move towards the better ones, and return what was measured.

        Raises:
            RunFault: where no candidate's return is finite.
        """
        search = self._search
        returns = self.candidates.score(search.ask(), training_seed(self._config.seed, 0, search.generation))
        if not np.isfinite(returns).any():
            raise RunFault("no return of a candidate is finite; check the rewards of the environment")
        search.tell(returns)
        finite = returns[np.isfinite(returns)]
        setbacks = {"train/setbacks": float(self.n_setbacks)} if self.n_setbacks else {}
        return {"rollout/student_return": float(finite.mean()), "train/learning_rate": search.rate, **setbacks}

    def go_back(self, weights: Weights) -> None:
        """Give the student earlier weights, and go on from them by smaller steps."""
        generation, rate = self._search.generation, self._search.rate * STEP_BACK
        self._search = self._search_from(_vector(weights))
        self._search.generation, self._search.rate = generation, rate
        self.n_setbacks += 1

    @torch.no_grad()
    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return the student's distribution parameters `[B, P]` for features `[B, D]`."""
        record = with_spread(self.student().record, self._config.log_std_init)
        return StudentPolicy.from_record(record).params(features)

    def student(self, provenance: dict[str, Any] | None = None, retention: dict[str, Any] | None = None) -> Student:
        """Return the student that acts, as it is now."""
        made = self.candidates.student(self._search.weights.astype(np.float32)).record
        return Student.of(made.said_of(provenance or {}, retention))

    def weights(self) -> Weights:
        """Return a copy of the student's weights."""
        return {"weights": torch.from_numpy(self._search.weights.copy())}

    def set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Give the student other weights.

        Raises:
            ValueError: where they are of another student.
        """
        vector = _vector(weights)
        if vector.shape != self._search.weights.shape:
            raise ValueError("weights of another student")
        self._search.weights = vector.astype(np.float64)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return nothing: there are none."""
        return {}

    def learn(self, buffer: Any, moment: Any) -> dict[str, float]:
        """Make a generation: no state that was stored, nor the moment, matters to it."""
        return self.generation()

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next generation depends on."""
        search = self._search
        counts = [self.n_setbacks, self.candidates.env_steps, search.rate, search.sigma]
        return {
            "student.weights": search.weights.copy(),
            **{f"training.{name}": array for name, array in search.state().items()},
            "training.counts": np.array(counts, np.float64),
            "training.standing": self.standing.state(),
        }

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError, KeyError: where that is of another student.
        """
        counts = tensors["training.counts"]
        if counts.shape != (4,) or not np.isfinite(counts).all() or (counts < 0).any():
            raise ValueError("counts of another run")
        self._search.restore({name: tensors[f"training.{name}"] for name in self._search.state()})
        self.n_setbacks, self.candidates.env_steps = int(counts[0]), int(counts[1])
        self._search.rate, self._search.sigma = float(counts[2]), float(counts[3])
        self.standing.restore(tensors["training.standing"])

    def close(self) -> None:
        """Close the environments of the candidates."""
        self.candidates.close()


def _vector(weights: Mapping[str, torch.Tensor]) -> np.ndarray:
    if set(weights) != {"weights"}:
        raise ValueError("weights of another student")
    return weights["weights"].numpy()
