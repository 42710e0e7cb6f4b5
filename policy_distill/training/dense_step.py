"""Gradient steps of a multilayer perceptron on the CPU, forward and backward pass written out in NumPy.

In: minibatches. Out: better weights, and their running average. On networks this small an autograd graph costs several
times what the arithmetic does; layouts here keep the batch last, and every bias is one more column of its weights. A
history or a recurrent unit may stand before the perceptron, which then learns from windows of episodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import nn

from policy_distill.interfaces.students import Loss
from policy_distill.losses.batch import Batch
from policy_distill.losses.gradients import gradient_of
from policy_distill.student.engines.gru_windows import GRUWindows
from policy_distill.student.engines.torch_memory import GRULayer, HistoryLayer, memory_layers_of
from policy_distill.training.adam import Adam
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.windows import burn_in_of, taken_in

ONE = np.float32(1.0)


def is_dense(student: StudentPolicy, n_before: int = 0) -> bool:
    """Say whether a student is made of linear layers, each followed by at most one tanh or ReLU, on the CPU.

    The first `n_before` layers are not looked at.
    """
    return next(student.parameters()).device.type == "cpu" and is_perceptron(list(student.network)[n_before:])


def is_perceptron(layers: Sequence[nn.Module]) -> bool:
    """Say whether layers are linear ones, with tanh or ReLU between them."""
    return isinstance(layers[0], nn.Linear) and all(isinstance(m, nn.Linear | nn.Tanh | nn.ReLU) for m in layers)


def is_written_out(student: StudentPolicy) -> bool:
    """Say whether `DenseStep` can train a student: a dense one, behind a history or a recurrent unit or not."""
    kinds = tuple(type(layer) for layer in memory_layers_of(student.network))
    if kinds not in ((), (HistoryLayer,), (HistoryLayer, GRULayer)):
        return False
    first = [type(layer) for layer in list(student.network)[: len(kinds)]]
    return first == list(kinds) and is_dense(student, len(kinds))


class DenseStep:
    """Forward pass, closed-form backward pass and Adam on one flat vector of parameters."""

    def __init__(self, student: StudentPolicy, loss: Loss, max_grad_norm: float, weight_decay: float = 0.0) -> None:
        self._decay = np.float32(weight_decay)
        linears = [module for module in student.network if isinstance(module, nn.Linear)]
        self._student, self._memory = student, memory_layers_of(student.network)
        units = [(layer.weight, layer.bias) for layer in self._memory if isinstance(layer, GRULayer)]
        self._unit_shapes = [(*part.shape, 1)[:2] for unit in units for part in unit]
        self._shapes = [(layer.out_features, layer.in_features + 1) for layer in linears]
        self._activations = _activations(student.network)
        self._n_log_std = 0 if student.log_std is None else student.log_std.numel()
        n_params = sum(math.prod(shape) for shape in [*self._unit_shapes, *self._shapes]) + self._n_log_std
        self.adam = Adam(n_params, max_grad_norm)
        self._flat_gradient = np.zeros(n_params, np.float32)
        self._unit, self._weights, self._log_std = self._views(self.adam.weights)
        self._unit_gradient, self._gradients, self._log_std_gradient = self._views(self._flat_gradient)
        self._loss_gradient = gradient_of(loss, student.spec.family)
        self._layers: list[np.ndarray] = []
        self._windows: GRUWindows | None = None
        self._names = [name for name, module in student.network.named_children() if isinstance(module, nn.Linear)]
        self.read(student)

    def read(self, student: StudentPolicy) -> None:
        """Start from a student's weights."""
        tensors = student.tensors()
        for name, array in self.named(self.adam.weights).items():
            array[:] = tensors[name]
        gradients = self.named(self._flat_gradient)
        self._frozen = [gradients[name] for name, weight in student.named_parameters() if not weight.requires_grad]
        self.adam.restart()

    def write(self, student: StudentPolicy) -> None:
        """Give a student the averaged weights."""
        tensors = student.state_dict()
        for name, array in self.named(self.adam.average).items():
            tensors[name].numpy()[:] = array

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the last step's gradient, after clipping, by the names of the weights."""
        return {name: array.copy() for name, array in self.named(self._flat_gradient).items()}

    def state(self) -> dict[str, np.ndarray]:
        """Return everything that the next step depends on."""
        return self.adam.state()

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self.adam.restore(state)

    def step(self, batch: Batch, rate: float) -> tuple[float, float]:
        """Make one step on a minibatch; return the mean loss and the gradient's norm."""
        value, gradient = self.gradient(batch)
        return value, self.adam.step(gradient, rate)

    def gradient(self, batch: Batch) -> tuple[float, np.ndarray]:
        """Return the mean loss of a minibatch and its gradient `[n]`, which the next call overwrites; nothing steps."""
        batch, features = self._seen(batch)
        outputs = self._forward(features)
        if self._n_log_std:
            outputs = np.concatenate([outputs, np.broadcast_to(self._log_std, outputs.shape)])
        values, gradient = self._loss_gradient(batch, outputs)
        gradient *= np.float32(1.0 / len(batch.features))
        self._backward(gradient)
        if self._decay:
            decayed = slice(None, len(self._flat_gradient) - self._n_log_std)
            self._flat_gradient[decayed] += self._decay * self.adam.weights[decayed]
        for unmoved in self._frozen:
            unmoved[...] = 0.0
        return float(values.mean()), self._flat_gradient

    def _seen(self, batch: Batch) -> tuple[Batch, np.ndarray]:
        """Return the states that teach, as rows, and what the perceptron takes of them, `[D, B]`."""
        if not self._memory:
            return batch, batch.features.numpy().T
        burn_in, starts = burn_in_of(self._memory[-1], len(batch.features)), batch.columns["episode_starts"]
        taken = taken_in(self._student, batch)
        seen = self._memory[0].windows(batch.features, starts, 0 if self._unit else burn_in, taken)
        if not self._unit:
            return batch.after(burn_in), seen.flatten(0, 1).numpy().T
        (weight, bias), (length, n, n_in) = self._unit, seen.shape
        shape = len(bias) // 4, length, n, n_in
        if self._windows is None or self._windows.shape != shape:
            self._windows = GRUWindows(*shape)
        states = self._windows.run(weight, bias[:, 0], seen.numpy().transpose(0, 2, 1), starts.numpy())
        return batch.after(burn_in), states[burn_in:].transpose(1, 0, 2).reshape(shape[0], -1)

    def _forward(self, features: np.ndarray) -> np.ndarray:
        n = features.shape[1]
        if not self._layers or self._layers[0].shape[1] != n:
            self._allocate(n)
        self._layers[0][:-1] = features
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
            if index or self._windows is not None:
                gradient = self._weights[index][:, :-1].T @ gradient
        if self._windows is not None:
            size, length, n, _ = self._windows.shape
            outer = gradient.reshape(size, -1, n).transpose(1, 0, 2)
            weight, bias = self._windows.gradients(outer, length - len(outer))
            self._unit_gradient[0][:], self._unit_gradient[1][:, 0] = weight, bias

    def _allocate(self, n: int) -> None:
        """Make storage for a batch of `n`: a row of ones under each layer's units stands for the bias."""
        heights = [shape[1] for shape in self._shapes] + [self._shapes[-1][0]]
        self._layers = [np.ones((height, n), np.float32) for height in heights]

    def named(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Return views of a flat vector by the names that the student's own tensors have."""
        unit, blocks, log_std = self._views(flat)
        # A recurrent unit stands behind its history.
        named = {"network.1.weight": unit[0], "network.1.bias": unit[1][:, 0]} if unit else {}
        for name, block in zip(self._names, blocks, strict=True):
            named |= {f"network.{name}.weight": block[:, :-1], f"network.{name}.bias": block[:, -1]}
        return {**named, "log_std": log_std[:, 0]} if self._n_log_std else named

    def _views(self, flat: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
        """Return the parts of a flat vector: weight and bias of a recurrent unit, of each linear layer both, log σ."""
        views, start = [], 0
        for shape in [*self._unit_shapes, *self._shapes]:
            views.append(flat[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        n = len(self._unit_shapes)
        return views[:n], views[n:], flat[start:].reshape(-1, 1)


def _activations(network: nn.Sequential) -> list[type[nn.Module] | None]:
    """Return what follows each linear layer."""
    modules = [*network, None]
    pairs = pairwise(modules)
    return [
        type(after) if isinstance(after, nn.Tanh | nn.ReLU) else None
        for before, after in pairs
        if isinstance(before, nn.Linear)
    ]
