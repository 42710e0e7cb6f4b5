"""`numpy`: a folder with one Python file, weights and the record, which acts wherever NumPy is.

In: a student. Out: the folder, and its actions as its own file gives them.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.exporters import standalone
from policy_distill.exporters.parity import Reference
from policy_distill.exporters.sequential import act_along
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.features import Part
from policy_distill.student.layers import array_names
from policy_distill.student.operations.table import find_operation
from policy_distill.student.pixels import channels_first
from policy_distill.student.plan import Plan
from policy_distill.student.record import StudentRecord


def write(
    student: StudentRecord,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the folder."""
    plan = student.plan
    path.mkdir()
    (path / "policy.py").write_text(_source(plan))
    (path / "policy.json").write_text(json.dumps({**describe_plan(plan), "record": record}, indent=2) + "\n")
    np.savez(path / "weights.npz", allow_pickle=False, **plan_arrays(plan))
    return {}


def _source(plan: Plan) -> str:
    """Return the one Python file: the policy, and the operations that it needs.

    Raises:
        RequestError: for an operation whose source is not at hand.
    """
    sources = [Path(standalone.__file__).read_text()]
    for name in dict.fromkeys(layer["op"] for layer in plan.layers):
        function = find_operation(name).numpy
        try:
            text = inspect.getsource(function)
        except (OSError, TypeError):
            raise RequestError(f"the operation {name!r} has no form for numpy: its source cannot be read") from None
        if not text.startswith(f"def {function.__name__}("):
            raise RequestError(
                f"the operation {name!r} has no form for numpy: make it a function with `def` in a module"
            )
        sources.append(f'{text}\n\nOPERATIONS["{name}"] = {function.__name__}\n')
    return "\n\n".join(sources)


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions."""
    spec = importlib.util.spec_from_file_location("exported_policy", path / "policy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    policy = module.Policy()

    def step(obs: Any, action_masks: np.ndarray | None, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found: tuple[np.ndarray, np.ndarray] = policy.step(obs, state, action_masks)
        return found

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        if episode_starts is not None:
            return act_along(step, student.plan.memory.size, obs, action_masks, episode_starts)
        actions: np.ndarray = policy.predict(obs, action_masks)
        return actions

    return run


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Return what is computed as JSON values: parts of the observation, layers, head and action, without arrays."""
    featurizer, action_map = plan.featurizer, plan.action_map
    return {
        "image": featurizer.is_image,
        "channels_first": featurizer.is_image and channels_first(featurizer.parts[0].shape),
        "parts": [_part(part, f"obs{index}") for index, part in enumerate(featurizer.parts)],
        "layers": [dict(layer) for layer in plan.layers],
        "memory": {
            "size": plan.memory.size,
            "awaited": None if plan.memory.awaited is None else [plan.memory.awaited.start, plan.memory.awaited.stop],
            "parts": {part.place: [part.start, part.start + part.size] for part in plan.memory.parts},
        },
        "head": {**plan.head.to_json(), "n_modes": plan.head.n_modes, "places": plan.head.places.tolist()},
        "action": {
            "kind": action_map.kind,
            "shape": list(action_map.shape),
            "dtype": action_map.dtype,
            "start": action_map.start,
        },
    }


def _part(part: Part, name: str) -> dict[str, Any]:
    clip = None if part.normalizer is None or not np.isfinite(part.normalizer.clip) else part.normalizer.clip
    return {
        "key": part.key,
        "name": name,
        "size": part.size,
        "one_hot": bool(part.one_hot),
        "clip": clip,
        "factor": 1.0 if part.scale is None else float(part.scale),
    }


def plan_arrays(plan: Plan) -> dict[str, np.ndarray]:
    """Return the arrays that the description names: weights, statistics, bounds."""
    arrays = {name: plan.tensors[name] for name in array_names(plan.layers)}
    for index, part in enumerate(plan.featurizer.parts):
        if part.offsets is not None:
            arrays[f"obs{index}.offsets"] = part.offsets
        if part.normalizer is not None:
            arrays[f"obs{index}.mean"] = part.normalizer.mean.ravel()
            arrays[f"obs{index}.scale"] = part.normalizer.scale.ravel()
    if plan.action_map.low is not None and plan.action_map.high is not None:
        arrays["action.low"], arrays["action.high"] = plan.action_map.low, plan.action_map.high
    if plan.memory.awaited is not None and not plan.taken.sizes:
        arrays["taken.middle"], arrays["taken.factor"] = plan.taken.scale
    return arrays
