"""States that a policy comes to, drawn evenly from whole episodes.

In: environments and whoever acts. Out: a `StateSample`. A student may differ from its teacher late in an episode and
nowhere near its start, so every step must have the same chance to be looked at. Reservoir sampling (Vitter 1985, doi
10.1145/3147.3165) does that in bounded memory, without knowing how long the episodes will be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from policy_distill.collection.along import Followed
from policy_distill.collection.collector import Collector
from policy_distill.collection.rollout import Rollout
from policy_distill.interfaces.policies import Actor, Labels, Teacher
from policy_distill.interfaces.stepping import Environments
from policy_distill.seeds import measured_seed, purpose_seed
from policy_distill.student.runtime import Student
from policy_distill.system.nested import map_arrays, put, take, with_axis

MAX_STEPS = 50_000
"""Steps at most, of all environments together: of longer episodes the steps before that are drawn from."""

N_CHUNKS = 4
"""Parts that the least number of steps is divided into: what is held beside the sample is one of them."""


def as_it_is(obs: Any) -> Any:
    """Return observations as they are."""
    return obs


@dataclass(frozen=True)
class StateSample:
    """States drawn from whole episodes, in no order that means anything."""

    obs: Any
    """Raw observations `[B, ...]`, or a dict of such."""
    action_masks: np.ndarray | None
    """bool `[B, A]`, where the environments have them."""
    params: torch.Tensor
    """The teacher's distribution parameters `[B, P]`; of no width where no teacher was asked."""
    n_steps: int
    """Steps that they were drawn from."""
    outputs: np.ndarray | None = None
    """Outputs `[B, n_outputs]` of the network of the student that was followed; None where none was."""


def sample_states(
    envs: Environments,
    seed: int,
    actor: Actor,
    n_states: int,
    *,
    masked: bool = False,
    teacher: Teacher | None = None,
    followed: Student | None = None,
    seen: Callable[[Any], Any] = as_it_is,
    max_steps: int = MAX_STEPS,
) -> StateSample:
    """Let `actor` act by its mode in fresh episodes, and return `n_states` of the states that it came to.

    Each environment runs whole episodes until it has taken its share of `n_states` steps; all steps of these episodes
    are equally likely to be drawn. The same seed gives the same sample.

    Args:
        envs: as of `open_environments`; they start new episodes.
        seed: of the episodes and of the draw.
        actor: whose states they are.
        n_states: states, at least 1.
        masked: ask the environments for their action masks.
        teacher: labels the states; one with a memory sees every step of the episodes, in order.
        followed: a student with a memory, whose outputs are noted along the episodes; one without needs no following.
        seen: from the environments' observations to what that student sees.
        max_steps: steps at most, of all environments together, where episodes are long or never end.

    Raises:
        RunFault: where an observation is not finite.
    """
    while True:
        # An episode that a fault had cut short would be another one in what is measured on it.
        n_before = envs.faults.n_restarts
        found = _sample(envs, seed, actor, n_states, masked, _Asked(teacher), Followed(followed, seen), max_steps)
        if envs.faults.n_restarts == n_before:
            return found


def _sample(
    envs: Environments,
    seed: int,
    actor: Actor,
    n_states: int,
    masked: bool,
    labels: _Asked,
    followed: Followed,
    max_steps: int,
) -> StateSample:
    collector, quota = Collector(envs, seed, measured_seed), -(-n_states // envs.n_envs)
    most = max(max_steps // envs.n_envs, quota)
    chunk = -(-quota // N_CHUNKS)
    reservoir = _Reservoir(n_states, np.random.default_rng(purpose_seed(seed, "states")))
    n_done, closed = 0, np.zeros(envs.n_envs, dtype=bool)
    while n_done < most and not closed.all():
        n_more = min(chunk, most - n_done)
        rollout = collector.collect(actor, n_more, True, 0.0, masked=masked, columns=followed.columns)
        n_steps = len(rollout.episode_starts)
        # An episode that begins when there is enough is not looked at; the one before was whole.
        enough = (n_done + np.arange(n_steps) >= quota)[:, None] & rollout.episode_starts
        shut = closed | np.logical_or.accumulate(enough, axis=0)
        reservoir.add(rollout, ~shut.reshape(-1), labels.along(rollout), followed.along(rollout))
        n_done, closed = n_done + n_steps, shut[-1] | (collector.starts & (n_done + n_steps >= quota))
    obs, masks, params, outputs = reservoir.content()
    if params is None:
        params = labels.of(obs, masks, min(reservoir.n_seen, n_states))
    return StateSample(obs, masks, params, reservoir.n_seen, outputs)


class _Asked:
    """Asks a teacher for its labels: along the episodes where it has a memory, else once, for what was drawn."""

    def __init__(self, teacher: Teacher | None) -> None:
        self._teacher = teacher
        self._state: Any = None
        self._remembers: bool | None = None if teacher is not None else False

    def along(self, rollout: Rollout) -> torch.Tensor | None:
        """Return the labels `[T * N, P]` of the next part of the episodes; None for a teacher without a memory."""
        if self._remembers is None:
            first = slice(1)
            labels = self._label(
                take(rollout.obs, first), rollout.episode_starts[first], take(rollout.action_masks, first)
            )
            self._remembers = _is_memory(labels.state)
        if not self._remembers:
            return None
        params, self._state, _ = self._label(rollout.obs, rollout.episode_starts, rollout.action_masks)
        return params.reshape(-1, params.shape[-1])

    def of(self, obs: Any, masks: np.ndarray | None, n_states: int) -> torch.Tensor:
        """Return the labels `[B, P]` of `n_states` states in no order."""
        if self._teacher is None:
            return torch.empty((n_states, 0))
        # Each state as the first of an episode of its own, side by side.
        return self._label(with_axis(obs), np.ones((1, n_states), dtype=bool), with_axis(masks)).params[0]

    def _label(self, obs: Any, episode_starts: np.ndarray, masks: np.ndarray | None) -> Labels:
        assert self._teacher is not None
        return self._teacher.label(obs, episode_starts, self._state, masks)


class _Reservoir:
    """A uniform sample of what passes by, of a fixed size."""

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self.n_seen = 0
        self._capacity = capacity
        self._rng = rng
        self._kept: list[Any] | None = None

    def add(self, rollout: Rollout, kept: np.ndarray, params: torch.Tensor | None, outputs: np.ndarray | None) -> None:
        """Offer the steps of a rollout where `kept` `[T * N]`, with labels and a student's outputs `[T * N, P]`."""
        rows = np.flatnonzero(kept)
        places = np.arange(self.n_seen, self.n_seen + len(rows))
        drawn = self._rng.integers(0, places + 1) if len(places) else places
        slots = np.where(places < self._capacity, places, drawn)
        self.n_seen += len(rows)
        # Of two for one place the later one takes it, as if they had come one by one.
        chosen = {int(slot): int(row) for slot, row in zip(slots, rows, strict=True) if slot < self._capacity}
        if not chosen:
            return
        masks = rollout.action_masks
        flat = [rollout.flat_obs, None if masks is None else masks.reshape(-1, masks.shape[-1]), params, outputs]
        if self._kept is None:
            self._kept = [_room(values, self._capacity) for values in flat]
        to, of = (np.fromiter(numbers, np.int64, len(chosen)) for numbers in (chosen, chosen.values()))
        for kept_values, values in zip(self._kept, flat, strict=True):
            put(kept_values, to, take(values, of))

    def content(self) -> list[Any]:
        """Return observations, masks, labels and outputs of the sample; None for what there is not."""
        assert self._kept is not None, "the first step is always kept"
        return [take(values, slice(min(self.n_seen, self._capacity))) for values in self._kept]


def _is_memory(state: Any) -> bool:
    """Say whether what a teacher hands on holds anything; an ensemble hands on a list of its members'."""
    return any(map(_is_memory, state)) if isinstance(state, list | tuple) else state is not None


def _room(values: Any, n: int) -> Any:
    """Return arrays or tensors `[n, ...]` for rows such as those of `values` `[B, ...]`."""

    def room(array: Any) -> Any:
        shape = (n, *array.shape[1:])
        return array.new_empty(shape) if isinstance(array, torch.Tensor) else np.empty(shape, dtype=array.dtype)

    return map_arrays(room, values)
