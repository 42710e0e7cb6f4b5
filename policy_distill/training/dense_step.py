"""Gradient steps of a multilayer perceptron on the CPU, forward and backward pass written out in NumPy.

In: minibatches. Out: better weights, and their running average. On networks this small an autograd graph costs several
times what the arithmetic does; layouts here keep the batch last, and every bias is one more column of its weights.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from torch import nn

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.gradients import gradient_of
from policy_distill.training.adam import Adam
from policy_distill.training.policy import StudentPolicy

ONE = np.float32(1.0)


def is_dense(student: StudentPolicy) -> bool:
    """Say whether a student is made of linear layers, each followed by at most one tanh or ReLU, on the CPU."""
    layers, on_cpu = list(student.network), next(student.parameters()).device.type == "cpu"
    return (
        on_cpu
        and isinstance(layers[0], nn.Linear)
        and all(isinstance(m, nn.Linear | nn.Tanh | nn.ReLU) for m in layers)
    )


class DenseStep:
    """Forward pass, closed-form backward pass and Adam on one flat vector of parameters."""

    def __init__(self, student: StudentPolicy, loss: Loss, max_grad_norm: float) -> None:
        linears = [module for module in student.network if isinstance(module, nn.Linear)]
        self._shapes = [(layer.out_features, layer.in_features + 1) for layer in linears]
        self._activations = _activations(student.network)
        self._n_log_std = 0 if student.log_std is None else student.log_std.numel()
        n_params = sum(math.prod(shape) for shape in self._shapes) + self._n_log_std
        self.adam = Adam(n_params, max_grad_norm)
        self._flat_gradient = np.zeros(n_params, np.float32)
        self._weights, self._log_std = self._views(self.adam.weights)
        self._gradients, self._log_std_gradient = self._views(self._flat_gradient)
        self._loss_gradient = gradient_of(loss, student.spec.family)
        self._layers: list[np.ndarray] = []
        self._names = [name for name, module in student.network.named_children() if isinstance(module, nn.Linear)]
        self.read(student)

    def read(self, student: StudentPolicy) -> None:
        """Start from a student's weights."""
        tensors = student.tensors()
        for name, array in self._named(self.adam.weights).items():
            array[:] = tensors[name]
        self.adam.restart()

    def write(self, student: StudentPolicy) -> None:
        """Give a student the averaged weights."""
        tensors = student.state_dict()
        for name, array in self._named(self.adam.average).items():
            tensors[name].numpy()[:] = array

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the last step's gradient, after clipping, by the names of the weights."""
        return {name: array.copy() for name, array in self._named(self._flat_gradient).items()}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""
        return self.adam.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self.adam.restore(state)

    def step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """Make one step on a minibatch; return the mean loss and the gradient's norm."""
        outputs = self._forward(batch.features.numpy())
        if self._n_log_std:
            outputs = np.concatenate([outputs, np.broadcast_to(self._log_std, outputs.shape)])
        values, gradient = self._loss_gradient(batch, outputs)
        gradient *= np.float32(1.0 / len(batch.features))
        self._backward(gradient)
        return float(values.mean()), self.adam.step(self._flat_gradient, rate)

    def _forward(self, features: np.ndarray) -> np.ndarray:
        if not self._layers or self._layers[0].shape[1] != len(features):
            self._allocate(len(features))
        self._layers[0][:-1] = features.T
        for index, (weight, activation) in enumerate(zip(self._weights, self._activations, strict=True)):
            out = self._layers[index + 1][: len(weight)]
            np.matmul(weight, self._layers[index], out=out)
            if activation is nn.Tanh:
                np.tanh(out, out=out)
            elif activation is nn.ReLU:
                np.maximum(out, 0.0, out=out)
        return out

    def _backward(self, gradient: np.ndarray) -> None:
        if self._n_log_std:
            gradient, rest = gradient[: -self._n_log_std], gradient[-self._n_log_std :]
            rest.sum(axis=1, keepdims=True, out=self._log_std_gradient)
        for index in reversed(range(len(self._weights))):
            out = self._layers[index + 1][: len(gradient)]
            if self._activations[index] is nn.Tanh:
                # The activations are not needed again, so their storage takes 1 - tanh².
                np.multiply(out, out, out=out)
                np.subtract(ONE, out, out=out)
                gradient *= out
            elif self._activations[index] is nn.ReLU:
                gradient *= out > 0
            np.matmul(gradient, self._layers[index].T, out=self._gradients[index])
            if index:
                gradient = self._weights[index][:, :-1].T @ gradient

    def _allocate(self, n: int) -> None:
        """Make storage for a batch of `n`: a row of ones under each layer's units stands for the bias."""
        heights = [shape[1] for shape in self._shapes] + [self._shapes[-1][0]]
        self._layers = [np.ones((height, n), np.float32) for height in heights]

    def _named(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Return views of a flat vector by the names that the student's own tensors have."""
        blocks, log_std = self._views(flat)
        named: dict[str, np.ndarray] = {}
        for name, block in zip(self._names, blocks, strict=True):
            named |= {f"network.{name}.weight": block[:, :-1], f"network.{name}.bias": block[:, -1]}
        return {**named, "log_std": log_std[:, 0]} if self._n_log_std else named

    def _views(self, flat: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        views, start = [], 0
        for shape in self._shapes:
            views.append(flat[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        return views, flat[start:].reshape(-1, 1)


def _activations(network: nn.Sequential) -> list[type[nn.Module] | None]:
    """Return what follows each linear layer."""
    modules = [*network, None]
    pairs = pairwise(modules)
    return [
        type(after) if isinstance(after, nn.Tanh | nn.ReLU) else None
        for before, after in pairs
        if isinstance(before, nn.Linear)
    ]
