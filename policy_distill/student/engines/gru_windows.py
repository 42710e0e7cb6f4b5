"""A gated recurrent unit along windows on the CPU, forward and backward pass written out in NumPy.

In: features of windows, where episodes begin, and the unit's weights. Out: its states, and from their gradients those
of the weights. A graph of every step costs many times what the arithmetic does. Here the batch is last, one product
makes all sums of a step, and what does not depend on the step before is one operation for all steps.
"""

from __future__ import annotations

import numpy as np

from policy_distill.student.operations.gru import summed

HALF = np.float32(0.5)


class GRUWindows:
    """Twin of `GRULayer.windows`, for windows of one shape; a backward pass belongs to the forward pass before it."""

    def __init__(self, size: int, length: int, n: int, n_in: int) -> None:
        self.shape = size, length, n, n_in
        self.taken = np.ones((length, n_in + size + 1, n), np.float32)
        """What a step takes: features, the state, and a one for the biases."""
        self.sums = np.empty((length, 4 * size, n), np.float32)
        """The sums of a step, as of `gru.summed`, and then tanh of the first three; in the backward pass gradients."""
        self.states = np.empty((length, size, n), np.float32)
        """The states that steps end with."""
        self.keep = np.empty((length, n), np.float32)
        """0 where an episode begins at a step, else 1."""
        self.matrix = np.empty(0, np.float32)
        self._z = np.empty((length, size, n), np.float32)
        self._half, self._scratch = np.full((size, n), HALF), np.empty((size, n), np.float32)
        self._steps = self._views()

    def _views(self) -> list[tuple[np.ndarray, ...]]:
        """Return the parts of the arrays that each step works on, made once: a view costs as much as some products."""
        size, _, _, n_in = self.shape
        r, z, c, d = (self.sums[:, k * size : (k + 1) * size] for k in range(4))
        before = self.taken[:, n_in:-1]
        # Of the last step nobody goes on.
        after, kept = [*before[1:], np.empty_like(self._half)], [*self.keep[1:], self.keep[0]]
        arrays = (self.taken, self.sums, self.sums[:, : 2 * size], r, z, c, d, before, self.states, after, kept)
        return list(zip(*arrays, strict=True))

    def run(self, weight: np.ndarray, bias: np.ndarray, x: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Return the states `[L, H, B]` that the steps end with, for features `[L, I, B]` and `starts` `[L, B]`."""
        n_in = self.shape[3]
        self.matrix = np.column_stack(summed(weight, bias)).astype(np.float32)
        self.taken[:, :n_in] = x
        self.taken[0, n_in:-1] = 0.0
        np.subtract(1, starts, self.keep, casting="unsafe")
        matrix, half, scratch = self.matrix, self._half, self._scratch
        dot, tanh, multiply, add, subtract = np.dot, np.tanh, np.multiply, np.add, np.subtract
        for taken, sums, gates, r, z, c, d, h, state, after, kept in self._steps:
            dot(matrix, taken, sums)
            tanh(gates, gates)
            multiply(r, d, scratch)
            add(c, scratch, c)
            tanh(c, c)
            # c + (1 + tanh z) / 2 (h - c)
            subtract(h, c, state)
            multiply(z, state, scratch)
            add(scratch, state, state)
            multiply(state, half, state)
            add(state, c, state)
            multiply(state, kept, after)
        return self.states

    def gradients(self, outer: np.ndarray, burn_in: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of weight and bias; `outer` `[L - burn_in, H, B]` are those of the states."""
        size, _, n, n_in = self.shape
        sums, z = self._factors(burn_in)
        back, through = np.zeros((size, n), np.float32), np.empty((size, n), np.float32)
        to_before = np.ascontiguousarray(self.matrix[:, n_in:-1].T)
        masked = (self.keep[burn_in:] == 0).any(axis=1).tolist()
        dot, multiply, add = np.dot, np.multiply, np.add
        steps = (outer, sums.reshape(len(sums), 4, size, n), sums, z, self.keep[burn_in:], masked)
        for grad, factors, row, kept, mask, is_masked in reversed(list(zip(*steps, strict=True))):
            add(back, grad, back)
            # All four are linear in the gradient of the state.
            multiply(factors, back, factors)
            dot(to_before, row, through)
            multiply(back, kept, back)
            add(back, through, back)
            if is_masked:
                multiply(back, mask, back)
        rows, taken = (_flat(array) for array in (sums, self.taken[burn_in:]))
        return _of_parts(rows @ taken.T, size, n_in)

    def _factors(self, burn_in: int) -> tuple[np.ndarray, np.ndarray]:
        """Find what a state's gradient is multiplied by to be that of the sums, and of the state before.

        With h' = n + z (h - n) the one of n is (1 - z)(1 - n²), of d tanh(r) times that, of r d (1 - tanh² r) times
        that, and of z (h - n) (1 - tanh² z) / 2.
        """
        size, _, _, n_in = self.shape
        sums, z = self.sums[burn_in:], self._z[burn_in:]
        r, u, c, d = (sums[:, k * size : (k + 1) * size] for k in range(4))
        np.multiply(u, HALF, z)
        np.add(z, HALF, z)
        apart = self.taken[burn_in:, n_in:-1] - c
        apart *= HALF
        np.multiply(u, u, u)
        np.subtract(1, u, u)
        np.multiply(u, apart, u)
        np.multiply(c, c, c)
        np.subtract(1, c, c)
        np.multiply(c, np.subtract(1, z, apart), c)
        squares = np.multiply(r, r, apart)
        np.subtract(1, squares, squares)
        squares *= d
        np.multiply(c, r, d)
        np.multiply(c, squares, r)
        return sums, z


def _flat(array: np.ndarray) -> np.ndarray:
    """Return `[K, L B]` of `[L, K, B]`."""
    return array.transpose(1, 0, 2).reshape(array.shape[1], -1)


def _of_parts(found: np.ndarray, size: int, n_in: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of weight and bias for that `[4H, I + H + 1]` of what `gru.summed` makes of them."""
    found[: 2 * size] *= HALF
    r_and_z, c, d = found[: 2 * size], found[2 * size : 3 * size], found[3 * size :]
    bias = np.concatenate([r_and_z[:, -1], c[:, -1], HALF * (c[:, -1] + d[:, -1])])
    remembered = HALF * (c[:, n_in:-1] + d[:, n_in:-1])
    weight = np.concatenate([r_and_z[:, :-1], np.column_stack([c[:, :n_in], remembered])])
    return weight, bias
