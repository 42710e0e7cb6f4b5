import logging

import numpy as np
import pytest
import torch

from policy_distill.errors import RunFault
from policy_distill.run.distill import distill
from policy_distill.tracking.jsonl import read_metrics
from policy_distill.training import trainer as training
from policy_distill.training.recovery import STEP_BACK, Divergence, Recovery
from policy_distill.training.trainer import Trainer
from tests.doubles import Corridor, corridor_teacher, pendulum_teacher

QUICK = {"timesteps": 512, "n_envs": 4, "n_steps": 32, "eval_episodes": 0}


class Scales:
    """Something trained: a number that each fit overwrites."""

    def __init__(self):
        self.value = 1.0

    def state(self):
        return {"value": np.array(self.value)}

    def restore(self, state):
        self.value = float(state["value"])


def test_a_divergence_goes_back_and_on_at_a_lower_rate():
    trained, recovery, tried = Scales(), Recovery(3), []

    def fit(scale):
        tried.append((scale, trained.value))
        trained.value = scale
        if scale > 0.05:
            raise Divergence("not finite")
        return {"train/loss": 0.5}

    metrics = recovery.attempt(trained, fit)
    assert tried == [(1.0, 1.0), (STEP_BACK, 1.0), (STEP_BACK**2, 1.0)]
    assert metrics == {"train/loss": 0.5, "train/recoveries": 2, "train/rate_scale": STEP_BACK**2}
    assert recovery.attempt(trained, fit)["train/recoveries"] == 2


def test_without_divergence_nothing_is_said():
    assert Recovery(3).attempt(Scales(), lambda scale: {"train/loss": scale}) == {"train/loss": 1.0}


def test_recoveries_are_counted_over_the_run_and_run_out():
    trained, recovery = Scales(), Recovery(2)

    def diverge(scale):
        trained.value = float("nan")
        raise Divergence("not finite")

    with pytest.raises(RunFault, match="after 2 recoveries; the last good student is kept"):
        recovery.attempt(trained, diverge)
    assert trained.value == 1.0


@pytest.mark.parametrize("dense", [True, False])
def test_a_run_recovers_from_a_rate_that_is_far_too_high(tmp_path, dense, caplog, monkeypatch):
    monkeypatch.setattr(training, "is_written_out", lambda student: dense)
    arguments = {**QUICK, "learning_rate": 1e37, "max_recoveries": 60, "out": tmp_path / "run"}
    with caplog.at_level(logging.WARNING, "policy_distill"), np.errstate(all="ignore"):
        result = distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", **arguments)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/loss" in row]
    assert all(np.isfinite(array).all() for array in result.student.tensors.values())
    assert all(row["train/loss"] is not None for row in rows)
    assert rows[-1]["train/recoveries"] >= 1
    assert rows[-1]["train/rate_scale"] == pytest.approx(STEP_BACK ** rows[-1]["train/recoveries"])
    assert "back to the last good student" in caplog.text


def test_a_loss_that_is_never_finite_leaves_the_student_alone(monkeypatch):
    seen = []
    plain = Trainer._fit

    def broken(self, buffer, *arguments):
        seen.append({name: value.clone() for name, value in self.student.state_dict().items()})
        buffer.teacher_params.fill_(float("nan"))
        try:
            return plain(self, buffer, *arguments)
        finally:
            seen.append({name: value.clone() for name, value in self.student.state_dict().items()})

    monkeypatch.setattr(Trainer, "_fit", broken)
    with pytest.raises(RunFault, match=r"not finite.*after 1 recoveries"), np.errstate(all="ignore"):
        distill(corridor_teacher(), Corridor, "mlp:4", **QUICK, max_recoveries=1)
    assert len(seen) == 4
    assert all(torch.equal(seen[0][name], state[name]) for state in seen for name in state)


def test_a_resumed_run_remembers_its_recoveries(tmp_path):
    arguments = {**QUICK, "out": tmp_path / "run", "learning_rate": 1e37, "max_recoveries": 60, "checkpoint_every": 128}

    class Stop(Exception):
        pass

    class Stopping:
        def log(self, metrics, step):
            if step >= 384:
                raise Stop

        def summary(self, values): ...
        def artifact(self, path, kind, metadata): ...
        def close(self): ...

    with pytest.raises(Stop), np.errstate(all="ignore"):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", tracker=Stopping(), **arguments)
    before = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["train/recoveries"]
    with np.errstate(all="ignore"):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", resume=True, **arguments)
    after = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/loss" in row]
    assert after[-1]["train/recoveries"] >= before >= 1
