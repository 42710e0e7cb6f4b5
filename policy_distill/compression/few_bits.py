"""Students whose weights have few bits, as candidates beside the float ones: only where bytes are made small.

In: finalists of the float search, and states that they visit. Out: further finalists, named `mlp:4@int4`, which act by
the arithmetic of the exported C (`student/quantization.py`), so that this is what is judged and proven.

The file of such a student is that of its float parent, with the layers in few bits beside it (`layers.safetensors`):
`export --quantize layers.safetensors` writes what was proven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from policy_distill.collection.state_sample import sample_states
from policy_distill.compression.border import Finalist
from policy_distill.compression.judge import Judge
from policy_distill.compression.looks import settled
from policy_distill.errors import RequestError
from policy_distill.exporters.quantize import quantize_student
from policy_distill.interfaces.policies import State
from policy_distill.interfaces.students import Engine
from policy_distill.run.stream import Stream
from policy_distill.student.bits.quantization import QuantizedLayer, compile_quantized, n_bytes
from policy_distill.student.engines.numpy_engine import one_of_a_batch
from policy_distill.student.plan import Plan
from policy_distill.student.runtime import Student

METHODS = {"int8": "int8-trained", "int4": "int4", "ternary": "ternary"}
"""By the name of a candidate, how its weights are rounded and trained through the rounding."""

N_NETWORKS = 3
"""Networks that are tried in few bits: the cheapest that keep enough in float."""

N_STATES = 4_000
"""States that a student visits, on which it is trained through the rounding."""

Layers = Mapping[int, QuantizedLayer]


class FewBits(Student):
    """A student that acts by the arithmetic of few bits; what it saves is its float parent."""

    def __init__(self, parent: Student, layers: Layers, method: str) -> None:
        self._take(parent.record, "numpy")
        self.layers = layers
        self.method = method
        """A key of `METHODS`."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled with its layers."""
        return FewBits, (Student(self.tensors, self.metadata), self.layers, self.method)

    def from_elsewhere(self, provenance: Mapping[str, Any]) -> FewBits:
        """Return the same student with another origin, and without a proof."""
        return FewBits(Student.of(self.record.said_of(provenance, None)), self.layers, self.method)

    @cached_property
    def _engine(self) -> Engine:
        return _Engine(self.plan, self.layers)


class _Engine:
    name = "numpy"

    def __init__(self, plan: Plan, layers: Layers) -> None:
        self._plan, self._forward = plan, compile_quantized(plan, layers)

    def outputs(self, obs: Any) -> np.ndarray:
        return self._forward(self._plan.featurizer(obs))

    def step(self, obs: Any, state: State) -> tuple[np.ndarray, State]:
        return self.outputs(obs), state

    def make_act(self, memory: np.ndarray) -> Any:
        return one_of_a_batch(self._plan, self, memory)


def in_few_bits(
    finalists: Sequence[Finalist], stream: Stream, judge: Judge, bar: float, say: Callable[[str], None]
) -> list[Finalist]:
    """Return further finalists: the cheapest that keep enough, with weights of few bits, where that is smaller.

    A budget that is used up ends the search; the states that are visited count as choosing.
    """
    found: list[Finalist] = []
    for one in [one for one in finalists if one.kept.share >= bar][:N_NETWORKS]:
        for number, name in enumerate(METHODS):
            seed = (stream.config.seed + 104_729 * (number + 1)) % 2**29
            if judge.exhausted:
                return found
            actor = stream.sight.student(one.student)
            sample = sample_states(stream.envs, seed, actor, N_STATES, masked=stream.masked)
            judge.env_steps += sample.n_steps
            try:
                with stream.watch.timed("train"):
                    layers = quantize_student(one.student, stream.sight.seen(sample.obs), METHODS[name], seed)
            except RequestError:
                continue
            student, size = FewBits(one.student, layers, name), n_bytes(layers)
            if size >= one.candidate.n_bytes:
                # Of a few weights the steps take more than is saved.
                continue
            with stream.watch.timed("evaluate"):
                kept = settled(judge, student, bar)
            spec = f"{one.candidate.spec}@{name}"
            candidate = replace(one.candidate, spec=spec, n_bytes=size, cost=float(size))
            found.append(Finalist(candidate, student, None, kept, one.env_steps, one.tuned))
            say(f"{spec}: {size} bytes keep {kept.share:.3f} ± {kept.error:.3f}")
    return found
