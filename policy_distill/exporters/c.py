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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_distill.errors import RequestError, RunFault
from policy_distill.exporters.c99.program import write_program
from policy_distill.exporters.c99.self_test import CTYPES, raw_rows, self_test
from policy_distill.exporters.parity import Reference
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.student.record import StudentRecord

STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")
CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")


def write(
    student: StudentRecord,
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
    masked = student.takes_action_masks
    monitor = student.description.monitor
    program = write_program(plan, _about(student, quantized), quantized, masked=masked, monitor=monitor)
    path.mkdir()
    (path / "policy.h").write_text(program.header)
    (path / "policy.c").write_text(program.source)
    test = self_test(student, reference, program.obs_type, program.action_type, quantized=quantized is not None)
    (path / "policy_test.c").write_text(test)
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


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions, as the compiled code gives them."""
    plan = student.plan
    library = load_compiled(path)
    header = (path / "policy.h").read_text()
    obs_type, action_type = (_typedef(header, name) for name in ("policy_obs", "policy_action"))
    n_actions = math.prod(plan.action_map.shape)

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        rows = raw_rows(plan, obs, obs_type)
        actions = np.zeros((len(rows), n_actions), action_type)
        masks = None if action_masks is None else np.ascontiguousarray(action_masks, np.uint8)
        for i in range(len(rows)):
            if episode_starts is not None and episode_starts[i]:
                library.policy_reset()
            if masks is None:
                library.policy_act(_address(rows[i]), _address(actions[i]))
            else:
                library.policy_act_masked(_address(rows[i]), _address(masks[i]), _address(actions[i]))
        return actions.reshape(len(rows), *plan.action_map.shape).astype(plan.action_map.dtype)

    return run


def load_compiled(path: Path, flags: tuple[str, ...] = ("-O3",)) -> ctypes.CDLL:
    """Return a folder's code, compiled for this machine; its functions take addresses."""
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/policy.so"
        _call([compiler(), "-std=c99", *flags, "-shared", "-fPIC", str(path / "policy.c"), "-o", library])
        return ctypes.CDLL(library)


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


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


def _sections(path: Path) -> dict[str, Any]:
    """Return the sections of the object for a Cortex-M4, where its compiler is installed."""
    gcc, size = shutil.which("arm-none-eabi-gcc"), shutil.which("arm-none-eabi-size")
    if gcc is None or size is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        _call([gcc, *STRICT, *CORTEX_M4, "-Os", "-c", str(path / "policy.c"), "-o", f"{folder}/policy.o"])
        text, data, bss = _call([size, f"{folder}/policy.o"]).splitlines()[1].split()[:3]
    return {"cortex_m4": {"text": int(text), "data": int(data), "bss": int(bss)}}


def _about(student: StudentRecord, quantized: Mapping[int, QuantizedLayer] | None) -> str:
    origin, architecture = StudentProvenance.of(student.description.provenance), student.description.architecture
    fewest = min((one.bits for one in quantized.values()), default=8) if quantized else 32
    weights = {32: "float", 8: "int8"}.get(fewest, f"int8 and {fewest}-bit")
    return (
        f"Environment: {origin.env_id}. Teacher: {origin.algorithm}. "
        f"Student: {architecture.spec}, {architecture.sizes.n_params} parameters, {weights} weights."
    )


def _typedef(header: str, name: str) -> Any:
    line = next(line for line in header.splitlines() if line.startswith("typedef") and line.endswith(f" {name};"))
    return CTYPES[line.split()[1]]


def _call(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunFault(f"{command[0]} failed:\n{done.stdout}{done.stderr}"[:2000])
    return done.stdout
