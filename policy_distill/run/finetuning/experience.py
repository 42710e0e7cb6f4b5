"""What PPO learns from: a rollout that the student itself acted, as arrays `[T, N, ...]`.

In: a rollout of the stream, what was drawn, labels. Out: an `Experience`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.collection.rollout import Rollout
from policy_distill.interfaces.policies import State
from policy_distill.run.finetuning.actor_critic import rule_out
from policy_distill.system.nested import map_arrays
from policy_distill.training.policy import StudentPolicy

RECORDED = ("rewards", "terminated", "truncated", "terminal_obs")
"""Columns of a rollout that an experience is made of."""


@dataclass(frozen=True)
class Experience:
    """A rollout of `T` steps in `N` environments."""

    features: torch.Tensor
    """`[T * N, D]`."""
    teacher_params: torch.Tensor
    """`[T * N, P]`."""
    actions: np.ndarray
    """The family's own, `[T, N]` or `[T, N, A]`, before they were executed."""
    masks: np.ndarray | None
    """bool `[T, N, n_scores]`, where environments rule out actions."""
    rewards: np.ndarray
    """float64 `[T, N]`, raw."""
    episode_starts: np.ndarray
    """bool `[T, N]`."""
    truncated: np.ndarray
    """bool `[T, N]`, where an episode was cut short and would have gone on."""
    final_features: torch.Tensor
    """`[n_truncated, D]`: what was seen last of these."""
    next_features: torch.Tensor
    """`[N, D]`: what follows the last step."""
    ended: np.ndarray
    """bool `[N]`: True where the last step ended an episode."""

    @property
    def n_steps(self) -> int:
        """`T`."""
        return len(self.rewards)


def experience_of(
    rollout: Rollout,
    features: torch.Tensor,
    teacher_params: torch.Tensor,
    actions: np.ndarray,
    features_of: Callable[[Any], torch.Tensor],
    next_obs: Any,
) -> Experience:
    """Return what a rollout holds for PPO; `features_of` raw observations, `next_obs` those that follow it."""
    columns = rollout.columns
    ends = columns["terminated"] | columns["truncated"]
    truncated = columns["truncated"] & ~columns["terminated"]
    final = map_arrays(lambda array: array[truncated], columns["terminal_obs"])
    some = bool(truncated.any())
    return Experience(
        features=features,
        teacher_params=teacher_params,
        actions=actions,
        masks=rollout.action_masks,
        rewards=columns["rewards"],
        episode_starts=rollout.episode_starts,
        truncated=truncated,
        final_features=features_of(final) if some else features[:0],
        next_features=features_of(next_obs),
        ended=ends[-1],
    )


class DrawingActor:
    """A student that acts by sampling and remembers what it drew: executed actions may be clipped."""

    def __init__(self, policy: StudentPolicy, features_of: Callable[[Any], torch.Tensor], seed: int) -> None:
        self._policy = policy
        self._features_of = features_of
        self._generator = torch.Generator().manual_seed(seed)
        self._drawn: list[np.ndarray] = []

    @property
    def drawn(self) -> np.ndarray:
        """The family's actions, `[T, N]` or `[T, N, A]`."""
        return np.stack(self._drawn)

    @torch.no_grad()
    def predict(
        self,
        observation: Any,
        state: State = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, State]:
        """Return executed actions `[N, ...]`, drawn from the student's distribution."""
        spec = self._policy.spec
        device = next(self._policy.parameters()).device
        params = self._policy.params(self._features_of(observation).to(device)).cpu()
        if action_masks is not None:
            params = rule_out(params, torch.from_numpy(action_masks), spec.head)
        actions = spec.family.sample(params, self._generator).numpy()
        self._drawn.append(actions)
        return spec.action_map.execute(actions), state
