"""`onnx`: one file for ONNX Runtime and its kin; the record is its metadata.

In: a student. Out: the file, and its actions as ONNX Runtime gives them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper

from policy_distill.exporters.onnx_int8 import add_quantized
from policy_distill.exporters.parity import Reference
from policy_distill.exporters.sequential import act_along
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.engines.onnx_engine import open_session
from policy_distill.student.engines.onnx_graph import build_model, feed
from policy_distill.student.engines.onnx_output import MASKS, STATE_IN, STATE_OUT
from policy_distill.student.record import StudentRecord


def write(
    student: StudentRecord,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the model, checked by `onnx.checker`."""
    add_linear = None if quantized is None else add_quantized(quantized)
    properties, single = {"policy_distill": json.dumps(record), **_wired(student)}, record["input_dtype"] == "float32"
    form = {"masked": student.takes_action_masks, "single": single, "opset": record.get("opset")}
    model = build_model(student.plan, properties, add_linear, **form)
    path.write_bytes(model.SerializeToString())
    types = {helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type).name for one in model.graph.input}
    return {"opset": model.opset_import[0].version, "input_dtypes": sorted(types - {"bool"})}


def _wired(student: StudentRecord) -> dict[str, str]:
    """Return names and rate as properties of their own, as JSON: what wires the model up needs not know the record."""
    wiring = student.description.wiring
    lists = {"observation_names": wiring.observations, "action_names": wiring.actions}
    found = {key: json.dumps(list(names)) for key, names in lists.items() if names}
    return found | ({} if wiring.control_hz is None else {"control_hz": json.dumps(wiring.control_hz)})


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions."""
    session = open_session(path.read_bytes())
    single = not any(given.type == "tensor(double)" for given in session.get_inputs())
    everything = np.ones((1, student.plan.head.n_scores), bool)

    def given(obs: Any, action_masks: np.ndarray | None) -> dict[str, np.ndarray]:
        masks = everything if action_masks is None else action_masks
        return {**feed(student.plan, obs, single=single), **({MASKS: masks} if student.takes_action_masks else {})}

    def step(obs: Any, action_masks: np.ndarray | None, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        actions, after = session.run(["action", STATE_OUT], {**given(obs, action_masks), STATE_IN: state})
        return actions, after

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        if episode_starts is not None:
            return act_along(step, student.plan.memory.size, obs, action_masks, episode_starts)
        actions: np.ndarray = session.run(["action"], given(obs, action_masks))[0]
        return actions

    return run
