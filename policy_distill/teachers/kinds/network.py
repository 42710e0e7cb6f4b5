"""The teacher that most kinds are: a feed-forward SB3 policy, and a function from its observations to parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from gymnasium import Space, spaces

from policy_distill.errors import RequestError
from policy_distill.families.bernoulli import Bernoulli
from policy_distill.families.categorical import Categorical
from policy_distill.families.multi_categorical import MultiCategorical
from policy_distill.interfaces.policies import Labels, WrapperSpec
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.student.actions import ActionMap
from policy_distill.system.foreign import asked
from policy_distill.system.nested import take
from policy_distill.teachers.base import BaseTeacher, Exploration
from policy_distill.teachers.observing import Normalizers, count_parameters, label_in_chunks, normalize, to_tensor


class NetworkTeacher(BaseTeacher):
    """A policy network with its observation normalisation; the kinds differ in `forward`."""

    labels_apart = True

    def __init__(
        self,
        policy: Any,
        normalizer: Normalizers,
        provenance: dict[str, Any],
        *,
        family: ActionDistribution,
        action_map: ActionMap,
        forward: Callable[[Any], torch.Tensor],
        parameters: Iterable[torch.Tensor],
        state_dependent_std: bool = False,
        explore: Callable[[Any], Exploration] | None = None,
        value: Callable[[Any], torch.Tensor] | None = None,
    ) -> None:
        """Take the parts.

        `forward` and `value` take the policy's tensors, and return parameters `[B, P]` and values `[B, 1]`; the latter
        in the units that the agent was trained with. None for a kind without.
        """
        self.policy = policy
        self.normalizer = normalizer
        self.provenance = provenance
        self.env_wrappers: list[WrapperSpec] = provenance.get("env_wrappers", [])
        self.env_kwargs: dict[str, Any] = provenance.get("env_kwargs", {})
        self.scales_images = bool(policy.normalize_images)
        self.observation_space = policy.observation_space
        self.action_space = policy.action_space
        self.family = family
        self.action_map = action_map
        self.state_dependent_std = state_dependent_std
        self.n_params, self.n_bytes = count_parameters(list(parameters))
        self._forward = forward
        self._explore = explore
        self._value = value
        self._says_values = False

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Label a rollout in one batch; see `Teacher.label`."""
        return Labels(label_in_chunks(obs, lambda part: self._forward(self.observe(part))), value=self._values(obs))

    def with_values(self) -> Self:
        """Return a copy whose labels say values, in the environment's own units of reward.

        Their discount is the agent's own, `discount`. What `VecNormalize` divided rewards by in training, the deviation
        of their discounted sum, is undone as it was when its statistics were saved; what it clipped stays clipped.

        Raises:
            RequestError: for one whose file holds no value function, or not all of it, and for statistics that do not
                say how rewards were scaled.
        """
        if self._value is None:
            return super().with_values()
        algorithm = self.provenance.get("algorithm")
        if missing := asked(self.policy, "missing_critic", ()):
            raise RequestError(
                f"expected a file with the whole value function of {algorithm}, found it without "
                f"{', '.join(missing[:3])}; save the agent again with SB3, or leave values out"
            )
        if self.return_scale is None:
            raise RequestError(
                f"expected statistics that say how the rewards of {algorithm} were scaled (ret_rms), found none; save "
                "its VecNormalize again, or use --vecnormalize none (False in Python) if rewards were not scaled"
            )
        one = copy.copy(self)
        one._says_values = True
        return one

    def without_values(self, why: str) -> Self:
        """Return a copy that says no values; `why` follows its name."""
        one = copy.copy(self)
        one._value, one.lacks_value = None, why
        return one

    def _values(self, obs: Any) -> torch.Tensor | None:
        """Return values `[T, N]` in raw units of reward, where they were asked for."""
        value = self._value
        if not self._says_values or value is None:
            return None
        return self._in_own_units(label_in_chunks(obs, lambda part: value(self.observe(part)))[..., 0])

    def _in_own_units(self, values: torch.Tensor) -> torch.Tensor:
        assert self.return_scale is not None, "with_values has checked it"
        return values * self.return_scale

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions on raw observations; see `Actor.predict`. Sampling draws from torch's generator.

        `action_masks` play no part: `takes_action_masks` says so.
        """
        shape = self.observation_space.shape
        if deterministic and isinstance(observation, np.ndarray) and observation.shape[1:] == shape:
            # The common case without SB3's checks, which cost as much as a small network.
            with torch.no_grad():
                actions = self.family.mode(self._forward(self.observe(observation)))
            return self.action_map.execute(actions.cpu().numpy()), state
        return self._ask(observation, state, episode_start, deterministic)

    @torch.no_grad()
    def exploration(self, obs: Any, episode_starts: np.ndarray, state: Any = None) -> Exploration | None:
        """Return gSDE's features and weights for one step, arguments as of `label`; None where noise is independent."""
        return None if self._explore is None else self._explore(self.observe(take(obs, 0)))

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Return all that its policy holds, the critic too."""
        weights: dict[str, torch.Tensor] = self.policy.state_dict()
        return weights

    def observe(self, obs: Any) -> Any:
        """Return the policy's tensors for a batch of raw observations."""
        if self.policy.training:
            # A live model that has trained on since is left in that mode.
            self.policy.set_training_mode(False)
        return to_tensor(self.policy, normalize(obs, self.normalizer))

    def _ask(self, observation: Any, *arguments: Any, **options: Any) -> tuple[np.ndarray, Any]:
        """Return executed actions from the policy's own `predict`, and its state."""
        actions, state = self.policy.predict(normalize(observation, self.normalizer), *arguments, **options)
        start = self.action_map.start
        # SB3 counts every choice from 0.
        return (actions + np.asarray(start) if np.any(start) else actions), state


def discrete_family(space: Space[Any]) -> tuple[ActionDistribution, ActionMap] | None:
    """Return the family and the map of a discrete action space; None for a Box.

    Raises:
        RequestError: for a space that no SB3 agent acts in.
    """
    if isinstance(space, spaces.Box):
        return None
    if isinstance(space, spaces.Discrete):
        return Categorical(int(space.n)), ActionMap("index", (), "int64", start=int(space.start))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        start = tuple(int(n) for n in space.start)
        return MultiCategorical(tuple(int(n) for n in space.nvec)), ActionMap(
            "index", space.shape, "int64", start=start
        )
    if isinstance(space, spaces.MultiBinary) and isinstance(space.n, int | np.integer):
        return Bernoulli(int(space.n)), ActionMap("index", space.shape, "int64")
    raise RequestError(f"expected Discrete, MultiDiscrete, MultiBinary or Box actions in one dimension, found {space}")


def family_of(policy: Any, continuous: Callable[[int], ActionDistribution]) -> tuple[ActionDistribution, ActionMap]:
    """Return the family and the map of a policy's action space; `continuous` makes the family of a Box."""
    space = policy.action_space
    return discrete_family(space) or (continuous(int(np.prod(space.shape))), box_map(space, policy.squash_output))


def box_map(space: spaces.Box, squashed: bool) -> ActionMap:
    """Return the map of a Box: from [-1, 1] for a squashed policy, else clipped, as SB3's `predict` does."""
    return ActionMap("unsquash" if squashed else "clip", space.shape, str(space.dtype), space.low, space.high)
