"""The training of a teacher in the same sinks as its students: `metrics.jsonl` beside the zip, and a dashboard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from policy_distill.interfaces.stages import Tracker
from policy_distill.tracking.fan_out import with_jsonl
from policy_distill.tracking.table import tracker_maker


@contextmanager
def tracked(
    mode: str,
    zip_path: Path,
    env_id: str,
    settings: dict[str, Any],
    *,
    project: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
) -> Iterator[Tracker | None]:
    """Give a tracker for a training, and log the zip as an artifact once it is written.

    Args:
        mode: as of `tracker_maker`; `disabled` gives None.
        zip_path: where the teacher will be written; the sinks' files lie beside it.
        env_id: the environment.
        settings: of the training.
        project: W&B project.
        group: W&B group.
        tags: W&B tags.
    """
    make = tracker_maker(mode, project=project, group=group, job_type="train", tags=tags)
    if make is None:
        yield None
        return
    folder = zip_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    sink = make(folder, {"env_id": env_id, **settings})
    with closing(with_jsonl(sink, folder / "metrics.jsonl")) as tracker:
        yield tracker
        if zip_path.is_file():
            digest = hashlib.sha256(zip_path.read_bytes()).hexdigest()
            tracker.artifact(zip_path, "teacher", {**settings, "env_id": env_id, "sha256": digest})
