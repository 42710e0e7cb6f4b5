"""Layers with a memory in PyTorch: one step of many episodes side by side, or windows of consecutive steps.

In: features `[B, D]` and a state `[B, S]`, or windows `[L, B, D]` with where episodes begin. Out: what the next layer
takes, and the next state. A state of None is that of an episode's beginning: zeros.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.student.engines.torch_layers import OwnLayer

GAIN = 8.0
"""What changes from one step to the next are multiplied by, so that they are about as large as what is seen."""


class MemoryLayer(OwnLayer):
    """A layer that remembers."""

    burn_in: int
    """Steps of a window that only bring the state to where it may be learnt from."""
    length: int
    """Steps of a window that are learnt from."""

    @abstractmethod
    def state_size(self, n_in: int) -> int:
        """Return the numbers of a state for features `[B, n_in]`."""

    @abstractmethod
    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output `[B, n]` and the next state for features `[B, D]`."""

    def forward(self, x: torch.Tensor, state: torch.Tensor | None = None) -> torch.Tensor:
        """Return the output alone, by itself that of an episode's first step."""
        return self.step(x, self.begin(x) if state is None else state)[0]

    def begin(self, x: torch.Tensor) -> torch.Tensor:
        """Return the state of an episode's beginning for features `[B, D]`."""
        return x.new_zeros((x.shape[0], self.state_size(x.shape[1])))

    def windows(
        self, x: torch.Tensor, starts: torch.Tensor, burn_in: int = 0, taken: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the outputs `[L - burn_in, B, n]` of windows `[L, B, D]` after their first steps, which teach nothing.

        The state is zeros where a window begins and where `starts`, bool `[L, B]`, says that an episode does. `taken`
        `[L, B, A]` are the numbers of the executed actions, for a layer that remembers these.
        """
        with torch.no_grad():
            state, _ = self._run(x[:burn_in], starts[:burn_in], self.begin(x[0]))
        return self._run(x[burn_in:], starts[burn_in:], state)[1]

    def _run(self, x: torch.Tensor, starts: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = []
        for features, start in zip(x, starts, strict=True):
            output, state = self.step(features, state.masked_fill(start[:, None], 0.0))
            outputs.append(output)
        return state, torch.stack(outputs) if outputs else x


class GRULayer(MemoryLayer):
    """A gated recurrent unit; `policy_distill.student.operations.gru` says which."""

    burn_in, length = 16, 32

    def __init__(self, n_in: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3 * size, n_in + size))
        self.bias = nn.Parameter(torch.zeros(4 * size))

    @classmethod
    def of(cls, weight: np.ndarray, bias: np.ndarray) -> GRULayer:
        """Return a layer with copies of these weights."""
        size = len(bias) // 4
        layer = cls(weight.shape[1] - size, size)
        layer.load_state_dict({"weight": torch.from_numpy(np.array(weight)), "bias": torch.from_numpy(np.array(bias))})
        return layer

    @property
    def size(self) -> int:
        """Units."""
        return self.bias.shape[0] // 4

    def state_size(self, n_in: int) -> int:
        """Return the units."""
        return self.size

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next state, twice: it is the output too."""
        size = self.size
        r, z, n, m = self.bias.split(size)
        from_x, from_state = self.weight.split([self.weight.shape[1] - size, size], dim=1)
        seen, kept = x @ from_x.T + torch.cat([r, z, n]), state @ from_state.T
        gates = torch.sigmoid(seen[:, : 2 * size] + kept[:, : 2 * size])
        new = torch.tanh(seen[:, 2 * size :] + gates[:, :size] * (kept[:, 2 * size :] + m))
        state = new + gates[:, size:] * (state - new)
        return state, state

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        return {"op": "gru", "weight": f"{prefix}weight", "bias": f"{prefix}bias"}


class HistoryLayer(MemoryLayer):
    """What is seen and how it changed at each of the last steps; see `policy_distill.student.operations.history`."""

    length = 1

    def __init__(self, steps: int, gain: float = GAIN, n_actions: int = 0, *, held: bool = False) -> None:
        super().__init__()
        self.steps, self.gain, self.n_actions, self.held = steps, gain, n_actions, held
        self.n_flags = int(held)
        self.burn_in = steps - 1

    def state_size(self, n_in: int) -> int:
        """Return the numbers of all features but the newest, of the actions that followed them, and whether any did."""
        return (self.steps - 1) * (n_in + self.n_actions) + self.n_flags

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features, changes and actions side by side, and the next state, which awaits the action."""
        n, room, begun = x.shape[1], x.new_zeros((x.shape[0], self.n_actions)), x.new_ones((x.shape[0], self.n_flags))
        before, taken = state[:, : (self.steps - 1) * n], state[:, (self.steps - 1) * n : state.shape[1] - self.n_flags]
        if self.held:
            before = torch.where(state[:, -1:] > 0, before, x.repeat(1, self.steps - 1))
        seen = torch.cat([x, before], dim=1)
        after = seen[:, :-n]
        output = torch.cat([x, self.gain * (after - seen[:, n:]), taken], dim=1)
        return output, torch.cat([after, room, taken[:, : taken.shape[1] - self.n_actions], begun], dim=1)

    def windows(
        self, x: torch.Tensor, starts: torch.Tensor, burn_in: int = 0, taken: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return what `step` does at every step of windows after the first, all at once."""
        n_before = self.steps - 1
        past = [x] if taken is None else [x, taken]
        # Zeros before the window, as far back as is looked.
        past = [torch.cat([one.new_zeros((n_before, *one.shape[1:])), one]) for one in past]
        starts = torch.cat([starts.new_zeros((n_before, starts.shape[1])), starts])
        seen, actions, stop = [x[burn_in:]], [], len(starts)
        inside = (torch.arange(stop, device=x.device) >= n_before)[:, None, None]
        keep: torch.Tensor | None = None
        for lag in range(1, self.steps):
            # Nothing of before, where an episode has begun since.
            same = ~starts[burn_in + n_before - lag + 1 : stop - lag + 1, :, None]
            keep = same if keep is None else keep & same
            earlier = slice(burn_in + n_before - lag, stop - lag)
            if self.held:
                seen.append(torch.where(keep & inside[earlier], past[0][earlier], seen[-1]))
            else:
                seen.append(past[0][earlier] * keep)
            actions += [one[earlier] * keep for one in past[1:]]
        changes = [self.gain * (new - old) for new, old in pairwise(seen)]
        return torch.cat([seen[0], *changes, *actions], dim=-1)

    def record(self, prefix: str) -> dict[str, Any]:
        """Return the layer's record."""
        more: dict[str, Any] = {"actions": self.n_actions} if self.n_actions else {}
        more |= {"held": True} if self.held else {}
        return {"op": "history", "steps": self.steps, "gain": self.gain, **more}


def remembers_actions(network: nn.Sequential) -> bool:
    """Say whether a network takes the actions before a step too."""
    return any(isinstance(layer, HistoryLayer) and layer.n_actions for layer in network)


def memory_layers_of(network: nn.Sequential) -> list[MemoryLayer]:
    """Return the layers that remember; none of a feed-forward network."""
    return [layer for layer in network if isinstance(layer, MemoryLayer)]


def step_through(network: nn.Sequential, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a network's outputs `[B, n]` for features `[B, D]` and a state, and the next state."""
    after, start = [], 0
    for layer in network:
        if isinstance(layer, MemoryLayer):
            stop = start + layer.state_size(x.shape[1])
            x, own = layer.step(x, state[:, start:stop])
            after.append(own)
            start = stop
        else:
            x = layer(x)
    return x, torch.cat(after, dim=1)


def windows_through(
    network: nn.Sequential, x: torch.Tensor, starts: torch.Tensor, burn_in: int, taken: torch.Tensor | None = None
) -> torch.Tensor:
    """Return a network's outputs `[L - burn_in, B, n]` for windows `[L, B, D]`, as of `MemoryLayer.windows`."""
    last = memory_layers_of(network)[-1]
    for layer in network:
        if isinstance(layer, MemoryLayer):
            x = layer.windows(x, starts, burn_in if layer is last else 0, taken)
        else:
            x = layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return x
