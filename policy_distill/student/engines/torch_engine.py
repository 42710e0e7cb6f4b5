"""PyTorch, eager: for hosts that have it anyway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from policy_distill.interfaces.policies import State
from policy_distill.student.engines.numpy_engine import one_of_a_batch
from policy_distill.student.engines.torch_module import ActingModule, input_tensors
from policy_distill.student.plan import Plan


class TorchEngine:
    """Acts through an `nn.Module`."""

    name = "torch"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._module = ActingModule(plan).eval().requires_grad_(False)

    @torch.inference_mode()
    def outputs(self, obs: Any) -> np.ndarray:
        """Return the network's outputs, float32 `[B, n_outputs]`, for raw observations `[B, ...]`."""
        outputs: np.ndarray = self._module(*input_tensors(self._plan, obs))[1].numpy()
        return outputs

    @torch.inference_mode()
    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        """Return the outputs of one step, and the next state."""
        if not self._plan.memory.size:
            return self.outputs(obs), state
        inputs = input_tensors(self._plan, obs)
        _, outputs, after = self._module.step(torch.from_numpy(state), *inputs)
        return outputs.numpy(), after.numpy().copy()

    def make_act(self, memory: np.ndarray) -> Callable[[Any], Any]:
        """Return the function from one raw observation to its executed deterministic action."""
        return one_of_a_batch(self._plan, self, memory)
