"""Who is timed: every runtime that is installed, the teacher, and an SB3 policy of the student's size.

In: a student and, where given, its teacher. Out: named functions on one observation, and on batches.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from policy_distill.errors import RequestError
from policy_distill.student.engines.table import ENGINES, is_available, runs_natively
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
        if not is_available(name) or (name == "native" and not runs_natively(student.plan)):
            continue
        one = Student.of(student.record, name)
        predict = _carrying(one) if student.plan.memory.size else _deterministic(one)
        found.append(Contender(name, one.act, predict, n_bytes))
    return found


def sb3_contender(student: Student) -> tuple[Contender, Any] | None:
    """Return SB3's own policy with as many and as wide layers as the student, and its model; None where it has none.

    Of a student with a recurrent unit that is sb3-contrib's RecurrentPPO, whose LSTM has as many units; of a history
    there is none.
    """
    if student.plan.memory.size:
        units = [part.size for part in student.plan.memory.parts if part.kind == "gru"]
        return _recurrent_contender(student, units[0]) if units else None
    from stable_baselines3 import PPO

    from policy_distill.exporters.sb3_model import Spaces, to_sb3
    from policy_distill.exporters.sb3_policy import ACTIVATIONS

    plan = student.plan
    try:
        if plan.is_perceptron:
            widths = [len(plan.tensors[layer["bias"]]) for layer in plan.layers if layer["op"] == "linear"][:-1]
            activation = ACTIVATIONS[student.description.architecture.activation]
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


def _recurrent_contender(student: Student, n_units: int) -> tuple[Contender, Any] | None:
    """Return RecurrentPPO, which carries its state from call to call; None without sb3-contrib."""
    if find_spec("sb3_contrib") is None:
        print("no RecurrentPPO of the student's size: sb3-contrib is not installed", file=sys.stderr)
        return None
    from sb3_contrib import RecurrentPPO

    from policy_distill.exporters.sb3_model import Spaces

    plan = student.plan
    widths = [len(plan.tensors[layer["bias"]]) for layer in plan.layers if layer["op"] == "linear"][:-1]
    options = {"net_arch": widths, "lstm_hidden_size": n_units, "enable_critic_lstm": False}
    options["shared_lstm"] = True
    try:
        model = RecurrentPPO("MlpLstmPolicy", Spaces(student.record), device="cpu", policy_kwargs=options)
    except (ValueError, AssertionError) as error:
        print(f"no RecurrentPPO of the student's size: {error}", file=sys.stderr)
        return None
    predict = _carrying(model)
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


def _carrying(policy: Any) -> Predict:
    """Return deterministic acting that carries its state, for any size of batch."""
    states: dict[int, Any] = {}

    def predict(obs: Any) -> Any:
        n = len(obs) if np.ndim(obs) > len(policy.observation_space.shape or ()) else 0
        actions, states[n] = policy.predict(obs, states.get(n), deterministic=True)
        return actions

    return predict


def _deterministic(policy: Any) -> Predict:
    predict = policy.predict
    return lambda obs: predict(obs, deterministic=True)
