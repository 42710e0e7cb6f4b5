"""Every contract of the package on one page.

Sizes: `B` samples, `P` distribution parameters, `A` action dimensions, `T` steps, `N` environments.
Observations are raw (as the environment gives them) everywhere; normalisation lives inside teacher and student.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from gymnasium import Space

    from policy_distill.exporters.parity import Reference
    from policy_distill.student.actions import ActionMap
    from policy_distill.student.features import Normalizer
    from policy_distill.student.head import Head
    from policy_distill.student.quantization import QuantizedLayer
    from policy_distill.student.record import StudentRecord

Observation = Any
"""A batch of raw observations: an array `[B, ...]`, or a dict of such arrays for a Dict space."""

State = Any
"""A policy's recurrent state; None for feed-forward policies."""


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


class Loss(Protocol):
    """A divergence between teacher and student: `[B]`, non-negative, 0 for equal distributions."""

    def __call__(
        self, family: ActionDistribution, teacher_params: torch.Tensor, student_params: torch.Tensor
    ) -> torch.Tensor:
        """Return one value per sample, `[B]`; the training step takes the mean."""


class Network(Protocol):
    """Builds the trainable body of a student and says what it is made of."""

    def build(self, input_shape: tuple[int, ...], n_outputs: int, generator: torch.Generator) -> torch.nn.Sequential:
        """Return a freshly initialised `nn.Sequential` of layers that `policy_distill.student.operations` knows."""

    def n_params(self, input_shape: tuple[int, ...], n_outputs: int) -> int:
        """Return how many parameters `build` would make."""


class Actor(Protocol):
    """Whoever chooses actions where environments are stepped: Stable-Baselines3's `predict`."""

    def predict(
        self,
        observation: Observation,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, State]:
        """Return the executed actions for one raw observation or a batch, and the next recurrent state."""
        ...


class Policy(Actor, Protocol):
    """What is evaluated and compared: an actor that says what it needs. `policy_defaults` has what most say.

    An object with `predict` alone becomes one where it comes in, in `policy_distill.teachers.sources`.
    """

    @property
    def observation_space(self) -> Space[Any] | None:
        """The space of raw observations; None where it does not say."""
        ...

    @property
    def action_space(self) -> Space[Any] | None:
        """The space of executed actions; None where it does not say."""
        ...

    @property
    def n_params(self) -> int:
        """Parameters of the actor path (no critic, no target network); 0 where it does not say."""
        ...

    @property
    def takes_action_masks(self) -> bool:
        """True where `predict` takes `action_masks`, bool `[B, A]`, and the environment is to be asked for them."""
        ...

    @property
    def takes_raw(self) -> bool:
        """True where it normalises observations inside, so that nobody else may."""
        ...

    @property
    def samples(self) -> bool:
        """True where it has a distribution of its own to sample from.

        Not so where SB3 acts alike with `deterministic=False` (TD3, DDPG, ARS, DQN, QR-DQN), and where only actions are
        known, as of a script.
        """
        ...

    @property
    def env_wrappers(self) -> Sequence[dict[str, Any]]:
        """Wrappers that its environment needs, innermost first, as `policy_distill.environments.wrappers` knows."""
        ...

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Constructor arguments of the environment that it was trained in."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from, as JSON values; empty where it does not say."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The record of a student's file; empty for any other policy."""
        ...

    def again(self, index: int) -> None:
        """Draw again what was drawn in the running episode of environment `index`, which begins anew."""
        ...


class Labels(NamedTuple):
    """What a teacher says of a rollout."""

    params: torch.Tensor
    """Distribution parameters, float32 `[T, N, P]` without gradient, on the device that the teacher has."""
    state: State = None
    """The recurrent state after the last step; None of a teacher without a memory."""
    value: torch.Tensor | None = None
    """The discounted return that the teacher expects, float32 `[T, N]`; None where it does not say."""


class Teacher(Policy, Protocol):
    """A policy that can say which distribution it acts from. Nothing in it changes when it is used.

    `policy_distill.teachers.base.BaseTeacher` has what most kinds say.
    """

    observation_space: Space[Any]
    action_space: Space[Any]
    family: ActionDistribution
    action_map: ActionMap
    """From the family's actions to what the environment executes."""
    normalizer: Normalizer | dict[str, Normalizer] | None
    """The observation normalisation applied inside; the student copies it."""
    state_dependent_std: bool
    """True where log σ is a function of the observation, so the student needs a head for it."""
    scales_images: bool
    """True where bytes of images are divided by 255 inside."""
    n_bytes: int
    """Bytes of its `n_params` parameters as stored."""
    acts_greedily: bool
    """True where whoever collects data with it acts by its mode, whatever was asked for."""
    members: Sequence[Teacher]
    """The teachers that it is made of; nothing for one alone."""
    provenance: dict[str, Any]
    """JSON values: `algorithm`, `source` (file name), `sha256` (both None for a live model), `library_versions`."""
    asked_for: dict[str, Any] | None
    """Options of the command line that load it; None for one that is no file."""
    fixed: bool
    """True where its calibration was chosen by hand, and data does not change it."""

    @property
    def calibration(self) -> Any:
        """What `calibrated` found, as a JSON value; None before, and where there is nothing to find."""
        ...

    def calibrated(self, obs: Observation) -> Teacher:
        """Return a copy that is fitted to raw observations `[T, N, ...]` of the first rollout, or itself."""
        ...

    def with_calibration(self, value: Any) -> Teacher:
        """Return a copy with a calibration that is known, or itself where it has none.

        Raises:
            ValueError: for what is no calibration.
        """
        ...

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return what tells it from another one without a file; None where it is no network."""
        ...

    def label(
        self,
        obs: Observation,
        episode_starts: np.ndarray,
        state: State = None,
        action_masks: np.ndarray | None = None,
    ) -> Labels:
        """Label a whole rollout in one batch.

        Args:
            obs: raw observations `[T, N, ...]` (a dict of such for Dict spaces).
            episode_starts: bool `[T, N]`, True where an episode begins; only recurrent teachers read it.
            state: the recurrent state before the first step, as returned by the call before.
            action_masks: bool `[T, N, A]`, False where an action is not allowed; only maskable teachers read it.
        """

    def exploration(
        self, obs: Observation, episode_starts: np.ndarray, state: State = None
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return what noise that lasts an episode is made of (gSDE), for one step; arguments as of `label`.

        Features `[N, F]` of the states, and the deviations `[F, A]` of the noise's weights; None where noise is
        independent in every step.
        """
        ...


class Engine(Protocol):
    """Computes a student's plan; all engines give the same actions, up to rounding."""

    name: str

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`."""

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return `outputs` for one step of each episode, and the next state: for feed-forward ones `state` as it is."""

    def make_act(self) -> Callable[[Any], Any]:
        """Return the function from one raw observation to its executed deterministic action."""


class Run(Protocol):
    """An artefact that was opened."""

    def __call__(self, obs: Any, action_masks: np.ndarray | None = None) -> np.ndarray:
        """Return executed actions for raw observations `[B, ...]`; masks are bool `[B, n_scores]`, if it takes them."""


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


class Tracker(Protocol):
    """A sink of metrics. Only `log` must do something."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Record `metrics` (names of the form `stage/quantity`) at `step` environment steps."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Record the final values of a run."""

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Record a file (`kind` is "student", "teacher" or "video") with its metadata."""

    def close(self) -> None:
        """Flush and finish; called once, also after an error."""
