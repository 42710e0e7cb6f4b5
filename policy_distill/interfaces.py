"""Every contract of the package on one page.

Sizes: `B` samples, `P` distribution parameters, `A` action dimensions, `T` steps, `N` environments.
Observations are raw (as the environment gives them) everywhere; normalisation lives inside teacher and student.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import torch
    from gymnasium import Space

    from policy_distill.student.actions import ActionMap
    from policy_distill.student.features import Normalizer

Observation = Any
"""A batch of raw observations: an array `[B, ...]`, or a dict of such arrays for a Dict space."""

State = Any
"""A policy's recurrent state; None for feed-forward policies."""


class ActionDistribution(Protocol):
    """A family of action distributions: stateless, parameters in, one number per sample out.

    `params` is always one tensor `[B, P]`. Actions are those of the policy *before* post-processing: an index for a
    categorical, the unclipped vector `[B, A]` for a Gaussian, the squashed vector in (-1, 1) for a squashed Gaussian.
    """

    @property
    def name(self) -> str:
        """The key of this family in the table of families."""
        ...

    @property
    def n_params(self) -> int:
        """`P`, the number of distribution parameters."""
        ...

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-probabilities (discrete) or log-densities (continuous), in nats."""
        ...

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies in nats."""
        ...

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the deterministic action: `[B]` indices or `[B, A]`."""
        ...

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw one action per row."""
        ...

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` values of KL(p ‖ q) in nats, non-negative, 0 for equal parameters."""
        ...

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this family, as JSON values."""
        ...


class Loss(Protocol):
    """A divergence between teacher and student: `[B]`, non-negative, 0 for equal distributions."""

    def __call__(
        self, family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor
    ) -> torch.Tensor:
        """Return one value per sample, `[B]`; the training step takes the mean."""
        ...


class Network(Protocol):
    """Builds the trainable body of a student and says what it is made of."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> torch.nn.Sequential:
        """Return a freshly initialised `nn.Sequential` of the layers that `policy_distill.student.layers` knows."""
        ...

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""
        ...


class Policy(Protocol):
    """Anything that answers Stable-Baselines3's `predict`."""

    def predict(
        self,
        observation: Observation,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, State]:
        """Return the executed actions for one observation or a batch, and the next recurrent state."""
        ...


@runtime_checkable
class Teacher(Protocol):
    """A policy that can say which distribution it acts from."""

    observation_space: Space[Any]
    action_space: Space[Any]
    family: ActionDistribution
    action_map: ActionMap
    """From the family's actions to what the environment executes."""
    normalizer: Normalizer | dict[str, Normalizer] | None
    """The observation normalisation applied inside; the student copies it."""
    state_dependent_std: bool
    """True where log σ is a function of the observation, so the student needs a head for it."""
    n_params: int
    """Parameters of the actor path (no critic, no target network)."""
    n_bytes: int
    """Bytes of those parameters as stored."""
    env_wrappers: list[dict[str, Any]]
    """Wrappers that its environment needs, innermost first, as `policy_distill.environments.wrappers` knows them."""
    provenance: dict[str, Any]
    """JSON values: `algorithm`, `source` (file name), `sha256` (both None for a live model), `library_versions`."""

    def label(
        self,
        obs: Observation,
        episode_starts: np.ndarray,
        state: State = None,
        action_masks: np.ndarray | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Label a whole rollout in one batch.

        Args:
            obs: raw observations `[T, N, ...]` (a dict of such for Dict spaces).
            episode_starts: bool `[T, N]`, True where an episode begins; only recurrent teachers read it.
            state: the recurrent state before the first step, as returned by the call before.
            action_masks: bool `[T, N, A]`, False where an action is not allowed; only maskable teachers read it.

        Returns:
            Distribution parameters, float32 `[T, N, P]` on the CPU without gradient, and the state after the last step.
        """
        ...

    def predict(
        self,
        observation: Observation,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, State]:
        """Return the executed actions on raw observations, as in `Policy`."""
        ...


class Tracker(Protocol):
    """A sink of metrics. Only `log` must do something."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` (names of the form `stage/quantity`) at `step` environment steps."""
        ...

    def summary(self, values: Mapping[str, Any]) -> None:
        """Record the final values of a run."""
        ...

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Record a file (`kind` is "student", "teacher" or "video") with its metadata."""
        ...

    def close(self) -> None:
        """Flush and finish; called once, also after an error."""
        ...
