"""What happens once a run is proven: it is filmed where that was asked for, and handed to its sinks.

In: a result. Out: a video, a last row of metrics, and artifacts.
"""

from __future__ import annotations

from typing import Any

from policy_distill.environments.open import without_normalization
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.stages import Tracker
from policy_distill.report.video import try_video
from policy_distill.run.folder import RunFolder
from policy_distill.run.result import DistillResult, final_metrics, latency_us


def hand_over(result: DistillResult, teacher: Teacher, filmed: Any, tracker: Tracker) -> None:
    """Film `filmed`, the environment of a video, and log all that the run came to."""
    if result.out and filmed is not None:
        try_video([teacher, result.student], without_normalization(filmed), RunFolder(result.out).video)
    track_result(result, tracker)


def track_result(result: DistillResult, tracker: Tracker) -> None:
    """Log the proof and the sizes, and hand the student over as an artifact."""
    metrics = {**final_metrics(result.record), "model/latency_us": latency_us(result.student)}
    tracker.log(metrics, result.record.env_steps or 0)
    record = result.record.to_json()
    tracker.summary(record)
    if result.out:
        metadata = {**record["student"], "retention": record["retention"], "env_id": record["env_id"]}
        metadata |= {name: record[name] for name in ("falls", "selection") if name in record}
        tracker.artifact(result.out / "student.safetensors", "student", metadata)
        if (result.out / "video.mp4").exists():
            tracker.artifact(result.out / "video.mp4", "video", {})
