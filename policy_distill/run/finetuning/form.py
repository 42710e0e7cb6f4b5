"""From a student's file to one that can be trained on, and back to the form that it came in.

In: a record, of whatever was left out of it. Out: a trainable student with a spread to explore by, and a record again.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.run.finetuning.settings import FinetuneConfig, check_schedule
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.training.frozen import names_to_freeze
from policy_distill.training.policy import StudentPolicy

OTHERWISE = "or --method es, which needs no gradients"
"""What to do with a student that PPO cannot improve."""


def check_request(record: StudentRecord, config: FinetuneConfig, *, anchored: bool) -> None:
    """Refuse what the method that was asked for cannot do; `anchored` says that there is a teacher.

    Raises:
        RequestError: for a student that PPO cannot improve, and for a schedule that follows what nobody measures.
    """
    if config.method == "ppo":
        check_trainable(record)
        names_to_freeze(with_spread(record, 0.0).tensors, config.freeze)
        if anchored:
            check_schedule(config, config.n_selections)


def check_trainable(record: StudentRecord) -> None:
    """Refuse a student that PPO cannot improve.

    Raises:
        RequestError: for a tree, one with a memory, and one that has no distribution to draw actions from.
    """
    kind = record.description.architecture.spec
    if record.plan.memory.size:
        raise RequestError(f"expected a feed-forward student for PPO, found {kind}; tune an mlp, {OTHERWISE}")
    if not any("weight" in layer for layer in record.plan.layers):
        raise RequestError(f"expected a network for PPO, found {kind}; tune an mlp")
    if record.description.distribution.family == "deterministic":
        raise RequestError(
            "expected a student that can sample its actions, found one of a deterministic teacher; tune one of a "
            f"teacher with a distribution (PPO, SAC, ...), {OTHERWISE}"
        )


def with_spread(record: StudentRecord, log_std: np.ndarray | float) -> StudentRecord:
    """Return a student that can draw its actions: one whose log σ was dropped has `log_std`, `[A]`, for all states."""
    if record.plan.log_std != "dropped":
        return record
    head = replace(record.plan.head, extra=0)
    said = record.description
    said = replace(said, head=head, architecture=replace(said.architecture, log_std="vector"))
    values = np.broadcast_to(np.asarray(log_std, np.float32), (head.n_scores,)).copy()
    return StudentRecord({**record.tensors, "log_std": values}, said)


def policy_to_train(record: StudentRecord, log_std: np.ndarray) -> StudentPolicy:
    """Return a copy of a student to train on; one without log σ begins with `log_std` `[A]` for all states."""
    return StudentPolicy.from_record(with_spread(record, log_std))


def in_form_of(origin: StudentRecord, tuned: Student) -> Student:
    """Return a tuned student without what was left out of the one that it began as."""
    slimmed = origin.plan.head.reference or origin.plan.log_std == "dropped"
    slimmed = slimmed or origin.plan.layers[0]["op"] == "select"
    return slim(tuned, keep_std=origin.plan.log_std != "dropped") if slimmed else tuned
