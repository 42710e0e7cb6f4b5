"""`torchscript`: one `.pt` for libtorch, from raw observations to the executed action; the record travels inside.

In: a student. Out: the file, and its actions as the loaded script gives them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from policy_distill.exporters.parity import Reference
from policy_distill.exporters.sequential import act_along
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.engines.torch_module import ActingModule, input_tensors
from policy_distill.student.record import StudentRecord
from policy_distill.system.nested import take

RECORD = "policy_distill.json"


class _ActionOnly(torch.nn.Module):
    def __init__(self, module: ActingModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, *obs: torch.Tensor) -> torch.Tensor:
        return self.module(*obs)[0]

    def act_masked(self, masks: torch.Tensor, *obs: torch.Tensor) -> torch.Tensor:
        return self.module(*obs, masks=masks)[0]


class _ActionAndState(torch.nn.Module):
    """The same of a student with a memory: the state comes first, and the next one comes with the action."""

    def __init__(self, module: ActingModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, state: torch.Tensor, *obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        action, _, after = self.module.step(state, *obs)
        return action, after

    def act_masked(
        self, masks: torch.Tensor, state: torch.Tensor, *obs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        action, _, after = self.module.step(state, *obs, masks=masks)
        return action, after


def write(
    student: StudentRecord,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the script; it takes one tensor `[B, ...]` for each part of the observation, in their order.

    Of a student with a memory it takes the state, float32 `[B, n]`, before these, and returns the next one too.
    Of a student with action masks it has a method `act_masked`, which takes them (bool `[B, A]`) before these.
    """
    example = tuple(input_tensors(student.plan, take(reference.obs, slice(0, 2))))
    n_remembered, n_examples = student.plan.memory.size, len(example[0])
    if n_remembered:
        example = (torch.zeros(n_examples, n_remembered), *example)
    inputs: dict[str, Any] = {"forward": example}
    if student.takes_action_masks:
        inputs["act_masked"] = (torch.ones(n_examples, student.plan.head.n_scores, dtype=torch.bool), *example)
    make = _ActionAndState if n_remembered else _ActionOnly
    module = make(ActingModule(student.plan)).eval().requires_grad_(False)
    with warnings.catch_warnings():
        # Torch advises torch.export; libtorch hosts, who are meant here, load TorchScript.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        script = torch.jit.trace_module(module, inputs, check_trace=False)
        torch.jit.save(script, str(path), _extra_files={RECORD: json.dumps(record)})
    return {
        "inputs": [*(["h_in"] if n_remembered else []), *(part.key or "obs" for part in student.plan.featurizer.parts)]
    }


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        script = torch.jit.load(str(path))

    def call(action_masks: np.ndarray | None, *tensors: torch.Tensor) -> Any:
        with torch.inference_mode():
            if action_masks is None:
                return script(*tensors)
            return script.act_masked(torch.from_numpy(action_masks), *tensors)

    def step(obs: Any, action_masks: np.ndarray | None, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        action, after = call(action_masks, torch.from_numpy(state), *input_tensors(student.plan, obs))
        return action.numpy(), after.numpy()

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        if episode_starts is not None:
            return act_along(step, student.plan.memory.size, obs, action_masks, episode_starts)
        actions: np.ndarray = call(action_masks, *input_tensors(student.plan, obs)).numpy()
        return actions

    return run
