"""Contracts of what a student is made of: its distribution, its network, and the loss that it learns by.

Sizes: `B` samples, `P` distribution parameters, `A` action dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


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
