"""Who is timed: every runtime that is installed, the teacher, and an SB3 policy of the student's size.

In: a student and, where given, its teacher. Out: named functions on one observation, and on batches.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from policy_distill.errors import RequestError
from policy_distill.student.engines.table import ENGINES, is_available
from policy_distill.student.runtime import Student

Predict = Callable[[Any], Any]


@dataclass(frozen=True)
class Contender:
    """Something that acts."""

    name: str
    """How the table calls it."""
    act: Predict
    """One raw observation to the executed action."""
    predict: Predict
    """A batch of raw observations to executed actions; also takes a single one."""
    n_bytes: int | None
    """Size on disk; None where there is no file."""


def student_contenders(student: Student, n_bytes: int | None) -> list[Contender]:
    """Return one contender for each runtime that is installed and can run the student."""
    found = []
    for name in ENGINES:
        if not is_available(name) or (name == "native" and not student.plan.is_perceptron):
            continue
        one = Student(student.tensors, student.metadata, name)
        found.append(Contender(name, one.act, _deterministic(one), n_bytes))
    return found


def sb3_contender(student: Student) -> tuple[Contender, Any] | None:
    """Return SB3's own policy with as many and as wide layers as the student, and its model; None where it has none."""
    from stable_baselines3 import PPO

    from policy_distill.exporters.sb3_model import Spaces, to_sb3
    from policy_distill.exporters.sb3_policy import ACTIVATIONS

    plan = student.plan
    try:
        if plan.is_perceptron:
            widths = [len(plan.tensors[layer["bias"]]) for layer in plan.layers if layer["op"] == "linear"][:-1]
            activation = ACTIVATIONS[student.metadata["architecture"]["activation"]]
            options = {"net_arch": widths, "activation_fn": activation}
            model = PPO("MlpPolicy", Spaces(student.record), device="cpu", policy_kwargs=options)
        else:
            model = to_sb3(student.record, Spaces(student.record))
    except (RequestError, AssertionError) as error:
        # SB3 refuses some spaces, such as actions without bounds; then there is nothing to compare with.
        print(f"no SB3 policy of the student's size: {error}", file=sys.stderr)
        return None
    predict = _deterministic(model)
    return Contender("SB3, student's size", predict, predict, None), model


def teacher_contender(teacher: Any, n_bytes: int) -> Contender:
    """Return the teacher, through SB3's `predict` and its normalisation."""
    predict = _deterministic(teacher)
    return Contender("SB3, teacher", predict, predict, n_bytes)


def batch_of(obs: Any, size: int) -> Any:
    """Return `size` observations, repeated as often as needed."""
    if isinstance(obs, dict):
        return {key: batch_of(value, size) for key, value in obs.items()}
    repeats = math.ceil(size / len(obs))
    return (obs if repeats == 1 else obs.repeat(repeats, axis=0))[:size]


def _deterministic(policy: Any) -> Predict:
    predict = policy.predict
    return lambda obs: predict(obs, deterministic=True)
