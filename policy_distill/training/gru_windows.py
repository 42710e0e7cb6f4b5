"""A gated recurrent unit along windows on the CPU, forward and backward pass written out in NumPy.

In: features `[L, B, I]`, where episodes begin, and the unit's weights. Out: its states, for autograd to go on from. A
graph of every step costs many times what the arithmetic does; here all that does not depend on the step before is one
operation for all steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

HALF = np.float32(0.5)


class GRUWindows(torch.autograd.Function):
    """Twin of `GRULayer.windows`; the gradient is of weight and bias alone, since features need none."""

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, starts: torch.Tensor, burn_in: int
    ) -> torch.Tensor:
        """Return the states `[L - burn_in, B, H]` after the steps that teach."""
        kept = _run(weight.detach().numpy(), bias.detach().numpy(), x.numpy(), starts.numpy(), burn_in)
        ctx.kept = kept
        return torch.from_numpy(kept.states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of weight and bias for those of the states."""
        weight, bias = _gradients(ctx.kept, gradients[0].numpy())
        return torch.from_numpy(weight), torch.from_numpy(bias), None, None, None


@dataclass(frozen=True)
class _Kept:
    """What the backward pass needs, of the steps that teach, `[L, B, ...]`."""

    x: np.ndarray
    before: np.ndarray
    """States that the steps began with."""
    gates: np.ndarray
    """r and z."""
    moved: np.ndarray
    """What r multiplies."""
    new: np.ndarray
    """n."""
    states: np.ndarray
    """States that the steps ended with."""
    from_state: np.ndarray
    """Weights `[3H, H]`."""
    keep: list[np.ndarray | None]
    """`[B, 1]`: 0 where an episode begins at the step; None where none does."""


def _run(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, starts: np.ndarray, burn_in: int) -> _Kept:
    size, (length, n, n_in) = len(bias) // 4, x.shape
    from_x, from_state = weight[:, :n_in], np.ascontiguousarray(weight[:, n_in:])
    seen = (x.reshape(-1, n_in) @ from_x.T + bias[: 3 * size]).reshape(length, n, 3 * size)
    matrix = np.ascontiguousarray(from_state.T)
    keep = [~row[:, None] if row.any() else None for row in starts]
    before, moved, new, states = (np.empty((length, n, size), np.float32) for _ in range(4))
    gates, sums = np.empty((length, n, 2 * size), np.float32), np.empty((n, 3 * size), np.float32)
    shift, state = bias[3 * size :], np.zeros((n, size), np.float32)
    first, last = sums[:, : 2 * size], sums[:, 2 * size :]
    for step in range(length):
        known, gate, m, c, after = before[step], gates[step], moved[step], new[step], states[step]
        masked = keep[step]
        np.multiply(state, 1 if masked is None else masked, known)
        np.dot(known, matrix, sums)
        # σ(a) = (1 + tanh(a / 2)) / 2, which no a is too large for.
        np.add(first, seen[step, :, : 2 * size], gate)
        np.multiply(gate, HALF, gate)
        np.tanh(gate, gate)
        np.multiply(gate, HALF, gate)
        np.add(gate, HALF, gate)
        np.add(last, shift, m)
        np.multiply(gate[:, :size], m, c)
        np.add(c, seen[step, :, 2 * size :], c)
        np.tanh(c, c)
        np.subtract(known, c, after)
        np.multiply(after, gate[:, size:], after)
        np.add(after, c, after)
        state = after
    x, before, gates, moved, new, states = (array[burn_in:] for array in (x, before, gates, moved, new, states))
    return _Kept(x, before, gates, moved, new, states, from_state, keep[burn_in:])


def _gradients(kept: _Kept, outer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of weight and bias; `outer` `[L, B, H]` are those of the states from without."""
    length, n, size = kept.states.shape
    r, z = kept.gates[..., :size], kept.gates[..., size:]
    # How much of a state's gradient reaches the sums of z and n, and how much of that of n reaches the sum of r.
    to_z = (kept.before - kept.new) * z * (1 - z)
    to_new = (1 - z) * (1 - kept.new * kept.new)
    to_r = kept.moved * r * (1 - r)
    sums = np.empty((length, n, 3 * size), np.float32)
    of_new, back = np.empty((length, n, size), np.float32), np.zeros((n, size), np.float32)
    through = np.empty_like(back)
    for step in range(length - 1, -1, -1):
        grad, row = of_new[step], sums[step]
        np.add(back, outer[step], back)
        np.multiply(back, to_new[step], grad)
        np.multiply(grad, to_r[step], row[:, :size])
        np.multiply(back, to_z[step], row[:, size : 2 * size])
        np.multiply(grad, r[step], row[:, 2 * size :])
        np.dot(row, kept.from_state, through)
        np.multiply(back, z[step], back)
        np.add(back, through, back)
        masked = kept.keep[step]
        if masked is not None:
            np.multiply(back, masked, back)
    x, before = (array.reshape(-1, array.shape[-1]) for array in (kept.x, kept.before))
    from_state = sums.reshape(-1, 3 * size)
    # The sums of r and z are of both; that of n has its own part of what was seen.
    seen = np.concatenate([from_state[:, : 2 * size], of_new.reshape(-1, size)], axis=1)
    weight = np.concatenate([seen.T @ x, from_state.T @ before], axis=1)
    return weight, np.concatenate([seen.sum(axis=0), from_state[:, 2 * size :].sum(axis=0)])
