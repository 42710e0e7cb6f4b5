"""Gradient steps of any student, on any device, by autograd.

In: minibatches. Out: better weights, and their running average.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import torch

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.training.adam import share_of_newest
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.windows import answered

VALUES = ("weights", "average")


class AutogradStep:
    """Adam on a copy of the student; the student itself receives the averaged weights."""

    def __init__(
        self,
        student: StudentPolicy,
        loss: Loss,
        max_grad_norm: float,
        precision: str = "float32",
        weight_decay: float = 0.0,
    ) -> None:
        """Copy the student; with a `precision` of bfloat16 layers compute in that, weights and loss stay float32."""
        self.weight_decay = weight_decay
        self.loss = loss
        self.max_grad_norm = max_grad_norm
        self.precision = getattr(torch, precision)
        self.read(student)

    def read(self, student: StudentPolicy) -> None:
        """Start from a student's weights."""
        self.trained = copy.deepcopy(student)
        self.parameters = list(self.trained.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        # The fused form does all parameters in one kernel; on small networks the loop over tensors is the cost.
        self.optimizer = torch.optim.Adam(self.parameters, fused=self.parameters[0].device.type in ("cpu", "cuda"))
        self.n_steps = 0

    @torch.no_grad()
    def write(self, student: StudentPolicy) -> None:
        """Give a student the averaged weights."""
        for parameter, average in zip(student.parameters(), self.average, strict=True):
            parameter.copy_(average)

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the last step's gradient, after clipping, by the names of the weights."""
        found = ((name, weights.grad) for name, weights in self.trained.named_parameters())
        return {name: grad.detach().cpu().numpy().copy() for name, grad in found if grad is not None}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""
        tensors: dict[str, torch.Tensor] = {f"weights.{i}": weights for i, weights in enumerate(self.parameters)}
        tensors |= {f"average.{i}": average for i, average in enumerate(self.average)}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in moments.items()}
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        return {**arrays, "n_steps": np.array(self.n_steps)}

    @torch.no_grad()
    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned.

        Raises:
            ValueError: where that is of another student; PyTorch would write beyond its moments.
        """
        self._check(state)
        self.n_steps = int(state["n_steps"])
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, array in state.items():
            kind, *place = name.split(".")
            value = torch.from_numpy(array.copy())
            if kind == "adam":
                moments.setdefault(int(place[0]), {})[place[1]] = value
            elif kind in ("weights", "average"):
                (self.parameters if kind == "weights" else self.average)[int(place[0])].copy_(value)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    def _check(self, state: dict[str, np.ndarray]) -> None:
        shapes = {f"{kind}.{i}": tuple(p.shape) for kind in VALUES for i, p in enumerate(self.parameters)}
        if any(name.startswith("adam.") for name in state):
            for i, parameter in enumerate(self.parameters):
                if not parameter.requires_grad:
                    continue
                moments = {f"adam.{i}.{name}": tuple(parameter.shape) for name in ("exp_avg", "exp_avg_sq")}
                shapes |= {**moments, f"adam.{i}.step": ()}
        found = {name: array.shape for name, array in state.items() if name != "n_steps"}
        if found != shapes or any(state[name].dtype != np.float32 for name in shapes) or int(state["n_steps"]) < 0:
            raise ValueError("the optimiser's state is of another student")

    def step(self, batch: Batch, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Make one step on a minibatch; return the mean loss and the gradient's norm."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self._in_precision():
            rows, outputs = answered(self.trained, batch)
        loss = self.loss(rows, replace(outputs, params=outputs.params.float())).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._decay()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        self.optimizer.step()
        self.n_steps += 1
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], share_of_newest(self.n_steps))
        return loss.detach(), norm

    @torch.no_grad()
    def _decay(self) -> None:
        """Add L2 to the gradients of all weights but log σ, which is no weight."""
        for name, weight in self.trained.named_parameters() if self.weight_decay else ():
            if weight.grad is not None and name != "log_std":
                weight.grad.add_(weight, alpha=self.weight_decay)

    def _in_precision(self) -> AbstractContextManager[object]:
        if self.precision == torch.float32:
            return nullcontext()
        # Cast weights are used once a step: a cache of them would only be emptied again.
        return torch.autocast(self.parameters[0].device.type, self.precision, cache_enabled=False)
