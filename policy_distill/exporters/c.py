"""`c`: a folder with `policy.h`, `policy.c`, a self-test and the record; C99 that needs no library.

In: a student. Out: the folder, its flash and RAM in bytes, and its actions, by a compiler of this machine.
"""

from __future__ import annotations

import ctypes
import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters.c_parts import array
from policy_distill.exporters.c_source import Program, write_program
from policy_distill.exporters.parity import TOLERANCE, Reference, action_span
from policy_distill.exporters.quantize import TWIN_DIFFERENCE
from policy_distill.exporters.states import take
from policy_distill.plan import Plan
from policy_distill.quantization import QuantizedLayer
from policy_distill.runtime import Student

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
N_RECORDED = 32
"""Observations that the self-test holds."""
CTYPES = {"float": np.float32, "double": np.float64, "uint8_t": np.uint8, "int32_t": np.int32}

SELF_TEST = """\
/* Self-test: the actions that the Python student chose, recorded.
 *
 *     cc -std=c99 -O2 policy.c policy_test.c -o policy_test && ./policy_test
 */
#include <stdio.h>

#include "policy.h"

#define N_RECORDED {n}

{observations}
{actions}
{tolerances}
int main(void) {{
    int wrong = 0;
    for (int n = 0; n < N_RECORDED; n++) {{
        policy_action action[POLICY_N_ACTIONS];
        policy_reset();
        policy_act(recorded_obs + n * POLICY_N_OBS, action);
        for (int k = 0; k < POLICY_N_ACTIONS; k++) {{
            const double d = (double)action[k] - (double)recorded_action[n * POLICY_N_ACTIONS + k];
            if (d > tolerance[k] || d < -tolerance[k]) {{
                wrong++;
                break;
            }}
        }}
    }}
    printf("%d of %d recorded actions are equal\\n", N_RECORDED - wrong, N_RECORDED);
    return wrong != 0;
}}
"""


def write(
    student: Student,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the folder; return its size in bytes of flash and RAM.

    Raises:
        RequestError: where no C compiler is installed, without which nothing can be checked.
    """
    plan = student.plan
    compiler()
    program = write_program(plan, _about(student, quantized is not None), quantized)
    path.mkdir()
    (path / "policy.h").write_text(program.header)
    (path / "policy.c").write_text(program.source)
    (path / "policy_test.c").write_text(_self_test(student, reference, program, quantized is not None))
    (path / "policy.json").write_text(json.dumps(record, indent=2) + "\n")
    return {"flash_bytes": program.flash_bytes, "ram_bytes": program.ram_bytes, **_sections(path)}


def run_self_test(path: Path) -> None:
    """Compile without a warning and run the self-test.

    Raises:
        RunFault: with what the compiler or the test said.
    """
    with tempfile.TemporaryDirectory() as folder:
        _call(
            [compiler(), *STRICT, "-O2", *(str(path / f) for f in ("policy.c", "policy_test.c")), "-o", f"{folder}/t"]
        )
        _call([f"{folder}/t"])


def open_artefact(student: Student, path: Path) -> Callable[[Any], np.ndarray]:
    """Return the function from a batch of raw observations to executed actions, as the compiled code gives them."""
    plan = student.plan
    act = load_compiled(path)
    header = (path / "policy.h").read_text()
    obs_type, action_type = (_typedef(header, name) for name in ("policy_obs", "policy_action"))
    n_actions = math.prod(plan.action_map.shape)

    def run(obs: Any) -> np.ndarray:
        rows = raw_rows(plan, obs, obs_type)
        actions = np.zeros((len(rows), n_actions), action_type)
        for row, action in zip(rows, actions, strict=True):
            act(row.ctypes.data, action.ctypes.data)
        return actions.reshape(len(rows), *plan.action_map.shape).astype(plan.action_map.dtype)

    return run


def load_compiled(path: Path, flags: tuple[str, ...] = ("-O3",)) -> Any:
    """Return `policy_act` of a folder, compiled for this machine, as a function of two addresses."""
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/policy.so"
        _call([compiler(), "-std=c99", *flags, "-shared", "-fPIC", str(path / "policy.c"), "-o", library])
        act = ctypes.CDLL(library).policy_act
    act.argtypes, act.restype = [ctypes.c_void_p, ctypes.c_void_p], None
    return act


def raw_rows(plan: Plan, obs: Any, dtype: Any) -> np.ndarray:
    """Return a batch of raw observations as the code takes them: one flat row each, Dict keys side by side."""
    parts = plan.featurizer.parts
    arrays = [np.asarray(obs[part.key] if isinstance(obs, dict) else obs) for part in parts]
    return np.ascontiguousarray(np.concatenate([a.reshape(len(a), -1) for a in arrays], axis=1).astype(dtype))


def compiler() -> str:
    """Return the C compiler of this machine.

    Raises:
        RequestError: where there is none.
    """
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise RequestError(
            "expected a C compiler (cc) to check the exported code with, found none; install gcc or clang"
        )
    return found


def _self_test(student: Student, reference: Reference, program: Program, quantized: bool) -> str:
    plan = student.plan
    # Ties may fall either way on another machine, so they are not recorded.
    kept = np.flatnonzero(reference.margins > 1e-3)[:N_RECORDED]
    kept = kept if len(kept) else np.arange(min(N_RECORDED, len(reference.actions)))
    rows = raw_rows(plan, take(reference.obs, kept), CTYPES[program.obs_type])
    actions = reference.actions[kept].reshape(len(kept), -1)
    exact = plan.action_map.kind == "index"
    used = np.ptp(reference.actions.reshape(len(reference.actions), -1), axis=0)
    # A student may hardly move its action: what passes for the same here is what passed the check against it.
    least = TWIN_DIFFERENCE if quantized else TOLERANCE
    span = np.maximum(1e-4 * used, least * action_span(student, reference.actions))
    tolerances = np.zeros(actions.shape[1]) if exact else span
    number = {"uint8_t": "uint8_t", "double": "double", "float": "float"}
    return SELF_TEST.format(
        n=len(kept),
        observations=array("recorded_obs", rows, number[program.obs_type]),
        actions=array("recorded_action", actions, program.action_type),
        tolerances=array("tolerance", tolerances, "double"),
    )


def _sections(path: Path) -> dict[str, Any]:
    """Return the sections of the object for a Cortex-M4, where its compiler is installed."""
    gcc, size = shutil.which("arm-none-eabi-gcc"), shutil.which("arm-none-eabi-size")
    if gcc is None or size is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        _call([gcc, *STRICT, *CORTEX_M4, "-Os", "-c", str(path / "policy.c"), "-o", f"{folder}/policy.o"])
        text, data, bss = _call([size, f"{folder}/policy.o"]).splitlines()[1].split()[:3]
    return {"cortex_m4": {"text": int(text), "data": int(data), "bss": int(bss)}}


def _about(student: Student, quantized: bool) -> str:
    provenance, architecture = student.metadata["provenance"], student.metadata["architecture"]
    weights = "int8" if quantized else "float"
    return (
        f"Environment: {provenance.get('env_id')}. Teacher: {provenance.get('algorithm')}. "
        f"Student: {architecture['spec']}, {architecture['n_params']} parameters, {weights} weights."
    )


def _typedef(header: str, name: str) -> Any:
    line = next(line for line in header.splitlines() if line.startswith("typedef") and line.endswith(f" {name};"))
    return CTYPES[line.split()[1]]


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFault(f"{command[0]} failed:\n{done.stdout}{done.stderr}"[:2000])
    return done.stdout
