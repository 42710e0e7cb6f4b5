"""Weights & Biases as a tracker that never stops or slows a run.

In: metrics, a summary, files. Out: an offline (or online) W&B run in the run folder. All of W&B's work is done in a
thread of its own. Whatever it raises becomes one warning, after which this tracker is silent; `metrics.jsonl` has
everything in any case.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.system.records import dump
from policy_distill.teachers.files.companions import companions_of
from policy_distill.tracking.base import BaseTracker
from policy_distill.tracking.metrics import STEP, check_metric_names
from policy_distill.tracking.settings import RunSettings
from policy_distill.tracking.student_row import COLUMNS, StudentRow, front_table, student_row
from policy_distill.tracking.wandb_thread import RunThread, folders
from policy_distill.tracking.worker import environment

FINISH_SECONDS = 60
"""Longest wait for W&B to write or send what is left, at the end of a run and at the end of the process."""

GRACE_SECONDS = 5
"""Longer than that W&B is waited for to give up by itself."""

MAX_NAME = 128
"""Characters of an artifact's name."""


class WandbTracker(BaseTracker):
    """One W&B run. Use `wandb_start.start` to make one."""

    wants_history = True
    """A resumed distillation tells this run what came before; what W&B knows of that is not sent again."""

    def __init__(
        self,
        thread: RunThread,
        data_folder: Path,
        config: dict[str, Any],
        teacher: Path | None = None,
        student: Path | None = None,
        *,
        gradients: bool = False,
        patience: float = 0.0,
    ) -> None:
        """Take a run that has started, or will; it is waited for `patience` seconds where it must have an id."""
        self._settings = RunSettings.of(config)
        self._thread = thread
        self._patience = patience
        self._folders = folders(data_folder)
        self._teacher = teacher
        self._began_with = student
        self._record: dict[str, Any] = {}
        self._rows: list[StudentRow] = []
        self.wants_gradients = gradients

    @property
    def url(self) -> str | None:
        """Where the run is on the web; None offline."""
        started = self._thread.started
        return str(started.run.url) if started is not None and started.online else None

    _run = property(lambda self: self._thread.run.run)
    _wandb = property(lambda self: self._thread.run.wandb)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics against `time/env_steps`."""
        check_metric_names(metrics)
        row = {STEP: step, **metrics}
        if not self._knows(row):
            self._thread.submit("log", lambda: self._run.log(row))

    def _knows(self, row: Mapping[str, Any]) -> bool:
        """Say whether a resumed run was told this before it stopped, after the checkpoint that it goes on from."""
        started = self._thread.started
        known = {} if started is None else started.known
        last, step = known.get(STEP, -1), row[STEP]
        return step < last or (step == last and all(name in known for name in row))

    def histograms(self, arrays: Mapping[str, Any], step: int) -> None:
        """Log the distribution of each array's values."""
        arrays = dict(arrays)
        if self._knows({STEP: step, **arrays}):
            return

        def log() -> None:
            self._run.log({STEP: step, **{name: self._wandb.Histogram(values) for name, values in arrays.items()}})

        self._thread.submit("histograms", log)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Write the final values, nested ones by their dotted names, and a row of the table of students."""
        self._record = dict(values)
        short = {name: value for name, value in values.items() if name != "episodes"}
        self._thread.submit("summary", lambda: self._run.summary.update(short))
        if "retention" in values and "compression" in values:
            self.students(self._rows or [student_row(self._settings, EvaluationRecord.from_json(self._record))])

    def front(self, record: CompressionRecord) -> None:
        """Name the run's student, which a compression has chosen; the table of students is that of the front."""
        self._settings = replace(self._settings, student=record.winner)
        self._rows = front_table(self._settings, record)
        values = {name: getattr(record, name) for name in ("bar", "minimize", "winner", "proven", "verdict", "advice")}

        def name() -> None:
            self._run.config.update({"student": record.winner}, allow_val_change=True)
            self._run.summary.update(values)

        self._thread.submit("front", name)

    def students(self, rows: Sequence[StudentRow]) -> None:
        """Log the table of students, and the chart of return kept against parameters."""

        def log() -> None:
            table = self._wandb.Table(columns=list(COLUMNS), data=[list(row) for row in rows])
            chart = self._wandb.plot.scatter(table, "params", "retention", title="Return kept against parameters")
            self._run.log({"students": table, "pareto": chart})

        self._thread.submit("students", log)

    def artifact(self, path: Path, kind: str, metadata: Mapping[str, Any]) -> None:
        """Log a file as an artifact; a student after the teacher that it comes from, a video as a video."""
        if kind == "video":
            self._thread.submit("video", lambda: self._run.log({"video": self._wandb.Video(str(path), format="mp4")}))
            return
        metadata = dict(metadata)
        self._thread.submit("artifact", lambda: self._log_artifact(path, kind, metadata))

    def best(self, path: Path, settings: RunSettings, metadata: Mapping[str, Any]) -> None:
        """Give the alias `best` to a student that a run of these settings logged.

        A file that is logged again is the same version for W&B, which then has one more alias, and its artifact's other
        versions no longer have it.
        """

        def log() -> None:
            with environment(self._folders):
                self._log_file(path, "student", settings, metadata, "best")

        self._thread.submit("best", log)

    def sync(self) -> None:
        """Wait until the run has an id, which a checkpoint keeps."""
        self._thread.sync(self._patience)

    def close(self) -> None:
        """Finish the run, within a bounded time."""

        def finish() -> None:
            with environment(self._folders):
                self._run.finish()

        self._thread.close(finish, FINISH_SECONDS + GRACE_SECONDS)

    def _log_artifact(self, path: Path, kind: str, metadata: dict[str, Any]) -> None:
        # What is staged on the way to the log must lie in the run folder, or a copied folder has lost its model.
        with environment(self._folders):
            if kind == "teacher":
                self._run.log_artifact(self._teacher_artifact(path, metadata))
                return
            if kind == "student" and self._teacher is not None:
                metadata["teacher"] = self._use_teacher(self._teacher)
            if kind == "student" and self._began_with is not None:
                metadata["began_with"] = self._use_student(self._began_with)
            self._log_file(path, kind, self._settings, metadata, "latest")

    def _log_file(self, path: Path, kind: str, settings: RunSettings, metadata: Mapping[str, Any], alias: str) -> None:
        name = artifact_name(kind, settings.env_id, settings.student)
        artifact = self._wandb.Artifact(name, type=kind, metadata=dict(metadata))
        artifact.add_file(str(path))
        self._run.log_artifact(artifact, aliases=[alias])

    def _teacher_artifact(self, path: Path, metadata: Mapping[str, Any]) -> Any:
        """Return a teacher as an artifact: the same whether its training logs it or a distillation uses it."""
        digest = str(metadata.get("sha256") or "")[:12]
        name = artifact_name("teacher", self._settings.env_id, digest)
        artifact = self._wandb.Artifact(name, type="teacher", metadata=dict(metadata))
        artifact.add_file(str(path))
        for beside in companions_of(path):
            artifact.add_file(str(beside))
        return artifact

    def _use_student(self, path: Path) -> str:
        """Record the student that this run began with as what it used, and return its artifact's name."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        name = artifact_name("student", self._settings.env_id, "before", digest[:12])
        artifact = self._wandb.Artifact(name, type="student", metadata={"sha256": digest})
        artifact.add_file(str(path))
        (self._run.use_artifact if self._thread.run.online else self._run.log_artifact)(artifact)
        return name

    def _use_teacher(self, path: Path) -> str:
        """Record the teacher as what this run used, and return its artifact's name."""
        facts = dump(self._settings.teacher) if self._settings.teacher else {}
        metadata = {**facts, "env_id": self._settings.env_id, **(self._record.get("teacher") or {})}
        artifact = self._teacher_artifact(path, metadata)
        # Once logged online its name has a version.
        name = str(artifact.name)
        # Offline W&B can log an artifact and cannot use one; `policy-distill sync` makes the link.
        (self._run.use_artifact if self._thread.run.online else self._run.log_artifact)(artifact)
        return name


def artifact_name(kind: str, *parts: Any) -> str:
    """Return a name of the characters that W&B takes."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join([kind, *(str(part) for part in parts if part)]))[:MAX_NAME].strip(
        "-"
    )
