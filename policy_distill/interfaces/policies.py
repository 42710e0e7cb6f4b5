"""Contracts of who acts and who labels.

Sizes: `B` samples, `P` distribution parameters, `A` action dimensions, `T` steps, `N` environments. Observations are
raw (as the environment gives them) everywhere; normalisation lives inside teacher and student.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from typing import NotRequired  # Python 3.10, on which the runtime acts, has it not

    import torch
    from gymnasium import Space

    from policy_distill.interfaces.students import ActionDistribution
    from policy_distill.student.actions import ActionMap
    from policy_distill.student.features import Normalizer

Observation = Any
"""A batch of raw observations: an array `[B, ...]`, or a dict of such arrays for a Dict space."""

State = Any
"""A policy's recurrent state; None for feed-forward policies."""


class WrapperRecord(TypedDict):
    """A student's own wrapper, as its file names it; see `policy_distill.environments.own_wrapper`."""

    entry_point: str
    """Where it is found, such as `pkg.module:Noisy`."""
    kwargs: dict[str, Any]
    """Its arguments."""


class WrapperSpec(TypedDict):
    """A wrapper of an environment, as files name it."""

    name: str
    """A key of `policy_distill.environments.wrappers.WRAPPERS`, or the last part of an `entry_point`."""
    kwargs: dict[str, Any]
    """Its arguments."""
    entry_point: NotRequired[str]
    """Of a student's own, as of `WrapperRecord`."""
    both: NotRequired[bool]
    """True where its teacher's side is shown beside it."""


class Actor(Protocol):
    """Whoever chooses actions where environments are stepped: Stable-Baselines3's `predict`."""

    def predict(
        self,
        observation: Observation,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, State]:
        """Return the executed actions for one raw observation or a batch, and the next recurrent state.

        `action_masks`, bool `[B, A]`, are False where an action is not allowed. They are handed over only where the
        environment is asked for them, so that an object of SB3's plain `predict` acts as well everywhere else.
        """


class Policy(Actor, Protocol):
    """What is evaluated and compared: an actor that says what it needs. `policy_defaults` has what most say.

    An object with `predict` alone becomes one where it comes in, in `policy_distill.teachers.sources`.
    """

    @property
    def observation_space(self) -> Space[Any] | None:
        """The space of raw observations; None where it does not say."""

    @property
    def action_space(self) -> Space[Any] | None:
        """The space of executed actions; None where it does not say."""

    @property
    def n_params(self) -> int:
        """Parameters of the actor path (no critic, no target network); 0 where it does not say."""

    @property
    def takes_action_masks(self) -> bool:
        """True where `predict` takes `action_masks`, bool `[B, A]`, and the environment is to be asked for them."""

    @property
    def takes_raw(self) -> bool:
        """True where it normalises observations inside, so that nobody else may."""

    @property
    def samples(self) -> bool:
        """True where it has a distribution of its own to sample from, as TD3, DQN or a script have not."""

    @property
    def env_wrappers(self) -> Sequence[WrapperSpec]:
        """Wrappers that its environment needs, innermost first, as `policy_distill.environments.wrappers` knows."""

    @property
    def own_wrappers(self) -> Sequence[WrapperSpec]:
        """Wrappers through which it alone sees its environment, around those: who it is compared with has none."""

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Constructor arguments of the environment that it was trained in."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from, as JSON values; empty where it does not say."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The record of a student's file; empty for any other policy."""

    def again(self, index: int) -> None:
        """Draw again what was drawn in the running episode of environment `index`, which begins anew."""


class Labels(NamedTuple):
    """What a teacher says of a rollout."""

    params: torch.Tensor
    """Distribution parameters, float32 `[T, N, P]` without gradient, on `device`."""
    state: State = None
    """The recurrent state after the last step; None of a teacher without a memory."""
    value: torch.Tensor | None = None
    """The discounted return that the teacher expects, float32 `[T, N]`, in the environment's own units of reward; None
    where it does not say, or was not asked: see `Teacher.with_values`."""

    @property
    def device(self) -> torch.device:
        """Where the parameters lie: where the teacher computes, which is not where its states came from."""
        return self.params.device


@runtime_checkable
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
    labels_apart: bool
    """True where the environments of a rollout are labelled one by one, by which workers agree to the last bit."""
    discount: float | None
    """What a reward one step later counts for in its values, in (0, 1]; None where that is not known."""

    @property
    def calibration(self) -> Any:
        """What `calibrated` found, as a JSON value; None before, and where there is nothing to find."""

    def calibrated(self, obs: Observation) -> Teacher:
        """Return a copy that is fitted to raw observations `[T, N, ...]` of the first rollout, or itself."""

    def with_calibration(self, value: Any) -> Teacher:
        """Return a copy with a calibration that is known, or itself where it has none.

        Raises:
            ValueError: for what is no calibration.
        """

    def with_values(self) -> Teacher:
        """Return a copy whose labels say values too; raise RequestError for one that holds no value function."""

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return what tells it from another one without a file; None where it is no network."""

    def label(
        self,
        obs: Observation,
        episode_starts: np.ndarray,
        state: State = None,
        action_masks: np.ndarray | None = None,
    ) -> Labels:
        """Label a whole rollout, or an environment's part of it, in one batch.

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
