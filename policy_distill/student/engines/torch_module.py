"""The executed action as a torch module: raw observations in, without any `torch.distributions`, so that it exports.

In: a `Plan`. Out: an `nn.Module` from the raw tensors of an observation's parts to (executed actions, outputs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.student.engines.torch_layers import Beside
from policy_distill.student.engines.torch_memory import step_through
from policy_distill.student.features import Part
from policy_distill.student.head import MASKED
from policy_distill.student.layers import runs
from policy_distill.student.operations.operation import Layer, Tensors
from policy_distill.student.operations.table import find_operation
from policy_distill.student.pixels import channels_first
from policy_distill.student.plan import Plan


class PartFeatures(nn.Module):
    """Features of one leaf of an observation, as `policy_distill.student.features.Part` makes them."""

    mean: torch.Tensor
    scale: torch.Tensor
    offsets: torch.Tensor

    def __init__(self, part: Part) -> None:
        super().__init__()
        normalizer = part.normalizer
        self.normalized = normalizer is not None
        self.sizes = [int(n) for n in part.one_hot]
        self.clip = float("inf") if normalizer is None else float(normalizer.clip)
        self.factor = 1.0 if part.scale is None else float(part.scale)
        empty = np.zeros(0)
        self.register_buffer("mean", torch.from_numpy(empty if normalizer is None else normalizer.mean.reshape(-1)))
        self.register_buffer("scale", torch.from_numpy(empty if normalizer is None else normalizer.scale.reshape(-1)))
        self.register_buffer(
            "offsets", torch.from_numpy(np.zeros(0, np.int64) if part.offsets is None else part.offsets)
        )
        self.size = part.size

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Return float32 `[B, size]`."""
        flat = obs.reshape(obs.shape[0], -1)
        if len(self.sizes) > 0:
            columns = flat.to(torch.int64) + self.offsets
            zeros = torch.zeros((flat.shape[0], self.size), dtype=torch.float32, device=flat.device)
            return zeros.scatter(1, columns, 1.0)
        if self.normalized:
            # In float64, as Stable-Baselines3 does.
            return ((flat.to(torch.float64) - self.mean) * self.scale).clamp(-self.clip, self.clip).to(torch.float32)
        return flat.to(torch.float32) * self.factor


class ActingModule(nn.Module):
    """Raw observations `[B, ...]`, one tensor for each part in order, to executed actions `[B, *shape]` and outputs."""

    low: torch.Tensor
    high: torch.Tensor
    start: torch.Tensor
    middle: torch.Tensor
    factor: torch.Tensor
    places: torch.Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        featurizer, action_map = plan.featurizer, plan.action_map
        self.is_image, self.last = featurizer.is_image, False
        if self.is_image:
            self.last = not channels_first(featurizer.parts[0].shape)
        self.parts = nn.ModuleList(PartFeatures(part) for part in featurizer.parts)
        self.network = nn.Sequential(*modules_of(plan.layers, plan.tensors))
        head = plan.head
        self.head, self.kind = head.kind, action_map.kind
        self.n_modes, self.reference = head.n_modes, head.reference
        self.sizes = [int(n) for n in head.sizes]
        self.shape = [int(n) for n in action_map.shape]
        self.dtype = getattr(torch, action_map.dtype)
        self.register_buffer("low", _bound(action_map.low))
        self.register_buffer("high", _bound(action_map.high))
        self.register_buffer("places", torch.from_numpy(head.places))
        awaited, self.choices = plan.memory.awaited, plan.taken.sizes
        self.awaited = None if awaited is None else (awaited.start, awaited.stop)
        for name, values in zip(("middle", "factor"), plan.taken.scale, strict=True):
            self.register_buffer(name, torch.from_numpy(values))
        self.register_buffer("start", torch.as_tensor(np.asarray(action_map.start, dtype=np.int64)))

    def forward(self, *obs: torch.Tensor, masks: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return executed actions and outputs `[B, n_outputs]`; `masks`, bool `[B, n_scores]`, allow actions.

        Of a student with a memory each observation is the first of an episode.
        """
        outputs = self.network(self._features(obs))
        return self._chosen(outputs, masks), outputs

    def step(
        self, state: torch.Tensor, *obs: torch.Tensor, masks: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return executed actions, outputs, and the next state `[B, n]`, of one step of each episode."""
        outputs, after = step_through(self.network, self._features(obs), state)
        actions = self._chosen(outputs, masks)
        if self.awaited is not None:
            first, last = self.awaited
            after = torch.cat([after[:, :first], self._taken(actions), after[:, last:]], dim=1)
        return actions, outputs, after

    def _taken(self, actions: torch.Tensor) -> torch.Tensor:
        """Return the numbers that executed actions are remembered by, as of `ActionFeatures`."""
        flat = actions.reshape(actions.shape[0], -1)
        if len(self.choices) > 0:
            columns = (flat.to(torch.int64) - self.start.reshape(-1)).split(1, dim=1)
            chosen = [column == torch.arange(size) for column, size in zip(columns, self.choices, strict=True)]
            return torch.cat(chosen, dim=1).to(torch.float32)
        return (flat.to(torch.float32) - self.middle) * self.factor

    def _chosen(self, outputs: torch.Tensor, masks: torch.Tensor | None) -> torch.Tensor:
        scores = outputs[:, : self.n_modes]
        if self.reference:
            scores = nn.functional.pad(scores, (1, 0)).index_select(1, self.places)
        allowed = scores if masks is None else scores.masked_fill(~masks, float(MASKED))
        return self._execute(self._mode(allowed))

    def _features(self, obs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if self.is_image:
            return obs[0].movedim(-1, 1) if self.last else obs[0]
        return torch.cat([part(one) for part, one in zip(self.parts, obs, strict=True)], dim=1)

    def _mode(self, scores: torch.Tensor) -> torch.Tensor:
        if self.head == "argmax":
            chosen = [choice.argmax(dim=1) for choice in scores.split(self.sizes, dim=1)]
            return chosen[0] if len(chosen) == 1 else torch.stack(chosen, dim=1)
        if self.head == "threshold":
            return (scores > 0).to(torch.int64)
        return torch.tanh(scores) if self.head == "tanh" else scores

    def _execute(self, mode: torch.Tensor) -> torch.Tensor:
        if self.kind == "index":
            return (mode + self.start).to(self.dtype).reshape([-1, *self.shape])
        shaped = mode.reshape([-1, *self.shape])
        if self.kind == "clip":
            shaped = torch.maximum(torch.minimum(shaped, self.high), self.low)
        elif self.kind == "unsquash":
            shaped = self.low + 0.5 * (shaped + 1.0) * (self.high - self.low)
        return shaped.to(self.dtype)


def input_tensors(plan: Plan, obs: Any) -> list[torch.Tensor]:
    """Return the module's inputs for a batch of raw observations."""
    parts = plan.featurizer.parts
    arrays = [obs[part.key] for part in parts] if isinstance(obs, dict) else [obs]
    return [torch.as_tensor(np.ascontiguousarray(array)) for array in arrays]


def _bound(bound: np.ndarray | None) -> torch.Tensor:
    return torch.zeros(0) if bound is None else torch.from_numpy(np.array(bound))


def modules_of(layers: Sequence[Layer], tensors: Tensors) -> list[nn.Module]:
    """Return a trainable module for each layer, or run of layers beside which numbers wait, with copies of the arrays.

    Raises:
        RequestError: for an operation that has no form in torch.
    """
    found: list[nn.Module] = []
    for n, run in runs(layers, lambda layer: layer):
        own = [find_operation(layer["op"]).form("torch", "torch")(layer, tensors) for layer in run]
        found += [Beside(nn.Sequential(*own), n)] if n else own
    return found
