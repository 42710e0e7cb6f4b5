"""A gated recurrent unit along windows on the CPU, forward and backward pass written out in NumPy.

In: features `[L, B, I]`, where episodes begin, and the unit's weights. Out: its states, for autograd to go on from. A
graph of every step costs many times what the arithmetic does; here all that does not depend on the step before is one
operation for all steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class GRUWindows(torch.autograd.Function):
    """Twin of `GRULayer.windows`; the gradient is of weight and bias alone, since features need none."""

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, starts: torch.Tensor, burn_in: int
    ) -> torch.Tensor:
        """Return the states `[L - burn_in, B, H]` after the steps that teach."""
        room = _lent(len(bias) // 4, *x.shape)
        states = room.run(weight.detach().numpy(), bias.detach().numpy(), x.numpy(), starts.numpy())
        ctx.room, ctx.x, ctx.burn_in = room, x.numpy(), burn_in
        return torch.from_numpy(states[burn_in:]).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of weight and bias for those of the states; there is one backward pass for a forward."""
        outer = np.ascontiguousarray(gradients[0].numpy().transpose(0, 2, 1))
        weight, bias = ctx.room.gradients(ctx.x, outer, ctx.burn_in)
        _IDLE.setdefault(ctx.room.shape, []).append(ctx.room)
        return torch.from_numpy(weight), torch.from_numpy(bias), None, None, None


_IDLE: dict[tuple[int, ...], list[_Room]] = {}
"""Rooms that no backward pass waits for: to ask the system for new memory costs more than the arithmetic."""


def _lent(*shape: int) -> _Room:
    try:
        return _IDLE[shape].pop()
    except (KeyError, IndexError):
        return _Room(*shape)


class _Room:
    """What a forward pass leaves to the backward pass, `[L, units, B]`: gates are then whole pieces of an array."""

    def __init__(self, size: int, length: int, n: int, n_in: int) -> None:
        self.shape = size, length, n, n_in
        whole = (length, size, n)
        self.before, self.moved, self.new = (np.empty(whole, np.float32) for _ in range(3))
        """The state that a step began with, what r multiplies, and n."""
        self.gates = np.empty((length, 2 * size, n), np.float32)
        """r and z."""
        self.sums = np.empty((length, 3 * size, n), np.float32)
        """What is seen of the sums; in the backward pass the gradients of what is remembered of them."""
        self.of_new, self.to_z, self.to_new, self.to_r = (np.empty(whole, np.float32) for _ in range(4))
        """The gradient of n's sum; how much of a state's gradient reaches the sums of z and n, and how much of n's that
        of r."""
        self.keep: list[np.ndarray | None] = []
        """`[B]`: False where an episode begins at the step; None where none does."""
        self.from_state = np.empty(0)

    def run(self, weight: np.ndarray, bias: np.ndarray, x: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Return the states `[L, H, B]` that the steps end with."""
        size, length, n, n_in = self.shape
        self.from_state = np.ascontiguousarray(weight[:, n_in:])
        begins = np.any(starts, axis=1)
        self.keep = [row if any_begins else None for row, any_begins in zip(~starts, begins, strict=True)]
        # σ(a) = (1 + tanh(a / 2)) / 2, which no a is too large for; the half goes into the weights.
        scale = np.repeat(np.array([0.5, 1.0], np.float32), [2 * size, size])[:, None]
        np.matmul(weight[:, :n_in] * scale, x.transpose(0, 2, 1), self.sums)
        np.add(self.sums, bias[: 3 * size, None] * scale, self.sums)
        matrix, shift = self.from_state * scale, np.repeat(bias[3 * size :, None], n, axis=1)
        states, sums = np.empty((length, size, n), np.float32), np.empty((3 * size, n), np.float32)
        # Whole arrays: NumPy takes twice as long for an array and a number.
        half = np.full((2 * size, n), 0.5, np.float32)
        first, last, state = sums[: 2 * size], sums[2 * size :], np.zeros((size, n), np.float32)
        for step in range(length):
            known, gate, m, c, after = (of[step] for of in (self.before, self.gates, self.moved, self.new, states))
            seen, masked = self.sums[step], self.keep[step]
            known[...] = state
            if masked is not None:
                np.multiply(known, masked, known)
            np.dot(matrix, known, sums)
            np.add(first, seen[: 2 * size], gate)
            np.tanh(gate, gate)
            np.multiply(gate, half, gate)
            np.add(gate, half, gate)
            np.add(last, shift, m)
            np.multiply(gate[:size], m, c)
            np.add(c, seen[2 * size :], c)
            np.tanh(c, c)
            np.subtract(known, c, after)
            np.multiply(after, gate[size:], after)
            np.add(after, c, after)
            state = after
        return states

    def gradients(self, x: np.ndarray, outer: np.ndarray, burn_in: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of weight and bias; `outer` `[L - burn_in, H, B]` are those of the states."""
        size, length, n, _ = self.shape
        r, z = self.gates[:, :size], self.gates[:, size:]
        self._factors(r, z)
        back, through = np.zeros((size, n), np.float32), np.empty((size, n), np.float32)
        to_before = np.ascontiguousarray(self.from_state.T)
        for step in range(length - 1, burn_in - 1, -1):
            grad, row, masked = self.of_new[step], self.sums[step], self.keep[step]
            np.add(back, outer[step - burn_in], back)
            np.multiply(back, self.to_new[step], grad)
            np.multiply(grad, self.to_r[step], row[:size])
            np.multiply(back, self.to_z[step], row[size : 2 * size])
            np.multiply(grad, r[step], row[2 * size :])
            np.dot(to_before, row, through)
            np.multiply(back, z[step], back)
            np.add(back, through, back)
            if masked is not None:
                np.multiply(back, masked, back)
        taught = (self.sums, self.of_new, self.before)
        sums, of_new, before = (array[burn_in:].transpose(1, 0, 2).reshape(array.shape[1], -1) for array in taught)
        # The sums of r and z are of both; that of n has its own part of what was seen.
        seen = np.concatenate([sums[: 2 * size], of_new])
        weight = np.concatenate([seen @ x[burn_in:].reshape(-1, x.shape[2]), sums @ before.T], axis=1)
        return weight, np.concatenate([seen.sum(axis=1), sums[2 * size :].sum(axis=1)])

    def _factors(self, r: np.ndarray, z: np.ndarray) -> None:
        """Find for all steps at once what does not depend on the gradients."""
        kept, new, to_new, to_z, to_r = 1 - z, self.new, self.to_new, self.to_z, self.to_r
        np.multiply(new, new, to_new)
        np.subtract(1, to_new, to_new)
        np.multiply(to_new, kept, to_new)
        np.subtract(self.before, new, to_z)
        np.multiply(to_z, z, to_z)
        np.multiply(to_z, kept, to_z)
        np.subtract(1, r, to_r)
        np.multiply(to_r, r, to_r)
        np.multiply(to_r, self.moved, to_r)
