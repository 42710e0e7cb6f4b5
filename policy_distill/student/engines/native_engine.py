"""The native engine: an optional C extension that loads any perceptron's weights, where it was built.

It acts on single observations; batches are NumPy's, which is quicker for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from policy_distill.interfaces.policies import State
from policy_distill.student.engines.finish import action_scalars, is_squashed, make_finish
from policy_distill.student.engines.folding import Dense, dense_layers, layers_behind, mode_layers, stack_of, unit_of
from policy_distill.student.engines.numpy_engine import NumpyEngine, lend
from policy_distill.student.engines.remembering import make_remembering_act
from policy_distill.student.engines.single import batch_of_one
from policy_distill.student.features import Normalizer
from policy_distill.student.onboard.monitor import LARGEST
from policy_distill.student.onboard.watcher import Watch
from policy_distill.student.plan import Plan

MODULE = "policy_distill.student.engines._native"
ACTIVATIONS = {"": 0, "tanh": 1, "relu": 2}
HEADS = {"index": 0, "clip": 1, "unsquash": 2, "raw": 3}
FLOATS = ("float32", "float64")


def is_built() -> bool:
    """Say whether the extension was built when the package was installed, for this processor and Python."""
    if find_spec(MODULE) is None:
        return False
    try:
        import_module(MODULE)
    except ImportError:
        return False
    return True


class NativeEngine:
    """Acts through the C extension."""

    name = "native"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @cached_property
    def _batches(self) -> NumpyEngine:
        # Made when it is first asked: whoever acts on one observation after another needs none.
        return NumpyEngine(self._plan)

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`."""
        return self._batches.outputs(obs)

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return the outputs of one step, and the next state."""
        return self._batches.step(obs, state)

    def make_act(self, memory: np.ndarray) -> Callable[[Any], Any]:
        """Return the function from one raw observation to its executed deterministic action."""
        if self._plan.memory.awaited is not None and _head(self._plan) == "raw":
            # Such an action is made in Python, and could not be remembered here.
            return make_remembering_act(self._plan, memory)
        # A raw head ends in Python, where another thread may come in between; each call then needs its own outputs.
        shared = _head(self._plan) == "raw" and not self._plan.memory.size
        return lend(lambda: self._make(memory).act) if shared else self._make(memory).act

    def make_watched(self, memory: np.ndarray, watch: Watch) -> Callable[..., Any] | None:
        """Return `act(obs, monitor=False)`; None of a raw head, whose action is made in Python."""
        if _head(self._plan) == "raw":
            return None
        watched: Callable[..., Any] = self._make(memory, watch).watched
        return watched

    def _make(self, memory: np.ndarray, watch: Watch | None = None) -> Any:
        plan, native = self._plan, import_module(MODULE)
        action_map, squashed = plan.action_map, is_squashed(plan)
        head = _head(plan)
        target = np.zeros(action_map.shape, action_map.dtype) if head in ("clip", "unsquash") else None
        dense = mode_layers(plan, layers_behind(plan) if plan.memory.size else dense_layers(plan))
        n_modes = len(dense[-1].matrix)
        outputs = np.zeros(n_modes, np.float32)
        some: dict[str, Any] = {} if plan.selected is None else {"columns": plan.selected.astype(np.int32).tobytes()}
        if plan.memory.size:
            stack = stack_of(plan)
            sizes = (stack.seen, stack.done, stack.action, int(stack.held))
            some["memory"] = (memory, *sizes, _gates(plan, native.LANES))
            if plan.memory.awaited is not None:
                some["taken"] = tuple(values.tobytes() for values in plan.taken.scale)
        if watch is not None:
            some["watch"] = _watch(watch, native.ROWS)
        return native.Perceptron(
            shape=tuple(plan.featurizer.parts[0].shape),
            statistics=_statistics(plan),
            layers=_layers(dense, native.LANES),
            n_modes=n_modes,
            head=HEADS[head],
            squash=int(squashed and head != "raw"),
            low=_bound(action_map.low, n_modes, -np.inf),
            high=_bound(action_map.high, n_modes, np.inf),
            target=outputs if target is None else target,
            actions=tuple(action_scalars(plan)) if head == "index" else None,
            convert=_converter(plan),
            finish=make_finish(plan, outputs, squashed=squashed) if head == "raw" else None,
            **some,
        )


def _head(plan: Plan) -> str:
    """Return the key of `HEADS`: what the extension does itself, or raw."""
    if plan.is_choice:
        return "index"
    kind, dtype = plan.action_map.kind, plan.action_map.dtype
    return kind if kind in ("clip", "unsquash") and dtype in FLOATS else "raw"


def _statistics(plan: Plan) -> tuple[bytes, bytes, float] | None:
    normalizer = plan.normalizer
    if normalizer is None:
        return None
    assert isinstance(normalizer, Normalizer)
    return (
        normalizer.mean.astype(np.float64).tobytes(),
        np.asarray(normalizer.scale, np.float64).tobytes(),
        normalizer.clip,
    )


def _layers(dense: list[Dense], lanes: int) -> tuple[tuple[int, int, int, bytes, bytes], ...]:
    """Return the layers as the extension reads them: weights as `[out / lanes, in, lanes]`, padded with zeros."""
    records = []
    for layer in dense:
        # What comes after the last one belongs to the head.
        activation = ACTIVATIONS[layer.activation] if layer is not dense[-1] else 0
        n_out, n_in = layer.matrix.shape[0], layer.matrix.shape[1] - 1
        n_padded = -(-n_out // lanes) * lanes
        padded = np.zeros((n_padded, n_in + 1), np.float32)
        padded[:n_out] = layer.matrix
        weight = padded[:, :-1].reshape(n_padded // lanes, lanes, n_in).transpose(0, 2, 1)
        records.append((n_in, n_padded, activation, weight.tobytes(), padded[:, -1].tobytes()))
    return tuple(records)


def _watch(watch: Watch, rows: int) -> tuple[Any, ...]:
    """Return a monitor as the extension reads it: directions as `[K / rows, n, rows]`, padded with zeros."""
    found = []
    for matrix in (watch.place, watch.step):
        n_in, n_rows = matrix.shape
        padded = np.zeros((n_in, -(-n_rows // rows) * rows))
        padded[:, :n_rows] = matrix
        found.append(padded.reshape(n_in, -1, rows).transpose(1, 0, 2).tobytes())
    numbers = (values.tobytes() for values in (watch.factor, watch.shift))
    return watch.state, watch.center.tobytes(), *found, *numbers, LARGEST


def _gates(plan: Plan, lanes: int) -> tuple[int, int, int, bytes, bytes] | None:
    """Return the one layer from what is seen and remembered to the sums of a recurrent unit's step."""
    unit = unit_of(plan)
    return None if unit is None else _layers([Dense(np.column_stack(unit), "")], lanes)[0]


def _bound(bound: np.ndarray | None, n: int, default: float) -> bytes:
    filled = np.full(n, default) if bound is None else bound
    return np.ravel(filled).astype(np.float32).tobytes()


def _converter(plan: Plan) -> Callable[[Any], np.ndarray]:
    """Return what makes a contiguous array of floats of observations that are none: lists, whole numbers, views."""

    def convert(obs: Any) -> np.ndarray:
        array = batch_of_one(plan, obs)[0]
        return np.ascontiguousarray(array, np.float32 if array.dtype == np.float32 else np.float64)

    return convert
