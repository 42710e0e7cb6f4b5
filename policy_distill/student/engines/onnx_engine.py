"""ONNX Runtime: the quickest for convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from policy_distill.interfaces.policies import State
from policy_distill.student.engines.numpy_engine import one_of_a_batch
from policy_distill.student.engines.onnx_graph import build_model, feed
from policy_distill.student.engines.onnx_output import STATE_IN, STATE_OUT
from policy_distill.student.engines.single import batch_of_one, by_name
from policy_distill.student.plan import Plan
from policy_distill.system.nested import count

CHUNK = 1024
"""Observations that go through a perceptron together: their activations stay in the cache."""


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """Return a session on the CPU with one thread, so that results do not depend on how many cores there are."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxEngine:
    """Acts through the graph that `policy-distill export --format onnx` writes."""

    name = "onnx"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._session = open_session(build_model(plan, {}, named=False).SerializeToString())

    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`."""
        if self._plan.memory.size:
            return self.step(obs, self._plan.memory.begin(count(obs)))[0]
        if not self._plan.is_perceptron or len(obs) <= CHUNK:
            return self._run(obs)
        parts = [self._run(obs[start : start + CHUNK]) for start in range(0, len(obs), CHUNK)]
        return np.concatenate(parts)

    def _run(self, obs: Any) -> np.ndarray:
        outputs: np.ndarray = self._session.run(["outputs"], feed(self._plan, obs))[0]
        return outputs

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return the outputs of one step, and the next state."""
        if not self._plan.memory.size:
            return self.outputs(obs), state
        outputs, after = self._session.run(["outputs", STATE_OUT], {**feed(self._plan, obs), STATE_IN: state})
        return outputs, after

    def make_act(self, memory: np.ndarray) -> Callable[[Any], Any]:
        """Return the function from one raw observation to its executed deterministic action."""
        if self._plan.memory.size:
            return one_of_a_batch(self._plan, self, memory)
        session, plan = self._session, self._plan
        part = plan.featurizer.parts[0]
        if plan.featurizer.space["type"] == "Dict" or part.one_hot:
            return lambda obs: _first(session.run(["action"], feed(plan, batch_of_one(plan, obs))))
        shape, dtype = part.shape, part.dtype

        def act(obs: Any) -> Any:
            try:
                one = np.asarray(obs, dtype=dtype)
                if one.shape != shape:
                    raise ValueError
            except (TypeError, ValueError):
                return act(by_name(plan, obs))
            return _first(session.run(["action"], {"obs": one[None]}))

        return act


def _first(outputs: Any) -> Any:
    return outputs[0][0]
