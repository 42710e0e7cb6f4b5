"""Perceptrons with a memory in NumPy, one observation at a time: a recurrent unit, or a stack of what was seen last.

In: a `Plan` and the array that remembers. Out: a function for one observation, with as few calls as there can be. What
is seen, what is remembered and a one for biases lie in one buffer, so that one product makes all sums of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.student.engines.finish import clip, is_squashed, make_finish
from policy_distill.student.engines.folding import (
    Dense,
    Stack,
    foldable,
    layers_behind,
    mode_layers,
    own_statistics,
    stack_of,
    unit_of,
)
from policy_distill.student.engines.perceptron import activation_of
from policy_distill.student.engines.single import by_name
from policy_distill.student.plan import Plan

HALF = np.float32(0.5)
Chain = tuple[Callable[[], None], np.ndarray]
"""A function that runs layers, and where their outputs stand then."""


def make_remembering_act(plan: Plan, memory: np.ndarray) -> Callable[[Any], Any]:
    """Return the function from one raw observation to its executed deterministic action; it owns its buffers."""
    part, columns, unit = plan.featurizer.parts[0], plan.selected, unit_of(plan)
    n_seen = part.size if columns is None else len(columns)
    stack = stack_of(plan)
    # [seen, seen before and done since, state of a unit, 1]
    x = np.ones(n_seen + plan.memory.size + 1, np.float32)
    look, shift, note = _looker(plan, x[:n_seen]), _shifter(stack, x[:-1], memory), _noter(plan, memory)
    state = x[n_seen + stack.size : -1]
    step = None if unit is None else _gru(unit, x, state)
    behind, out = _chain(mode_layers(plan, layers_behind(plan)), x if unit is None else x[n_seen + stack.size :])
    of_unit = memory[stack.size :]
    finish = make_finish(plan, out, squashed=is_squashed(plan))
    measure: Callable[[Any], Any] = np.shape
    if len(part.shape) == 1:
        measure = len
    expected = measure(np.empty(part.shape))

    def act(obs: Any) -> Any:
        try:
            if measure(obs) != expected:
                raise ValueError
            look(obs)
        except (TypeError, ValueError, IndexError):
            return act(by_name(plan, obs))
        shift()
        if step is not None:
            step()
            of_unit[...] = state
        behind()
        return finish() if note is None else note(finish())

    return act


def _shifter(stack: Stack, x: np.ndarray, memory: np.ndarray) -> Callable[[], None]:
    """Return what puts all that is remembered behind what is seen, in `x`, and makes `memory` that of the next step."""
    n_seen, n_kept = len(x) - len(memory), stack.done - stack.action
    remembered, seen = x[n_seen:], x[:n_seen]
    newest, before = x[: stack.seen], memory[: stack.seen]
    newer, older = x[n_seen + stack.seen :][:n_kept], memory[stack.seen + stack.action :][:n_kept]

    def shift() -> None:
        remembered[...] = memory
        before[...] = newest

    def shift_both() -> None:
        shift()
        older[...] = newer

    moved = shift_both if n_kept else shift
    if not stack.held:
        return moved
    place, number, first = stack.size - 1, memory.item, before.reshape(-1, n_seen)

    def begin_or_shift() -> None:
        if not number(place):
            first[...] = seen
            memory[place] = 1
        moved()

    return begin_or_shift


def _noter(plan: Plan, memory: np.ndarray) -> Callable[[Any], Any] | None:
    """Return what writes an executed action into `memory` and hands it on; None where actions are not remembered."""
    awaited, taken = plan.memory.awaited, plan.taken
    if awaited is None:
        return None
    newest = memory[awaited]
    if plan.is_choice:
        rows, start = np.eye(taken.n, dtype=np.float32), int(taken.starts[0])

        def note(action: Any) -> Any:
            newest[...] = rows[action - start]
            return action

    elif taken.sizes:

        def note(action: Any) -> Any:
            newest[...] = taken(action[None])[0]
            return action

    else:
        middle, factor = taken.scale

        def note(action: Any) -> Any:
            np.subtract(action.reshape(-1), middle, newest, casting="unsafe")
            np.multiply(newest, factor, newest)
            return action

    return note


def _looker(plan: Plan, seen: np.ndarray) -> Callable[[Any], None]:
    """Return what writes the features of one raw observation into `seen`."""
    part, columns, statistics = plan.featurizer.parts[0], plan.selected, own_statistics(plan)
    flat = len(part.shape) == 1 and columns is None

    def choose(obs: Any) -> Any:
        return obs if flat else np.ravel(obs) if columns is None else np.ravel(obs)[columns]

    if statistics is None:

        def copy(obs: Any) -> None:
            seen[...] = choose(obs)

        return copy
    mean, scale, reach = statistics
    # In float64 as Stable-Baselines3 where float32 would lose digits; a call that changes the type takes twice as long.
    dtype = np.float32 if foldable(plan) and part.dtype != np.float64 else np.float64
    mean, scale = mean.astype(dtype), scale.astype(dtype)
    low, high = np.full(len(mean), -reach, dtype), np.full(len(mean), reach, dtype)
    apart = np.empty(len(mean), dtype)

    def normalise(obs: Any) -> None:
        np.subtract(choose(obs), mean, apart)
        np.multiply(apart, scale, apart)
        clip(apart, low, high, seen)

    return normalise


def _gru(unit: tuple[np.ndarray, np.ndarray], x: np.ndarray, state: np.ndarray) -> Callable[[], None]:
    """Return the step of a recurrent unit from all of `x`, in which its `state` stands."""
    size = len(state)
    matrix = np.ascontiguousarray(np.column_stack(unit).T, np.float32)
    sums = np.empty(4 * size, np.float32)
    gates, new, moved = sums[: 2 * size], sums[2 * size : 3 * size], sums[3 * size :]
    reset, update = gates[:size], gates[size:]
    dot, tanh, multiply, add, subtract = x.dot, np.tanh, np.multiply, np.add, np.subtract

    def step() -> None:
        dot(matrix, sums)
        tanh(gates, gates)
        multiply(moved, reset, moved)
        add(new, moved, new)
        tanh(new, new)
        # n + (1 + tanh z) / 2 (h - n)
        subtract(state, new, state)
        multiply(update, state, moved)
        add(state, moved, state)
        multiply(state, HALF, state)
        add(state, new, state)

    return step


def _chain(layers: list[Dense], x: np.ndarray) -> Chain:
    """Return what runs dense layers from `x`, whose last number is a one, and their outputs."""
    steps = []
    for layer in layers:
        y = np.ones(len(layer.matrix) + 1, np.float32)
        activate, arguments = activation_of(layer, y[:-1])
        steps.append((x.dot, np.ascontiguousarray(layer.matrix.T, np.float32), y[:-1], activate, arguments))
        x = y
    *hidden, (last_dot, last_matrix, out, _, _) = steps

    def run() -> None:
        for dot, matrix, y, activate, arguments in hidden:
            dot(matrix, y)
            activate(*arguments)
        last_dot(last_matrix, out)

    return run, out
