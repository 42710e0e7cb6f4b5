"""Contracts of what is stepped, and of who steps it.

Sizes: `A` action dimensions, `T` steps, `N` environments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from gymnasium import Space

    from policy_distill.collection.rollout import Rollout
    from policy_distill.environments.faults import EnvFaults
    from policy_distill.environments.identity import EnvIdentity
    from policy_distill.interfaces.policies import Actor


class Environments(Protocol):
    """`N` environments side by side."""

    n_envs: int
    env_id: str
    identity: EnvIdentity
    """What is known of them, beside the wrappers of whoever acts."""
    max_episode_steps: int | None
    """Steps after which the specification ends an episode; None where nothing says."""
    statistics: list[dict[str, Any]]
    """Frozen statistics that wrappers normalise observations by, as JSON values, innermost first."""
    observation_space: Space[Any]
    action_space: Space[Any]
    owned: bool
    """True where the environments were made here; False for the caller's own."""
    resets_itself: bool
    """True where an ended episode is followed by the next without a call of `reset`."""
    restarting: np.ndarray
    """bool `[N]`: the next step of this environment only restarts it, whatever the action."""
    obs: Any
    """The current raw observations `[N, ...]`, or a dict of such; overwritten by every step."""
    faults: EnvFaults
    """Where the episodes stand, and what is done about an environment that fails."""

    def reset(self, index: int, seed: int) -> None:
        """Start a new episode in one environment."""

    def step(self, actions: np.ndarray, active: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step all (or the active) environments; return rewards, terminated, truncated, each `[N]`."""

    def restart(self, index: int, error: Exception) -> None:
        """Put a new environment in place of one that failed, to be reset; raise `RunFault` where that may not be."""

    def terminal_obs(self, index: int) -> Any:
        """Return what was seen last of an episode that the last step ended, before a `reset` of its environment."""

    def action_masks(self) -> np.ndarray:
        """Return which actions are allowed now, bool `[N, A]`, as sb3-contrib's `action_masks` says it."""

    def close(self) -> None:
        """Close what was opened here."""


class Source(Protocol):
    """Who steps environments: here, in a process beside, or from a record.

    Episodes go on from one rollout to the next.
    """

    env_seconds: float
    """Time spent in the environments themselves."""

    @property
    def returns(self) -> Sequence[float]:
        """Returns of the last episodes that ended, the newest last."""

    def begin(self) -> None:
        """Start an episode in every environment, wherever it stands."""

    def collect(
        self,
        actor: Actor,
        n_steps: int,
        deterministic: bool,
        teacher_share: float,
        *,
        masked: bool = False,
        columns: Sequence[str] = (),
    ) -> Rollout:
        """Let `actor` act for `n_steps` in each environment; what it collects may lie on a device of its own.

        Args:
            actor: whoever acts.
            n_steps: `T`.
            deterministic: handed to the actor.
            teacher_share: share of its actions that are the teacher's, noted in the rollout.
            masked: ask the environments for their action masks, and hand them to the actor.
            columns: what the rollout is to hold beside observations, of `policy_distill.collection.rollout.COLUMNS`.

        Raises:
            RunFault: where an environment fails, or an observation is not finite, and no restart is left.
            Interrupted: within a step, where a run was asked to stop.
            ValueError: for an unknown column.
        """

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what the next rollout depends on: arrays, and JSON values under `obs` and `actor`.

        `actor` is None where the state of who acts has no form in a file.
        """

    def restore(self, arrays: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> Any:
        """Take what `state` returned, in a source that was just opened; return the observations to go back to.

        Raises:
            ValueError, KeyError, TypeError: where that is of another source.
        """

    def go_on(self, obs: Any, on_step: Callable[[], None] | None = None) -> dict[int, str]:
        """Bring the environments to where `obs` `[N, ...]` were seen; `on_step` is called before each step.

        Returns:
            For each environment that starts a new episode instead, why.
        """

    def lost(self) -> dict[int, str]:
        """Return, for each environment whose running episode is known to end with this process, why."""

    def mark(self) -> Any:
        """Return where it stands between two rollouts, apart from the environments themselves, for `go_back`."""

    def go_back(self, mark: Any) -> None:
        """Forget the rollout since a mark, which no `state` was asked since; the environments themselves stay."""

    def close(self) -> None:
        """Let go of what it opened; the environments are their owner's."""
