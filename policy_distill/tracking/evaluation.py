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

from policy_distill.evaluation.proof.headline import fall_metrics, retention_metrics
from policy_distill.tracking.table import tracker_maker, with_jsonl

FOLDER = Path("evaluations")
"""Where the folders of evaluations lie, below the working directory."""


def track_evaluation(
    mode: str,
    policy: Path,
    record: Mapping[str, Any],
    rows: Sequence[tuple[int, Mapping[str, float]]],
    *,
    group: str | None = None,
    **arguments: Any,
) -> Path | None:
    """Log what an evaluation measured, and return the folder that it was written to.

    Args:
        mode: as of `tracker_maker`; `disabled` writes nothing and returns None.
        policy: the file that was evaluated; its folder's name is the group where none is given.
        record: the summary.
        rows: environment steps that a student was trained for, and its metrics; one for each student.
        group: W&B group.
        **arguments: of `wandb_start.start`.
    """
    run = policy.resolve().parent.name
    make = tracker_maker(mode, job_type="evaluate", group=group or run or None, **arguments)
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


def evaluation_row(policy: Any, record: Mapping[str, Any], *, who: str) -> tuple[int, dict[str, float]]:
    """Return the step and the metrics of one evaluated policy, or of a comparison where `record` holds one.

    Args:
        policy: a student, a teacher, or what else was evaluated.
        record: with `mean`, or with `teacher`, `student`, `random` and `retention`.
        who: `student` or `teacher`: what `policy` is.
    """
    kept = record.get("retention") or {}
    values = {
        f"eval/{who}_return": record.get("mean"),
        **{f"eval/{name}_return": record[name]["mean"] for name in ("student", "teacher", "random") if name in record},
        **retention_metrics(kept),
        **fall_metrics(record),
        f"model/{who}_params": policy.n_params,
    }
    provenance = policy.metadata.get("provenance") or {}
    metrics = {name: float(value) for name, value in values.items() if value is not None}
    return int(provenance.get("env_steps") or 0), metrics


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
