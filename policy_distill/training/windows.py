"""What a student learns from in one step: states by themselves, or where it remembers, windows of consecutive ones.

In: a buffer, whose column `episode_starts` says where episodes begin. Out: batches, and what the student answers to the
steps of them that teach. A window's first steps only bring the student's state to where it may be learnt from
(burn-in, Kapturowski et al. 2019, openreview r1lyTjAqYX): it begins with zeros there, and within it where an episode
does.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from policy_distill.interfaces.stages import Minibatches
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.student.engines.gru_windows import GRUWindows
from policy_distill.student.engines.torch_memory import (
    GRULayer,
    HistoryLayer,
    MemoryLayer,
    memory_layers_of,
    windows_through,
)
from policy_distill.training.buffer import Buffer
from policy_distill.training.policy import StudentPolicy

N_WINDOWS = 32
"""Windows in one minibatch, at least."""


def batch_size_for(network: nn.Sequential, batch_size: int) -> int:
    """Return the states in one minibatch: of windows of a recurrent unit more, since states of one episode are alike.

    A step along 32 windows takes little more time than one along 8.
    """
    layers = memory_layers_of(network)
    return max(batch_size, N_WINDOWS * layers[-1].length) if layers and layers[-1].length > 1 else batch_size


def drawn_batches(
    buffer: Minibatches, student: StudentPolicy, n: int, batch_size: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Draw `n` minibatches of about `batch_size` states that teach: rows, or windows `[L, B, ...]`."""
    layers = memory_layers_of(student.network)
    if not layers:
        return buffer.minibatches(n, batch_size, generator)
    assert isinstance(buffer, Buffer), "only a buffer knows which states follow each other"
    layer = layers[-1]
    length = min(layer.burn_in + layer.length, (buffer.size - 1) // buffer.stride + 1)
    n_windows = max(1, batch_size // (length - burn_in_of(layer, length)))
    return buffer.sequences(n, n_windows, length, generator)


def burn_in_of(layer: MemoryLayer, length: int) -> int:
    """Return how many steps of a window of a length teach nothing; a third at most of one that is cut short."""
    whole = layer.burn_in + layer.length
    return layer.burn_in if length == whole else min(layer.burn_in, length * layer.burn_in // whole)


def answered(student: StudentPolicy, batch: Batch) -> tuple[Batch, Outputs]:
    """Return all steps that teach, as rows, and what the student answers to them."""
    family, layers = student.spec.family, memory_layers_of(student.network)
    if not layers:
        return batch, Outputs(family, student.params(batch.features))
    burn_in = burn_in_of(layers[-1], len(batch.features))
    outputs = _outputs(student.network, batch.features, batch.columns["episode_starts"], burn_in)
    return batch.after(burn_in), Outputs(family, student.params_of(outputs.flatten(0, 1)))


def _outputs(network: nn.Sequential, x: torch.Tensor, starts: torch.Tensor, burn_in: int) -> torch.Tensor:
    if not (isinstance(network[0], HistoryLayer) and isinstance(network[1], GRULayer) and x.device.type == "cpu"):
        return windows_through(network, x, starts, burn_in)
    told, unit = network[0].windows(x, starts), network[1]
    states: torch.Tensor = GRUWindows.apply(unit.weight, unit.bias, told, starts, burn_in)
    return network[2:](states.flatten(0, 1)).unflatten(0, states.shape[:2])
