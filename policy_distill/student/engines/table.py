"""The engines by name, and which one acts by default."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.interfaces.students import Engine, WatchingEngine
from policy_distill.student.engines.native_engine import is_built
from policy_distill.student.engines.numpy_engine import NumpyEngine
from policy_distill.student.onboard.watcher import Watch
from policy_distill.student.plan import Plan

# Named and not imported: acting must not pay for the libraries of other engines.
ENGINES = {
    "numpy": "policy_distill.student.engines.numpy_engine.NumpyEngine",
    "native": "policy_distill.student.engines.native_engine.NativeEngine",
    "torch": "policy_distill.student.engines.torch_engine.TorchEngine",
    "onnx": "policy_distill.student.engines.onnx_engine.OnnxEngine",
}
RUNTIMES = ("auto", *ENGINES)
NEEDS = {"numpy": (), "native": (), "torch": ("torch",), "onnx": ("onnx", "onnxruntime")}
MISSING = {
    "native": "expected the compiled extension, found none; install a C compiler and policy-distill again, "
    "or use the runtime numpy",
    "torch": "expected PyTorch, found none; pip install torch, or use the runtime numpy",
    "onnx": "expected ONNX Runtime, found none; pip install 'policy-distill[onnx]', or use the runtime numpy",
}


def is_available(name: str) -> bool:
    """Say whether what an engine needs is installed."""
    return all(find_spec(module) is not None for module in NEEDS[name]) and (name != "native" or is_built())


def runs_natively(plan: Plan) -> bool:
    """Say whether the extension can run a plan, where it is built."""
    return plan.is_perceptron or plan.is_remembering_perceptron


def make_engine(name: str, plan: Plan) -> Engine:
    """Return the engine of that name, or for `auto` the fastest that is there.

    Raises:
        RequestError: for an unknown engine, one that is not installed, or one that cannot run this student.
    """
    if name not in RUNTIMES:
        raise RequestError(f"expected a runtime among {', '.join(RUNTIMES)}, found {name!r}")
    if name == "auto":
        return AutoEngine(plan)
    if not is_available(name):
        raise RequestError(MISSING[name])
    if name == "native" and not runs_natively(plan):
        raise RequestError(
            "expected a student of vectors with a linear, mlp, gru or history network for the runtime native; use auto"
        )
    module, _, attribute = ENGINES[name].rpartition(".")
    engine: Engine = getattr(import_module(module), attribute)(plan)
    return engine


class AutoEngine:
    """The fastest of what is installed: for one observation the extension, for convolutions ONNX Runtime, else NumPy.

    On perceptrons ONNX Runtime is no quicker than NumPy, however wide they are; on convolutions it is by 3 to 4 times.
    """

    name = "auto"

    def __init__(self, plan: Plan) -> None:
        convolves = any(layer["op"] == "conv2d" for layer in plan.layers)
        self._batch: Engine = make_engine("onnx", plan) if convolves and is_available("onnx") else NumpyEngine(plan)
        native = runs_natively(plan) and is_available("native")
        self._single: Engine = make_engine("native", plan) if native else self._batch
        self.outputs, self.step = self._batch.outputs, self._batch.step
        self.make_act = self._single.make_act

    def make_watched(self, memory: np.ndarray, watch: Watch) -> Callable[..., Any] | None:
        """Return what the engine for one observation gives, as of `WatchingEngine`."""
        return self._single.make_watched(memory, watch) if isinstance(self._single, WatchingEngine) else None
