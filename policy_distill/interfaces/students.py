"""Contracts of what a student is made of and becomes: distribution, network, loss; engine and artefact.

Sizes: `B` samples, `P` distribution parameters, `A` action dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import torch

    from policy_distill.exporters.parity import Reference
    from policy_distill.interfaces.policies import State
    from policy_distill.losses.batch import Batch, Outputs
    from policy_distill.student.bits.quantization import QuantizedLayer
    from policy_distill.student.head import Head
    from policy_distill.student.onboard.watcher import Watch
    from policy_distill.student.record import StudentRecord

Gradient = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From teacher and student parameters with the batch last, `[P, B]`, to the loss `[B]` and its gradient `[P, B]`."""


class ActionDistribution(Protocol):
    """A family of action distributions: stateless, parameters in, one number per sample out.

    `params` is always one tensor `[B, P]`. Actions are those of the policy *before* post-processing: an index for a
    categorical, the unclipped vector `[B, A]` for a Gaussian, the squashed vector in (-1, 1) for a squashed Gaussian.
    """

    @property
    def name(self) -> str:
        """The key of this family in the table of families."""

    @property
    def n_params(self) -> int:
        """`P`, the number of distribution parameters."""

    @property
    def head(self) -> Head:
        """What the parameters mean to whoever acts: those that the mode follows from come first."""

    @property
    def has_density(self) -> bool:
        """False for an action without spread, which has neither probabilities nor divergences of them."""

    @property
    def has_log_std(self) -> bool:
        """True where the second half of the parameters is log σ, which may be one vector for all states."""

    @property
    def default_loss(self) -> str:
        """The key of the loss that fits best."""

    def log_prob(self, params: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return `[B]` log-probabilities (discrete) or log-densities (continuous), in nats."""

    def entropy(self, params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` entropies in nats."""

    def mode(self, params: torch.Tensor) -> torch.Tensor:
        """Return the deterministic action: `[B]` indices or `[B, A]`."""

    def sample(self, params: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw one action per row."""

    def kl(self, p_params: torch.Tensor, q_params: torch.Tensor) -> torch.Tensor:
        """Return `[B]` values of KL(p ‖ q) in nats, non-negative, 0 for equal parameters."""

    def kl_gradient(self) -> Gradient | None:
        """Return forward KL and its gradient in closed form, in NumPy; None where there is none, for autograd."""

    def config(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild this family, as JSON values."""


class RicherDistribution(ActionDistribution, Protocol):
    """What a family may say beside; whoever has a use for it asks, and does without where there is no answer."""

    def kl_gradient_for_many(self) -> Gradient:
        """Return forward KL and its gradient for K students at once, `[P, B]` and `[P, K, B]` to `[K, B]` and that."""

    def mixture(self, params: torch.Tensor) -> torch.Tensor:
        """Return the parameters `[..., P]` of an equal mixture of the distributions of `params` `[M, ..., P]`.

        For a family without, several teachers together say the mean of their parameters.
        """


class Loss(Protocol):
    """A divergence between teacher and student: `[B]`, non-negative, 0 for equal distributions."""

    def __call__(self, batch: Batch, outputs: Outputs) -> torch.Tensor:
        """Return one value per sample, `[B]`, of labelled states and the student's answers; a step takes the mean."""


class Network(Protocol):
    """Builds the trainable body of a student and says what it is made of."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> torch.nn.Sequential:
        """Return a freshly initialised `nn.Sequential` of layers that `policy_distill.student.operations` knows."""

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""


class Engine(Protocol):
    """Computes a student's plan; all engines give the same actions, up to rounding."""

    name: str

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`.

        Of a student with a memory each is the first of an episode.
        """

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return outputs for one step of each episode, and the next state; neither of the states is changed later.

        For feed-forward students the state is handed on as it is, for others it is float32 `[B, plan.memory.size]`. Of
        a student that remembers what it did, the next one awaits the action that is chosen: `plan.remember`.
        """

    def make_act(self, memory: np.ndarray) -> Callable[[Any], Any]:
        """Return the function from one raw observation to its executed deterministic action.

        `memory`, float32 `[plan.memory.size]`, is what it remembers: every call reads and writes it.
        """


@runtime_checkable
class WatchingEngine(Protocol):
    """What an engine may do beside: compute how novel a step is where it computes the action."""

    def make_watched(self, memory: np.ndarray, watch: Watch) -> Callable[..., Any] | None:
        """Return `act(obs, monitor=False)`, as of a student with a monitor; None where NumPy has to do it.

        `memory` is as of `Engine.make_act`; every call reads and writes the state of `watch`.
        """


class Run(Protocol):
    """An artefact that was opened."""

    def __call__(
        self, obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None
    ) -> np.ndarray:
        """Return executed actions for raw observations `[B, ...]`; masks are bool `[B, n_scores]`, if it takes them.

        Of a student with a memory the observations are of steps one after another, and `episode_starts`, bool `[B]`, is
        True where an episode begins; for others there is none.
        """


class Exporter(Protocol):
    """A module that writes one format and runs what it wrote."""

    def write(
        self,
        student: StudentRecord,
        path: Path,
        record: Mapping[str, Any],
        reference: Reference,
        quantized: Mapping[int, QuantizedLayer] | None = None,
    ) -> dict[str, Any]:
        """Write the artefact to `path`, which does not exist, with `record` as its metadata; return facts about it."""

    def open_artefact(self, student: StudentRecord, path: Path) -> Run:
        """Return the function from a batch of raw observations to the executed actions of what lies at `path`."""
