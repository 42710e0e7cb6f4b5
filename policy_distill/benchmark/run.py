"""The whole benchmark of one student: latency, throughput, size, cold start, in one process with one thread.

In: a student file and, where given, a teacher. Out: one JSON record.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from policy_distill.benchmark.cold_start import ColdStart, sb3_start, student_start
from policy_distill.benchmark.contenders import (
    Contender,
    batch_of,
    sb3_contender,
    student_contenders,
    teacher_contender,
)
from policy_distill.benchmark.timing import time_in_turn
from policy_distill.exporters.states import drawn_states
from policy_distill.run.provenance import library_versions
from policy_distill.student.runtime import load_student
from policy_distill.system.nested import take
from policy_distill.system.threads import threads_for

BATCHES = (8, 256, 4096)
SB3_NAMES = ("SB3, student's size", "SB3, teacher")


def run_benchmark(path: Path, teacher: Any, teacher_bytes: int, *, rounds: int, cold_starts: int) -> dict[str, Any]:
    """Return the record; everything is timed with one thread."""
    student = load_student(path, runtime="numpy")
    obs = drawn_states(student, max(BATCHES), 0)
    contenders = student_contenders(student, path.stat().st_size)
    sb3 = sb3_contender(student)
    if sb3 is not None:
        contenders.append(sb3[0])
    if teacher is not None:
        contenders.append(teacher_contender(teacher, teacher_bytes))
    with threads_for():
        rows = _time_all(contenders, obs, rounds)
    one = take(obs, 0)
    starts = _cold_starts(path, contenders, None if sb3 is None else sb3[1], one, cold_starts)
    for row in rows:
        start = starts.get(row["name"])
        row["cold_start_s"] = None if start is None else start.seconds
        row["memory_mb"] = None if start is None else start.megabytes
    architecture = student.description.architecture
    return {
        "student": str(path),
        "network": architecture.spec,
        "n_params": architecture.sizes.n_params,
        "input_shape": architecture.input_shape,
        "rows": _with_ratios(rows),
        "machine": {"processor": _processor(), "python": platform.python_version(), "threads": 1},
        "library_versions": library_versions(),
    }


def _time_all(contenders: list[Contender], obs: Any, rounds: int) -> list[dict[str, Any]]:
    one = take(obs, 0)
    acts = time_in_turn({c.name: _call(c.act, one) for c in contenders}, rounds, 100)
    predicts = time_in_turn({c.name: _call(c.predict, one) for c in contenders}, rounds, 100)
    rows: list[dict[str, Any]] = [
        {
            "name": c.name,
            "act_us": acts[c.name].median_us,
            "act_p99_us": acts[c.name].p99_us,
            "predict_us": predicts[c.name].median_us,
            "predict_p99_us": predicts[c.name].p99_us,
            "bytes": c.n_bytes,
            "batches": {},
        }
        for c in contenders
    ]
    for size in BATCHES:
        batch = batch_of(obs, size)
        # Fewer rounds: one call of thousands of observations is long already.
        found = time_in_turn({c.name: _call(c.predict, batch) for c in contenders}, max(3, rounds // 3), 1)
        for row in rows:
            row["batches"][str(size)] = size / found[row["name"]].median_us * 1e6
    return rows


def _cold_starts(path: Path, contenders: list[Contender], model: Any, one: Any, repeats: int) -> dict[str, ColdStart]:
    if repeats == 0:
        return {}
    found = {c.name: student_start(path, c.name, one, repeats) for c in contenders if c.name not in SB3_NAMES}
    if model is not None:
        found[SB3_NAMES[0]] = sb3_start(model, one, repeats)
    return found


def _with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add how many times faster each acts, and predicts, than SB3 with a network of the student's size."""
    base = next((row["predict_us"] for row in rows if row["name"] == SB3_NAMES[0]), None)
    for row in rows:
        row["act_ratio"] = None if base is None else base / row["act_us"]
        row["predict_ratio"] = None if base is None else base / row["predict_us"]
    return rows


def _call(function: Any, argument: Any) -> Any:
    return lambda: function(argument)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
