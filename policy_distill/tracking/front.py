"""The students on a compression's front: a tracked run for each, in the group of the winner's, which has the table.

In: `compression.json` and how the run was tracked. Out: runs in `students/<spec>`, each with its sizes, its proof and
its file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from policy_distill.evaluation.parts.front_record import CompressionRecord, FrontRecord
from policy_distill.evaluation.proof.headline import proof_metrics
from policy_distill.system.records import dump
from policy_distill.tracking.base import BaseTracker, as_tracker
from policy_distill.tracking.table import Named
from policy_distill.tracking.worker import environment

LOG = logging.getLogger("policy_distill")

OF_ONE = ("WANDB_NAME", "WANDB_RUN_ID")
"""What the environment says of one run: the winner's."""


def track_front(make: Any, out: Path, identity: Mapping[str, Any], record: CompressionRecord) -> None:
    """Log every student on the front but the winner, whose run the folder's own is.

    Args:
        make: how the folder's run was tracked; trackers that are not chosen by name have no further runs.
        out: the run folder.
        identity: the settings of the run.
        record: what the compression found.
    """
    if not isinstance(make, Named):
        return
    beside = make.grouped(out)
    for point in record.front or ():
        folder = out / "students" / str(point.spec)
        if point.spec == record.winner or not folder.is_dir():
            continue
        try:
            with environment(dict.fromkeys(OF_ONE)):
                tracker = beside(folder, {**identity, "student": point.spec})
            if tracker is None:
                return
            with closing(as_tracker(tracker)) as sink:
                _log(sink, folder / "student.safetensors", str(identity.get("env_id")), point, record)
        except Exception as error:
            LOG.warning("the front is tracked up to %s (%s)", point.spec, " ".join(str(error).split())[:300])
            return


def front_metrics(point: FrontRecord, record: CompressionRecord) -> dict[str, float]:
    """Return the metrics of a student on the front; one that was not tested has none of a proof."""
    teacher = record.teacher.n_params if record.teacher else None
    values = {
        **(proof_metrics(point) if point.tested else {}),
        "eval/selection_retention": point.chosen_by.share if point.chosen_by else None,
        "model/student_params": point.n_params,
        "model/student_bytes": point.n_bytes,
        "model/student_macs": point.macs,
        "model/teacher_params": teacher,
        "model/compression": None if teacher is None else teacher / max(point.n_params or 0, 1),
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def _log(sink: BaseTracker, file: Path, env_id: str, point: FrontRecord, record: CompressionRecord) -> None:
    sizes = {"n_params": point.n_params, "n_bytes": point.n_bytes, "macs": point.macs}
    found = dump(point)
    proof = {name: found[name] for name in ("retention", "falls") if point.tested}
    standing = {"verdict": point.verdict, "tested": point.tested, "chosen_by": found["chosen_by"]}
    sink.log(front_metrics(point, record), int(point.env_steps or 0))
    sink.summary({"env_id": env_id, "student": sizes, "bar": record.bar, **standing, **proof})
    sink.artifact(file, "student", {**sizes, **standing, **proof, "env_id": env_id})
