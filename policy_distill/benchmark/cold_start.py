"""Cold start: from the start of a process to its first action, and the memory that it has taken by then.

In: Python code that acts once. Out: seconds and megabytes, medians over processes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from policy_distill.errors import RunFault

STUDENT = """\
import numpy, policy_distill
policy = policy_distill.load_student({path!r}, runtime={runtime!r})
policy.act({obs})
"""
SB3 = """\
import numpy
from stable_baselines3 import PPO
policy = PPO.load({path!r}, device="cpu")
policy.predict({obs}, deterministic=True)
"""
MEASURE = """
import pathlib, resource
status = pathlib.Path("/proc/self/status")
if status.exists():
    # Not ru_maxrss there: it starts from what the parent process had.
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    print(float(lines["VmHWM"].split()[0]) * 1024, flush=True)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""
"""Prints the bytes of memory that the process has taken at most."""


@dataclass(frozen=True)
class ColdStart:
    """What a new process costs."""

    seconds: float
    """From before the process starts to after its first action."""
    megabytes: float
    """Largest resident memory."""


def student_start(path: Path, runtime: str, obs: Any, repeats: int) -> ColdStart:
    """Measure `load_student` and one `act`."""
    return _measure(STUDENT, {"path": str(path.resolve()), "runtime": runtime}, obs, repeats)


def sb3_start(model: Any, obs: Any, repeats: int) -> ColdStart:
    """Measure `PPO.load` of a model and one `predict`."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.zip"
        model.save(path)
        return _measure(SB3, {"path": path}, obs, repeats)


def _measure(code: str, names: dict[str, str], obs: Any, repeats: int) -> ColdStart:
    text = code.format(**names, obs=_zeros(obs)) + MEASURE
    found = [_run(text) for _ in range(repeats)]
    return ColdStart(median(one.seconds for one in found), median(one.megabytes for one in found))


def _zeros(obs: Any) -> str:
    """Return code for an observation of zeros of the same shape and type: reading a file would cost memory."""
    if isinstance(obs, dict):
        return "{" + ", ".join(f"{key!r}: {_zeros(value)}" for key, value in obs.items()) + "}"
    return f"numpy.zeros({np.shape(obs)}, {str(np.asarray(obs).dtype)!r})"


def _run(code: str) -> ColdStart:
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    # The first line comes right after the action; leaving the interpreter is not counted.
    line = process.stdout.readline()
    seconds = perf_counter() - began
    _, errors = process.communicate()
    if process.returncode:
        raise RunFault(f"a new process failed to act: {errors.strip().splitlines()[-1:]}")
    return ColdStart(seconds, float(line) / 1e6)
