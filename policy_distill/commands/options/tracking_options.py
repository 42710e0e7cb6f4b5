"""The options of commands that can log what they measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

TrackName = Annotated[str, tyro.conf.arg(metavar="{offline,online,trackio,disabled,NAME}")]
"""How a command is told what to track by."""


@dataclass(frozen=True)
class Tracking:
    """Where an evaluation is logged, with the job type `evaluate`."""

    track: TrackName = "disabled"
    """Log to Weights & Biases and a metrics.jsonl, in a new folder below `evaluations` here; online goes offline
    without a key. NAME is a tracker of an installed package."""
    project: str | None = None
    """W&B project; by default WANDB_PROJECT, or policy-distill."""
    group: str | None = None
    """W&B group; by default the name of the policy's folder, which is the group of the run that made it."""
    tags: tuple[str, ...] = ()
    """W&B tags."""

    def check(self) -> None:
        """Refuse a tracker that there is not, before anything is measured.

        Raises:
            RequestError: naming those there are.
        """
        if self.track != "disabled":
            from policy_distill.tracking.table import check_track

            check_track(self.track)

    def log(self, policy: Path, record: Mapping[str, Any], rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log as of `track_evaluation`, and say where on stderr."""
        if self.track == "disabled":
            return
        from policy_distill.tracking.evaluation import track_evaluation

        folder = track_evaluation(
            self.track, policy, record, rows, project=self.project, group=self.group, tags=self.tags
        )
        if folder is not None:
            print(f"tracked in {folder}", file=sys.stderr)
