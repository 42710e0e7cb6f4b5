"""An eight-bit artefact: its layers, what it should do, and what it loses against the float student.

In: a student and states that it visits. Out: `QuantizedLayer`s, a `Reference` for the artefact, and a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.errors import RequestError
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.exporters.layers_file import LAYERS, SUFFIX, load_layers
from policy_distill.exporters.parity import TWIN_DIFFERENCE, Reference, action_span, reference_from_scores
from policy_distill.exporters.table import FORMATS, find_format
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.low_bit import BITS
from policy_distill.student.bits.quantization import QuantizedLayer, compile_quantized, n_bytes, quantize_plan
from policy_distill.student.layers import beside
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.system.nested import count

METHODS = ("int8", "int8-trained", *BITS)
"""Rounded as it is, or trained through the rounding first; with fewer bits after the first layer always trained."""
TRAINING_STEPS = 3000
TWIN_AGREEMENT = 0.99
"""Least share of visited states where an artefact acts as its NumPy twin; runtimes fuse layers, and round otherwise."""

Layers = Mapping[int, QuantizedLayer]


def check_method(method: str, format: str) -> None:
    """Check what was asked for.

    Raises:
        RequestError: for an unknown method, or a format that has no eight bits.
    """
    if method.endswith(SUFFIX):
        _, method = load_layers(method)
    if method not in METHODS:
        raise RequestError(f"expected --quantize {', '.join(METHODS)}, or a {LAYERS} of compress, found {method!r}")
    if not find_format(format).quantizes:
        able = ", ".join(name for name, one in FORMATS.items() if one.quantizes)
        raise RequestError(f"expected a format with eight-bit weights ({able}), found {format}; leave out --quantize")
    if method in BITS and not FORMATS[format].packs:
        able = ", ".join(name for name, one in FORMATS.items() if one.packs)
        raise RequestError(f"expected a format with packed weights ({able}), found {format}; use --quantize int8")


def require_form(student: Student) -> None:
    """Raise for a student that has no form in few bits: one with a memory, and a tree.

    Raises:
        RequestError: saying so.
    """
    if student.plan.memory.size:
        kind = student.description.architecture.spec
        raise RequestError(f"expected a student without a memory for few bits, found {kind}; leave out --quantize")
    if not any("weight" in layer for layer in student.plan.layers):
        raise RequestError("expected a network to write in few bits, found a tree; leave out --quantize")


def quantize_student(student: Student, obs: Any, method: str, seed: int) -> Layers:
    """Return the layers in eight bits or fewer, calibrated (and trained, where asked for) on visited `obs`.

    Those of a file are returned as they are.

    Raises:
        RequestError: for a student that has no such form, or layers of another one.
    """
    plan, obs = student.plan, student.view.narrow(obs)
    require_form(student)
    if method.endswith(SUFFIX):
        return _of_file(student, method)
    if any(beside(layer) for layer in plan.layers):
        raise RequestError(
            "expected a student of vectors or of one image for weights in few bits, found one of both; leave out "
            "--quantize"
        )
    features = plan.featurizer(obs)
    if method in BITS:
        from policy_distill.exporters.quantized_training import mode_loss
        from policy_distill.training.shrinking.low_bit import train_plan

        return train_plan(plan, features, mode_loss(plan, student.network_outputs(obs)), method, seed=seed)
    rounded = quantize_plan(plan, features)
    if method == "int8":
        return rounded
    from policy_distill.exporters.quantized_training import train_through_quantizer

    outputs = student.network_outputs(obs)
    trained = quantize_plan(plan, features, train_through_quantizer(plan, features, outputs, TRAINING_STEPS, seed))
    # Training may have nothing to mend, and then only adds noise.
    expected = plan.actions(outputs)
    kept = [
        _agreement(student.record, expected, plan.actions(compile_quantized(plan, layers)(features)), len(expected))
        for layers in (rounded, trained)
    ]
    return trained if kept[1] > kept[0] else rounded


def _of_file(student: Student, path: str) -> Layers:
    layers, _ = load_layers(path)
    plan = student.plan
    shapes = {
        place: plan.tensors[layer["weight"]].shape for place, layer in enumerate(plan.layers) if "weight" in layer
    }
    if {place: one.weight.shape for place, one in layers.items()} != shapes:
        raise RequestError(f"expected the layers of this student in {path}, found those of another one")
    return layers


def twin_reference(student: StudentRecord, layers: Layers, reference: Reference) -> Reference:
    """Return what the NumPy twin of an eight-bit artefact does on the states of `reference`."""
    outputs = compile_quantized(student.plan, layers)(student.plan.featurizer(reference.obs))
    return reference_from_scores(student, reference.obs, student.plan.head.scores(outputs), reference.n_visited)


def acts_as_twin(student: StudentRecord, twin: Reference, actions: np.ndarray) -> bool:
    """Say whether an artefact computes what its twin does, on the visited states."""
    return _agreement(student, twin.actions, actions, twin.n_visited) >= (
        TWIN_AGREEMENT if student.plan.action_map.kind == "index" else 1.0 - TWIN_DIFFERENCE
    )


def loss_report(
    student: Student,
    layers: Layers,
    reference: Reference,
    run: Run,
    *,
    method: str,
    env: Any,
    n_episodes: int,
    seed: int,
) -> dict[str, Any]:
    """Return what eight bits cost: agreement on held-out visited states, return kept on paired seeds, bytes.

    `run` is the artefact on a batch of raw observations. Without an environment the return is None.
    """
    kept = None
    if env is not None and n_episodes > 0:
        found = compare_policies(student, _Running(student, run), env, ProofPlan(n_episodes, seed))
        kept = {**found.retention.to_json(), "n_episodes": n_episodes}
        kept |= {"float_return": found.teacher.mean, "int8_return": found.student.mean}
    return {
        "method": method,
        "agreement": _agreement(student.record, reference.actions, run(reference.obs), reference.n_visited),
        "return_kept": kept,
        "bytes": n_bytes(layers),
        "float_bytes": student.description.architecture.sizes.n_bytes,
    }


def _agreement(student: StudentRecord, expected: np.ndarray, actions: np.ndarray, n: int) -> float:
    """Return the share of equal actions among the first `n`, or 1 less the mean difference as a share of the range."""
    expected, actions = expected[:n].reshape(n, -1), actions[:n].reshape(n, -1)
    if student.plan.action_map.kind == "index":
        return float((expected == actions).all(axis=1).mean())
    difference = np.abs(actions.astype(np.float64) - expected) / action_span(student, expected)
    return float(1.0 - difference.mean())


class _Running(PolicyDefaults):
    """An artefact as a policy."""

    def __init__(self, student: Student, run: Run) -> None:
        self.observation_space, self.action_space = student.observation_space, student.action_space
        self.takes_action_masks, self.own_wrappers = student.takes_action_masks, student.own_wrappers
        self._run = run

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return the artefact's actions for a batch."""
        assert count(observation) > 0
        return self._run(observation, action_masks), state
