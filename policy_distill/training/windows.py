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
from policy_distill.student.engines.torch_memory import (
    MemoryLayer,
    memory_layers_of,
    remembers_actions,
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
    length = buffer.longest(layer.burn_in + layer.length)
    n_windows = max(1, batch_size // (length - burn_in_of(layer, length)))
    return buffer.sequences(n, n_windows, length, generator)


def burn_in_of(layer: MemoryLayer, length: int) -> int:
    """Return how many steps of a window of a length teach nothing; a third at most of one that is cut short."""
    whole = layer.burn_in + layer.length
    return layer.burn_in if length == whole else min(layer.burn_in, length * layer.burn_in // whole)


def taken_in(student: StudentPolicy, batch: Batch) -> torch.Tensor | None:
    """Return the numbers `[L, B, n]` of the executed actions in windows; None where the student looks at none."""
    if not remembers_actions(student.network):
        return None
    actions = batch.columns["actions"]
    numbers = torch.from_numpy(student.spec.taken(actions.flatten(0, 1).cpu().numpy()))
    return numbers.unflatten(0, actions.shape[:2]).to(actions.device)


def answered(student: StudentPolicy, batch: Batch) -> tuple[Batch, Outputs]:
    """Return all steps that teach, as rows, and what the student answers to them."""
    family, layers = student.spec.family, memory_layers_of(student.network)
    if not layers:
        return batch, Outputs(family, student.params(batch.features))
    burn_in = burn_in_of(layers[-1], len(batch.features))
    taken, starts = taken_in(student, batch), batch.columns["episode_starts"]
    outputs = windows_through(student.network, batch.features, starts, burn_in, taken)
    return batch.after(burn_in), Outputs(family, student.params_of(outputs.flatten(0, 1)))
