"""The names of all metrics, with what they mean; the same in `metrics.jsonl` and on a dashboard."""

from __future__ import annotations

import re
from collections.abc import Iterable

STEP = "time/env_steps"

METRICS = {
    STEP: "environment steps collected for training",
    "rollout/student_return": "mean return of the last 100 episodes collected",
    "rollout/teacher_return": "mean return of the last 100 episodes of a teacher in training",
    "rollout/teacher_share": "share of the collected actions that the teacher chose",
    "train/loss": "mean loss over the updates of an iteration",
    "train/kl": "mean divergence in nats on the latest rollout, before training on it",
    "train/agreement": "agreement of the deterministic actions on the latest rollout, before training on it",
    "train/grad_norm": "mean norm of the gradient before clipping",
    "eval/student_return": "mean return of the student in the proof",
    "eval/teacher_return": "mean return of the teacher in the proof",
    "eval/random_return": "mean return of random actions in the proof",
    "eval/retention": "share of the teacher's gain over random that the student keeps, by mean returns",
    "eval/retention_low": "its lower 95% confidence bound",
    "eval/retention_high": "upper end of its 95% interval",
    "eval/fall_rate": "share of the proof's episodes that lost more than half of the gain",
    "eval/fall_rate_high": "upper 95% confidence bound of the rate of such falls",
    "eval/selection_return": "mean return of the student on the episodes that choose the best of a run",
    "eval/selection_retention": "share of the teacher's gain that is kept there: what sweeps compare",
    "model/student_params": "parameters of the student",
    "model/teacher_params": "parameters of the teacher's actor path",
    "model/compression": "teacher's parameters to one of the student",
    "model/student_bytes": "bytes of the student's parameters",
    "model/student_macs": "multiply-accumulates of the student for one observation",
    "model/latency_us": "microseconds of one action for one observation, on the machine of the run",
    "time/fps": "environment steps per second, all stages included",
    "time/collect_seconds": "seconds spent collecting so far",
    "time/label_seconds": "seconds spent labelling so far",
    "time/train_seconds": "seconds spent training so far",
    "time/wall_seconds": "seconds since the run began",
}

EXTRA = {
    "rollout/dropped_share": "share of the teacher's whole episodes so far that failed and are left out of the data",
    "rollout/env_restarts": "environments restarted so far, where that was allowed; at the end, in the proof too",
    "eval/judged_steps": "environment steps that judging students has taken, beside those that were collected",
    "eval/stopped": "1 where the student was confirmed, so that an automatic stop ended the collection",
    "train/heldout_loss": "mean loss on the states of the latest rollout that were held out of the training on it",
    "train/effort": "gradient steps after the latest rollout, as a multiple of those that n_epochs names",
    "train/recoveries": "times that training diverged and went back to the last good student so far",
    "train/rate_scale": "what the learning rate was multiplied by after these",
    "train/policy_loss": "mean clipped loss of PPO over the updates of an iteration",
    "train/value_loss": "mean squared error of the critic over the updates of an iteration; while distilling, in "
    "variances of the teacher's values",
    "train/value_explained": "share of the variance of returns (while distilling, of the teacher's values) that the "
    "critic explained on the latest rollout, before training on it",
    "train/gate_open": "share of the latest rollout's states in which the teacher expected more than the student gains",
    "train/score_deviation": "deviation of what the latest rollout's actions cost beyond what was expected",
    "train/clip_fraction": "share of the actions whose probability PPO would have changed further",
    "train/step_kl": "divergence in nats of the student after an update from the one before it",
    "train/kl_weight": "weight of the divergence from the teacher beside the reward",
    "train/learning_rate": "step size of the latest update",
    "train/setbacks": "times that a student in fine-tuning collapsed and went back to the best one so far",
    "model/leaves": "leaves of a student that is a tree",
    "compress/students": "students that are still in the race, all starts of each network counted",
}
"""Metrics that appear where they have something to say."""

OF_TASK = re.compile(r"task/[^/]+/")
"""What the name of a metric of one task begins with, where a student has several: `task/acrobot/train/kl`."""


def check_metric_names(names: Iterable[str]) -> None:
    """Check that metrics have names that dashboards know.

    Raises:
        ValueError: naming the one that is not among them.
    """
    for name in names:
        # Of one task of several, beside those of all together.
        plain = name[len(of.group()) :] if (of := OF_TASK.match(name)) else name
        if plain not in METRICS and plain not in EXTRA:
            raise ValueError(f"{name!r} is not a metric; expected one of {', '.join([*METRICS, *EXTRA])}")
