"""Writes a student in another form, checked before it is there.

In: a student and a format. Out: an artefact whose executed actions were compared with the student's, or an error and
no file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.environments.choice import for_policy
from policy_distill.environments.names import with_kwargs
from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters import states
from policy_distill.exporters.artefact_record import ExportResult, make_record
from policy_distill.exporters.c import run_self_test
from policy_distill.exporters.input_dtype import graph_settings
from policy_distill.exporters.parity import Parity, Reference, compare_actions, reference_for, under_masks
from policy_distill.exporters.place import bytes_of, check_target, move
from policy_distill.exporters.quantize import (
    Layers,
    acts_as_twin,
    check_method,
    loss_report,
    quantize_student,
    require_form,
    twin_reference,
)
from policy_distill.exporters.table import FORMATS, find_format, load_exporter
from policy_distill.exporters.web.scene import make_scene
from policy_distill.interfaces.students import Exporter, Run
from policy_distill.student.runtime import Student, load_student

N_STATES = 2048
"""Visited states that an artefact is checked on."""
N_READ_BACK = 16
"""States that a finished artefact is tried on."""
MASK_SEED = 1
"""Of the masks that it is checked under."""


def export(
    student: Student | str | Path,
    path: str | Path,
    format: str,
    *,
    quantize: str | None = None,
    env: Any = None,
    n_states: int = N_STATES,
    episodes: int = 100,
    seed: int = 0,
    overwrite: bool = False,
    input_dtype: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    opset: int | None = None,
) -> ExportResult:
    """Write a student as a deployable artefact and check that it acts the same.

    Args:
        student: as of `load_student`, its path, or the `student` of a distillation.
        path: the file, or for c and numpy the folder, to write.
        format: onnx, c, numpy, torchscript, sb3 or web, or the format of an installed package.
        quantize: `int8` for weights and activations in eight bits, calibrated on states that the student visits, or
            `int8-trained`, which trains through the rounding first; onnx and c. With `int4` and `ternary` the weights
            after the first layer have four bits or three values, packed. The path of a `layers.safetensors` of
            `compress` takes the layers from there. Such an artefact is compared with the same arithmetic in NumPy, and
            what it loses against the float student is reported.
        env: where the states come from that it is checked on; by default the environment that it was distilled in, or,
            where that is not registered here, the observation space.
        n_states: states that the student visits; hostile ones come on top.
        episodes: episodes that the return of an eight-bit artefact is measured on.
        seed: the episodes' seed.
        overwrite: replace what is at `path`.
        input_dtype: of onnx, the type of inputs whose space has float64, `float32` or `float64`; see `input_dtype.py`.
        env_kwargs: arguments of the environment's constructor, before those that the student was distilled with.
        opset: of onnx, the version of its operators, such as 15 for Unity; by default 17, and a later one for packed
            weights.

    Raises:
        RequestError: for an unknown format, one that cannot hold this student, or a path that cannot be written.
        RunFault: where the artefact acts otherwise than it should; nothing is written.
    """
    student = load_student(student) if isinstance(student, str | Path) else student
    check_target(Path(path), find_format(format), overwrite)
    _check_request(student, format, quantize, n_states, episodes)
    made_as = graph_settings(student.record, format, input_dtype, opset)
    wanted = _Wanted(format, quantize, made_as, n_states, episodes, seed)
    return _export(Student.of(student.record, "numpy"), Path(path), wanted, env, env_kwargs)


@dataclass(frozen=True)
class _Wanted:
    """What was asked for, as of `export`."""

    format: str
    quantize: str | None
    made_as: dict[str, Any]
    n_states: int
    episodes: int
    seed: int


def _export(
    student: Student, path: Path, wanted: _Wanted, env: Any, env_kwargs: Mapping[str, Any] | None
) -> ExportResult:
    found, exporter = find_format(wanted.format), load_exporter(wanted.format)
    env = for_policy(env, student, env_kwargs) if env is not None else with_kwargs(states.own_env(student), env_kwargs)
    reference, source = reference_for(student, env, wanted.n_states, wanted.seed)
    layers, expected, loss = None, reference, None
    if wanted.quantize is not None:
        layers, expected = _in_eight_bits(student, wanted.quantize, reference, env, wanted.n_states, wanted.seed)
    with tempfile.TemporaryDirectory() as folder:
        draft, final = (Path(folder) / f"{name}{found.suffix}" for name in ("draft", "final"))
        record = wanted.made_as | make_record(student.record, wanted.format, None, None)
        if found.scene:
            record["scene"] = make_scene(student, env)
        exporter.write(student.record, draft, record, expected, layers)
        run = exporter.open_artefact(student.record, draft)
        parity = _check(student, wanted.format, expected, run, source, quantized=layers is not None)
        if layers is not None:
            measured = {"method": str(wanted.quantize), "env": env, "n_episodes": wanted.episodes, "seed": wanted.seed}
            loss = loss_report(student, layers, reference, run, **measured)
        record |= make_record(student.record, wanted.format, parity, loss)
        facts = exporter.write(student.record, final, record, expected, layers)
        _read_back(exporter, student, final, expected, run)
        move(final, path)
    return ExportResult(path, wanted.format, bytes_of(path), parity, facts, loss)


def _read_back(exporter: Exporter, student: Student, path: Path, expected: Reference, run: Run) -> None:
    """Open what is handed over, its record included, and act: it must do what the draft did that was checked."""
    first = expected.first(N_READ_BACK)
    if not np.array_equal(first.actions_of(exporter.open_artefact(student.record, path)), first.actions_of(run)):
        raise RunFault("the artefact acts differently once its record is added; nothing was written")
    if (path / "policy_test.c").exists():
        run_self_test(path)


def _in_eight_bits(
    student: Student, method: str, reference: Reference, env: Any, n_states: int, seed: int
) -> tuple[Layers, Reference]:
    """Return the layers in eight bits and what their arithmetic does on the states of `reference`."""
    # Calibrated on other episodes than those that the loss is measured on.
    calibration, _ = states.collect_states(student, env, n_states, seed + 1)
    layers = quantize_student(student, calibration, method, seed)
    return layers, twin_reference(student.record, layers, reference)


def _check_request(student: Student, format: str, quantize: str | None, n_states: int, episodes: int) -> None:
    if n_states < 1 or episodes < 0:
        raise RequestError(f"expected at least 1 state and at least 0 episodes, found {n_states} and {episodes}")
    if not all(np.isfinite(array).all() for array in student.tensors.values()):
        raise RequestError("expected a student with finite weights, found some that are not; distil it again")
    if student.plan.memory.size and not find_format(format).memory:
        able = ", ".join(name for name, one in FORMATS.items() if one.memory)
        raise RequestError(
            f"expected a format for a student with a memory ({able}), found {format}; choose one of these"
        )
    if quantize is not None:
        check_method(quantize, format)
        require_form(student)


def _check(student: Student, format: str, expected: Reference, run: Run, source: str, *, quantized: bool) -> Parity:
    """Compare an artefact with what it should do, under action masks too where both know them."""
    parity = _compare(student, expected, expected.actions_of(run), source, quantized)
    checked = [parity]
    if student.takes_action_masks and find_format(format).masks:
        masked = under_masks(student.record, expected, MASK_SEED)
        checked.append(_compare(student, masked, masked.actions_of(run), source, quantized))
        parity = replace(parity, masked_agreement=checked[-1].agreement)
    for one in checked:
        if not one.passed:
            raise RunFault(
                f"the {format}{' int8' if quantized else ''} artefact acts differently than it should on "
                f"{1 - one.agreement:.2%} of {one.n_visited + one.n_hostile} states (largest difference "
                f"{one.max_difference:.2g} of the action range); nothing was written"
            )
    return parity


def _compare(student: Student, expected: Reference, actions: np.ndarray, source: str, quantized: bool) -> Parity:
    parity = compare_actions(student.record, expected, np.asarray(actions), source)
    return replace(parity, passed=acts_as_twin(student.record, expected, actions)) if quantized else parity
