"""An evaluation or a comparison as a run of the job type `evaluate`, in the same dashboard as what made the student.

In: records as the commands print them. Out: `metrics.jsonl` and the tracker's files in a folder of their own, so that
neither the student's run folder nor its W&B run is touched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from policy_distill.evaluation.proof.headline import proof_metrics
from policy_distill.evaluation.records import ComparisonRecord
from policy_distill.interfaces.policies import Policy
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.tracking.fan_out import with_jsonl
from policy_distill.tracking.table import tracker_maker

Row = tuple[int, dict[str, float]]
"""Environment steps that a policy was trained for, and its metrics."""

FOLDER = Path("evaluations")
"""Where the folders of evaluations lie, below the working directory."""


def track_evaluation(
    mode: str,
    policy: Path,
    record: Mapping[str, Any],
    rows: Sequence[tuple[int, Mapping[str, float]]],
    *,
    project: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
) -> Path | None:
    """Log what an evaluation measured, and return the folder that it was written to.

    Args:
        mode: as of `tracker_maker`; `disabled` writes nothing and returns None.
        policy: the file that was evaluated; its folder's name is the group where none is given.
        record: the summary.
        rows: environment steps that a student was trained for, and its metrics; one for each student.
        project: W&B project.
        group: W&B group.
        tags: W&B tags.
    """
    run = policy.resolve().parent.name
    make = tracker_maker(mode, project=project, group=group or run or None, job_type="evaluate", tags=tags)
    if make is None:
        return None
    folder = _new_folder(f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_.]+', '-', run)}")
    known = ("env_id", "seed", "n_episodes", "policy", "student_file", "deterministic")
    config = {"policy": str(policy), **{name: record[name] for name in known if name in record}}
    with closing(with_jsonl(make(folder, config), folder / "metrics.jsonl")) as tracker:
        for step, metrics in rows:
            tracker.log(metrics, step)
        tracker.summary({name: value for name, value in record.items() if name not in ("returns", "lengths")})
    return folder


def evaluation_row(policy: Policy, mean: float | None, *, who: str) -> Row:
    """Return the row of one evaluated policy.

    Args:
        policy: a student, a teacher, or what else was evaluated.
        mean: its mean return.
        who: `student` or `teacher`: what `policy` is.
    """
    return _row(policy, {f"eval/{who}_return": mean, f"model/{who}_params": policy.n_params})


def comparison_row(student: Policy, record: ComparisonRecord) -> Row:
    """Return the row of a student that was compared with its teacher."""
    played = {"student": record.student, "teacher": record.teacher, "random": record.random}
    returns = {f"eval/{name}_return": one.returns.mean for name, one in played.items() if one is not None}
    sizes = {"model/student_params": student.n_params}
    return _row(student, {**returns, **proof_metrics(record), **sizes})


def _row(policy: Policy, values: Mapping[str, float | None]) -> Row:
    origin = StudentProvenance.of(policy.metadata.get("provenance"))
    metrics = {name: float(value) for name, value in values.items() if value is not None}
    return int(origin.env_steps or 0), metrics


def _new_folder(name: str) -> Path:
    """Make a folder that was not there: two evaluations may begin in the same second."""
    for number in range(1, 1000):
        folder = FOLDER / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"no free name for {name} in {FOLDER}")
