"""Teachers of DQN and QR-DQN: a distribution made from action values, softmax(Q / τ) (Rusu et al. 2015, eq. 3).

What matters in action values is their order and how clear it is, not their size; τ is scaled to the gap between the
best and the second best action, found on the first rollout. Nothing in a teacher changes when it is used: the teacher
with its τ is a copy, which belongs to the run that found it, and τ is part of the student's record.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch

from policy_distill.families.categorical import Categorical
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.kinds.network import NetworkTeacher, discrete_family
from policy_distill.teachers.observing import Normalizers, label_in_chunks

GAP = 3.0
"""In the median state the best action's logit stands this far above the second best: 20 to 1."""


class ValueTeacher(NetworkTeacher):
    """A greedy policy over action values."""

    acts_greedily = True
    """SB3 samples nothing from action values; neither may who collects data for it."""

    samples = False

    temperature: float | None = None
    """τ, in units of return; None until calibrated."""

    def calibrated(self, obs: Any) -> ValueTeacher:
        """Return a copy with τ from raw observations `[T, N, ...]`, noted in its provenance; one by hand stays."""
        if self.fixed:
            return self
        values = label_in_chunks(obs, lambda part: self._forward(self.observe(part)))
        return self.with_calibration(_temperature(values.reshape(-1, values.shape[-1])))

    def with_calibration(self, temperature: float, *, by_hand: bool = False) -> ValueTeacher:
        """Return a copy with a τ that is known.

        Raises:
            ValueError: for what is no number above 0.
        """
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
            raise ValueError(f"expected a finite temperature above 0, found {temperature!r}")
        one = copy.copy(self)
        one.temperature, one.fixed = temperature, by_hand or self.fixed
        one.provenance = {**self.provenance, "temperature": temperature}
        return one

    @property
    def calibration(self) -> float | None:
        """τ as a JSON value, for a checkpoint."""
        return self.temperature

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return logits Q / τ, shifted so that the best is 0, `[T, N, n]`; see `Teacher.label`."""
        values = label_in_chunks(obs, lambda part: self._forward(self.observe(part)))
        temperature = self.temperature or _temperature(values.reshape(-1, values.shape[-1]))
        best = values.max(dim=-1, keepdim=True).values
        # Of the greedy policy that the agent is, max Q is V, exactly; not of softmax(Q / τ), which a student learns.
        value = self._in_own_units(best[..., 0]) if self._says_values else None
        return Labels((values - best) / temperature, value=value)


def make_value(policy: Any, normalizer: Normalizers, provenance: dict[str, Any]) -> Teacher:
    """Return the teacher for a DQN or QR-DQN policy."""
    quantile_net = asked(policy, "quantile_net")
    network = policy.q_net if quantile_net is None else quantile_net
    family_and_map = discrete_family(policy.action_space)
    assert family_and_map is not None, "SB3 makes these for Discrete actions only"
    family, action_map = family_and_map
    assert isinstance(family, Categorical)
    return ValueTeacher(
        policy,
        normalizer,
        provenance,
        family=family,
        action_map=action_map,
        forward=network if quantile_net is None else lambda obs: quantile_net(obs).mean(dim=1),
        parameters=network.parameters(),
        value=network,
    )


def _temperature(values: torch.Tensor) -> float:
    """Return τ for action values `[B, n]`; 1 where there is nothing to choose."""
    if values.shape[-1] < 2:
        return 1.0
    best, second = values.topk(2, dim=-1).values.unbind(dim=-1)
    gap = float((best - second).median())
    return gap / GAP if gap > 0 else 1.0
