"""`policy-distill bench`: how fast a student acts in every runtime that is installed, beside SB3."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from policy_distill.commands.showing.output import Output


@dataclass(frozen=True)
class Bench:
    """Measure latency, throughput, size, memory and cold start of a student, next to Stable-Baselines3's predict.

    Example: policy-distill bench student.safetensors --teacher teacher.zip
    """

    student: Annotated[Path, tyro.conf.Positional]
    """student.safetensors, or a run folder with one."""
    task: str | None = None
    """The task to time, for a student of several tasks: its name, or the id of its environment."""
    teacher: Path | None = None
    """Teacher zip, to time it too."""
    env: str | None = None
    """Environment of the teacher, such as Pendulum-v1 or package:Id-v0, to check that it fits."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment's constructor, such as gravity:-5.0 enable_wind:True; values are Python literals.
    They override those that the policy was trained with."""
    gym_packages: tuple[str, ...] = ()
    """Packages that register environments, imported first; the working folder is searched too."""
    trust: bool = False
    """Load the teacher with SB3's own loading, which runs code from the file."""
    rounds: int = 30
    """How many times each contender is timed; they take turns in one process, with one thread."""
    cold_starts: int = 3
    """New processes to start for each; 0 leaves cold start and memory out."""
    plot: Path | None = None
    """Draw the result as PNG, SVG or PDF."""
    json: Annotated[bool, tyro.conf.arg(help="Print one JSON object on stdout and nothing else.")] = False

    def run(self) -> int:
        """Measure and print; where the student lies in a run folder, its latency goes to the metrics."""
        from policy_distill.benchmark.plot import plot_latencies
        from policy_distill.benchmark.run import run_benchmark
        from policy_distill.commands.options.one_task import alone
        from policy_distill.student.file import in_run_folder
        from policy_distill.teachers.files.zip_file import find_zip

        teacher, teacher_bytes = None, 0
        if self.teacher is not None:
            from policy_distill.environments.names import parse_kwargs, with_packages, working_folder_on_path
            from policy_distill.teachers.sources import load_policy

            zip_path = find_zip(self.teacher)
            working_folder_on_path()
            env, kwargs = with_packages(self.env, self.gym_packages), parse_kwargs(self.env_kwargs)
            teacher = load_policy(zip_path, env, trust=self.trust, env_kwargs=kwargs)
            teacher_bytes = zip_path.stat().st_size
        given = in_run_folder(self.student)
        with alone(given, self.task) as path:
            record = run_benchmark(path, teacher, teacher_bytes, rounds=self.rounds, cold_starts=self.cold_starts)
        record["student"] = str(self.student)
        if self.task is None:
            _log_latency(given.parent / "metrics.jsonl", record)
        else:
            record["task"] = self.task
        if self.plot is not None:
            plot_latencies(record, self.plot)
            record["plot"] = str(self.plot)
        Output(self.json).show(record, list(_rows(record)), HEADER)
        return 0


HEADER = (
    "runtime",
    "act, µs",
    "p99",
    "x SB3",
    "predict, µs",
    "x SB3",
    "obs/s at 8",
    "at 256",
    "at 4,096",
    "bytes",
    "cold start, s",
    "MB",
)


def _rows(record: dict[str, Any]) -> Any:
    for row in record["rows"]:
        speeds = [f"{speed / 1e6:,.2f} M" for speed in row["batches"].values()]
        yield (
            row["name"],
            f"{row['act_us']:,.2f}",
            f"{row['act_p99_us']:,.2f}",
            _ratio(row["act_ratio"]),
            f"{row['predict_us']:,.2f}",
            _ratio(row["predict_ratio"]),
            *speeds,
            "" if row["bytes"] is None else row["bytes"],
            "" if row["cold_start_s"] is None else f"{row['cold_start_s']:.2f}",
            "" if row["memory_mb"] is None else f"{row['memory_mb']:.0f}",
        )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _log_latency(path: Path, record: dict[str, Any]) -> None:
    """Append the latency of the fastest runtime to a run's metrics, where there are any."""
    from policy_distill.student.file import write_atomically
    from policy_distill.tracking.jsonl import read_metrics
    from policy_distill.tracking.metrics import STEP

    rows = read_metrics(path)
    if not rows:
        return
    latency = min(row["act_us"] for row in record["rows"] if not row["name"].startswith("SB3"))
    # A resumed tracker would drop the proof, which a run logs after its last iteration.
    lines = [json.dumps(row) for row in [*rows, {STEP: rows[-1][STEP], "model/latency_us": latency}]]
    write_atomically(path, "\n".join([*lines, ""]).encode())
