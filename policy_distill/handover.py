"""What happens once a run is proven: it is filmed where that was asked for, and handed to its sinks.

In: a result. Out: a video, a last row of metrics, and artifacts.
"""

from __future__ import annotations

from typing import Any

from policy_distill.environments import without_normalization
from policy_distill.interfaces import Teacher, Tracker
from policy_distill.report.video import try_video
from policy_distill.result import DistillResult
from policy_distill.run_folder import RunFolder
from policy_distill.tracking.result import track_result


def hand_over(result: DistillResult, teacher: Teacher, filmed: Any, tracker: Tracker) -> None:
    """Film `filmed`, the environment of a video, and log all that the run came to."""
    if result.out and filmed is not None:
        try_video(teacher, result.student, without_normalization(filmed), RunFolder(result.out).video)
    track_result(result, tracker)
