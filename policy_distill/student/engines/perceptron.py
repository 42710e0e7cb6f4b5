"""Perceptrons on vectors in NumPy, with as few calls as there can be: a call costs more than the arithmetic.

In: a `Plan` of linear layers and activations. Out: a function for one observation, and one for batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from policy_distill.student.engines.finish import clip, is_squashed, make_finish
from policy_distill.student.engines.folding import Dense, fold, foldable, mode_layers
from policy_distill.student.engines.single import by_name
from policy_distill.student.plan import Plan

CHUNK = 512
"""Rows of a batch that go through all layers together: their activations stay in the cache."""


def make_act(plan: Plan) -> Callable[[Any], Any]:
    """Return the function from one raw observation to its executed deterministic action; it owns its buffers."""
    layers, low, high = fold(plan)
    layers = mode_layers(plan, layers)
    part = plan.featurizer.parts[0]
    single = foldable(plan) and part.dtype != np.float64
    dtype = np.float32 if single else np.float64
    x = np.ones(len(low) + 1, dtype)
    columns = plan.selected
    obs_shaped = x[:-1] if columns is not None else x[:-1].reshape(part.shape)
    low, high = (bound.reshape(obs_shaped.shape).astype(dtype) for bound in (low, high))
    steps = []
    for layer in layers:
        y = np.ones(len(layer.matrix) + 1, dtype)
        # [in, out]: the product of a row with a matrix is the quickest for these sizes.
        steps.append((x.dot, np.ascontiguousarray(layer.matrix.T, dtype), y[:-1], *activation_of(layer, y[:-1])))
        x = y
    *hidden, (last_dot, last_matrix, out, _, _) = steps
    finish = make_finish(plan, out, squashed=is_squashed(plan))
    # Of a vector its length says as much as its shape, at a fraction of the cost.
    measure: Callable[[Any], Any] = np.shape
    if len(part.shape) == 1:
        measure = len
    expected = measure(np.empty(part.shape))

    def act(obs: Any) -> Any:
        try:
            # What broadcasts would pass for an observation: a number, or a row of a matrix.
            if measure(obs) != expected:
                raise ValueError
            clip(obs if columns is None else np.ravel(obs)[columns], low, high, obs_shaped)
        except (TypeError, ValueError, IndexError):
            return act(by_name(plan, obs))
        for dot, matrix, y, activate, arguments in hidden:
            dot(matrix, y)
            activate(*arguments)
        last_dot(last_matrix, out)
        return finish()

    return act


def activation_of(layer: Dense, y: np.ndarray) -> tuple[Callable[..., Any], tuple[np.ndarray, ...]]:
    """Return the ufunc of an activation and its arguments; it works in place."""
    if layer.activation == "relu":
        # Not maximum: with `out` by position it warns at a cost of 2 µs, by name it takes longer than clip.
        return clip, (y, np.zeros_like(y), np.full_like(y, np.inf), y)
    return np.tanh, (y, y)


class BatchForward:
    """The network's outputs for batches.

    Activations are `[width, rows]` and features `[rows, n]`, each with ones beside them, so that a bias costs one more
    column of the weights. Bounds and zeros are whole arrays: NumPy compares two arrays of one shape in half the time
    that it takes for an array and a number, or for three arrays at once.
    """

    def __init__(self, plan: Plan) -> None:
        (first, *layers), low, high = fold(plan)
        self._layers = [Dense(layer.matrix.astype(np.float32), layer.activation) for layer in (first, *layers)]
        kind = np.float64 if plan.featurizer.parts[0].dtype == np.float64 else np.float32
        self._bounds = [np.tile(bound.astype(kind), (CHUNK, 1)) for bound in (low, high)]
        self._n_inputs, self._n_outputs, self._columns = len(low), plan.n_outputs, plan.selected
        self._idle: list[_Buffers] = []

    @staticmethod
    def fits(plan: Plan) -> bool:
        """Say whether a plan can be run so."""
        return plan.is_perceptron and foldable(plan)

    def __call__(self, obs: Any) -> np.ndarray:
        """Return float32 `[B, n_outputs]` for raw observations `[B, ...]`."""
        rows = np.asarray(obs).reshape(len(obs), self._n_inputs if self._columns is None else -1)
        rows = rows if self._columns is None else rows[:, self._columns]
        outputs = np.empty((len(rows), self._n_outputs), np.float32)
        try:
            buffers = self._idle.pop()
        except IndexError:
            buffers = _Buffers(self._n_inputs, [len(layer.matrix) for layer in self._layers])
        if len(rows) <= CHUNK:
            self._run(rows, buffers, outputs)
        else:
            for start in range(0, len(rows), CHUNK):
                self._run(rows[start : start + CHUNK], buffers, outputs[start : start + CHUNK])
        self._idle.append(buffers)
        return outputs

    def _run(self, rows: np.ndarray, buffers: _Buffers, outputs: np.ndarray) -> None:
        n = len(rows)
        low, high = self._bounds
        raised, features, x, views = buffers.views(n)
        if rows.dtype == np.float32 == low.dtype:
            np.maximum(rows, low[:n], out=raised)
            np.minimum(raised, high[:n], out=features)
        else:
            # In one call: what is raised and not yet lowered may be too large for float32.
            clip(rows, low[:n], high[:n], features)
        for layer, (y, inner, zeros) in zip(self._layers, views, strict=True):
            layer.matrix.dot(x, inner)
            if layer.activation == "tanh":
                np.tanh(inner, inner)
            elif layer.activation == "relu":
                np.maximum(inner, zeros, out=inner)
            x = y
        outputs[...] = inner.T


class _Buffers:
    """Features `[rows, n + 1]`, and for each layer `[width + 1, rows]`, the last ones, for any number of rows."""

    def __init__(self, n_inputs: int, widths: Sequence[int]) -> None:
        self._raised = np.empty((CHUNK, n_inputs), np.float32)
        self._features = np.ones((CHUNK, n_inputs + 1), np.float32)
        self._memory = [np.empty((width + 1) * CHUNK, np.float32) for width in widths]
        self._zeros = np.zeros(max(widths) * CHUNK, np.float32)
        self._rows = -1
        self._views: Any = None

    def views(self, n: int) -> Any:
        """Return all that `n` observations go through.

        That is: where they are raised to the lower bounds, where they are clipped, what the first layer takes of that,
        and each layer's buffer with and without its row of ones, with as many zeros.
        """
        if n != self._rows:
            layers = []
            for memory in self._memory:
                height = len(memory) // CHUNK
                whole = memory[: height * n].reshape(height, n)
                whole[-1] = 1.0
                zeros = self._zeros[: (height - 1) * n].reshape(height - 1, n)
                layers.append((whole, whole[:-1], zeros))
            features = self._features[:n]
            self._rows, self._views = n, (self._raised[:n], features[:, :-1], features.T, layers)
        return self._views
