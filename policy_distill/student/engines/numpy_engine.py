"""NumPy: always there. The engine that every other one is compared with.

Perceptrons on vectors, which most students are, take a short way: buffers are made once, biases are the last column of
the weights, and normalisation is clipping of the raw observation (`perceptron.py`). One observation goes down a tree in
plain Python (`walk.py`). All else goes layer by layer.
Buffers are lent from a pool, so threads may share an engine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy_distill.interfaces.policies import State
from policy_distill.interfaces.students import Engine
from policy_distill.student.engines.perceptron import BatchForward, make_act
from policy_distill.student.engines.remembering import make_remembering_act
from policy_distill.student.engines.single import batch_of_one
from policy_distill.student.engines.walk import make_tree_act
from policy_distill.student.layers import compile_layers
from policy_distill.student.memory import compile_step
from policy_distill.student.plan import Plan
from policy_distill.system.nested import count

Act = Callable[[Any], Any]


class NumpyEngine:
    """Acts with NumPy alone."""

    name = "numpy"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._step = compile_step(plan.layers, plan.tensors, plan.memory) if plan.memory.size else None
        if self._step is not None:
            self._forward: Callable[[Any], np.ndarray] = lambda obs: self.step(obs, plan.memory.begin(count(obs)))[0]
        else:
            self._forward = BatchForward(plan) if BatchForward.fits(plan) else _features_first(plan)

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`."""
        return self._forward(obs)

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return the outputs of one step, and the next state."""
        if self._step is None:
            return self.outputs(obs), state
        return self._step(self._plan.featurizer(obs), state)

    def make_act(self, memory: np.ndarray) -> Act:
        """Return the function from one raw observation to its executed deterministic action."""
        if self._plan.is_perceptron:
            return lend(lambda: make_act(self._plan))
        if self._plan.is_tree:
            return make_tree_act(self._plan)
        if self._plan.is_remembering_perceptron:
            return make_remembering_act(self._plan, memory)
        return one_of_a_batch(self._plan, self, memory)


def one_of_a_batch(plan: Plan, engine: Engine, memory: np.ndarray) -> Act:
    """Return `act` by way of a batch of one; it remembers by `memory` `[n]`."""
    if plan.memory.size:
        state = memory[None]

        def act(obs: Any) -> Any:
            outputs, state[...] = engine.step(batch_of_one(plan, obs), state)
            actions = plan.actions(outputs)
            plan.remember(state, actions)
            return actions[0]

        return act
    return lambda obs: plan.actions(engine.outputs(batch_of_one(plan, obs)))[0]


def _features_first(plan: Plan) -> Callable[[Any], np.ndarray]:
    layers = compile_layers(plan.layers, plan.tensors)
    return lambda obs: layers(plan.featurizer(obs))


def lend(make: Callable[[], Act]) -> Act:
    """Return a function that lends one of several copies of `make()` to each call, a new one where all are in use."""
    idle = [make()]
    take, give = idle.pop, idle.append

    def act(obs: Any) -> Any:
        try:
            free = take()
        except IndexError:
            free = make()
        action = free(obs)
        give(free)
        return action

    return act
