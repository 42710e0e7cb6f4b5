"""What a run came to, in its sinks: the proof, the sizes, and the student's file."""

from __future__ import annotations

from policy_distill.interfaces import Tracker
from policy_distill.result import DistillResult, final_metrics, latency_us


def track_result(result: DistillResult, tracker: Tracker) -> None:
    """Log the proof and the sizes, and hand the student over as an artifact."""
    record = result.evaluation
    metrics = {**final_metrics(record), "model/latency_us": latency_us(result.student)}
    tracker.log(metrics, record["env_steps"])
    tracker.summary(record)
    if result.out:
        metadata = {**record["student"], "retention": record["retention"], "env_id": record["env_id"]}
        metadata |= {name: record[name] for name in ("falls", "selection") if name in record}
        tracker.artifact(result.out / "student.safetensors", "student", metadata)
        if (result.out / "video.mp4").exists():
            tracker.artifact(result.out / "video.mp4", "video", {})
