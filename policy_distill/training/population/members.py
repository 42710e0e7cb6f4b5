"""Students as members of a population: what they share, their shapes, and their weights as one flat vector.

In: students. Out: the records that a layout is made of; weights go both ways.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import nn

from policy_distill.training.dense_step import is_dense
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.population.layout import Sizes, Slot

KINDS: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def common_sizes(students: Sequence[StudentPolicy]) -> tuple[Sizes, bool]:
    """Return the sizes that all students share, and whether their outputs end in tanh.

    Raises:
        ValueError: for no student, one that is not dense, or students that differ in them or in their family.
    """
    if not students:
        raise ValueError("expected at least one student")
    if not all(is_dense(student) for student in students):
        raise ValueError("expected students of linear layers, tanh and ReLU on the CPU; others learn by `AutogradStep`")
    found = {(*_sizes(student), student.spec.family.name, str(student.spec.family.config())) for student in students}
    if len(found) > 1:
        raise ValueError(
            f"expected students with the same features, outputs and family, found {sorted(found, key=str)}"
        )
    sizes, squashed = _sizes(students[0])
    return sizes, squashed


def members_of(students: Sequence[StudentPolicy], sizes: Sizes) -> list[Slot]:
    """Return the shape of each student, and where its weights begin where those of all follow each other.

    Raises:
        ValueError: for a student whose hidden layers are not all followed by the same activation.
    """
    members, start = [], 0
    for student in students:
        widths = tuple(layer.out_features for layer in _linears(student)[:-1])
        activations = [KINDS[type(module)] for module in student.network if type(module) in KINDS][: len(widths)]
        if len(activations) < len(widths) or len(set(activations)) > 1:
            raise ValueError(f"expected one activation after each hidden layer, found {activations}")
        members.append(Slot(widths, activations[0] if widths else "", start))
        start += sizes.count(widths)
    return members


def flat_weights(student: StudentPolicy) -> np.ndarray:
    """Return a student's weights in one float32 vector: layer by layer, the bias a column, log σ last."""
    blocks = [
        np.concatenate([layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]], axis=1)
        for layer in _linears(student)
    ]
    log_std = [] if student.log_std is None else [student.log_std.detach().numpy()]
    return np.concatenate([*(block.ravel() for block in blocks), *log_std])


def write_weights(student: StudentPolicy, flat: np.ndarray) -> None:
    """Give a student the weights of a vector as of `flat_weights`."""
    start = 0
    for layer in _linears(student):
        shape = (layer.out_features, layer.in_features + 1)
        block = flat[start : start + math.prod(shape)].reshape(shape)
        layer.weight.detach().numpy()[:] = block[:, :-1]
        layer.bias.detach().numpy()[:] = block[:, -1]
        start += block.size
    if student.log_std is not None:
        student.log_std.detach().numpy()[:] = flat[start:]


def _linears(student: StudentPolicy) -> list[nn.Linear]:
    return [module for module in student.network if isinstance(module, nn.Linear)]


def _sizes(student: StudentPolicy) -> tuple[Sizes, bool]:
    linears = _linears(student)
    n_log_std = 0 if student.log_std is None else student.log_std.numel()
    squashed = isinstance(list(student.network)[-1], nn.Tanh)
    return Sizes(linears[0].in_features, linears[-1].out_features, n_log_std), squashed
