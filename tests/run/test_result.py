import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.evaluation.episodes import Evaluation
from policy_distill.evaluation.fidelity import Fidelity
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.proof.kept import retention
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.run.distill import distill
from policy_distill.run.result import evaluation_record, final_metrics
from tests.doubles import cartpole_teacher

FULL, NONE = np.full(100, 500.0), np.full(100, 20.0)
OF_PROOF = {"eval/retention", "eval/retention_low", "eval/fall_rate", "eval/fall_rate_high", "eval/selection_retention"}


@pytest.fixture(scope="module")
def student():
    return distill(cartpole_teacher(), "CartPole-v1", "mlp:4", timesteps=512, n_steps=64, eval_episodes=0).student


def metrics_of(student, returns, teacher, random):
    scale = Scale(teacher[:20], random[:20])
    played = zip(("teacher", "student", "random"), (teacher, returns, random), strict=True)
    runs = {name: Evaluation("E-v0", 0, x, np.ones(len(x), np.int64), 1.0) for name, x in played}
    found = Comparison(**runs, retention=retention(returns, teacher, random, scale=scale), scale=scale)
    rest = {"env_id": "E-v0", "config": DistillConfig(), "env_steps": 1, "env_restarts": 0, "wall_seconds": 1.0}
    record = evaluation_record(
        cartpole_teacher(), student, found, Fidelity(1.0, 0.0), selection_returns=returns[:10], **rest
    )
    return final_metrics(record)


def test_a_proof_is_logged_with_its_bound_its_falls_and_what_chose_the_student(student):
    found = metrics_of(student, FULL, FULL, NONE)
    assert set(found) >= OF_PROOF
    assert (found["eval/retention"], found["eval/fall_rate"], found["eval/selection_retention"]) == (1.0, 0.0, 1.0)
    assert 0.95 < found["eval/retention_low"] < 1.0


@pytest.mark.parametrize("by", [-1.0, 0.01])
def test_without_a_clear_gain_nothing_is_logged_that_a_sweep_could_maximise(student, by):
    rng = np.random.default_rng(0)
    random = rng.normal(0, 10, 100)
    teacher = rng.normal(0, 10, 100)
    teacher += random[:20].mean() - teacher[:20].mean() + by
    found = metrics_of(student, teacher - 50.0, teacher, random)
    assert not set(found) & OF_PROOF
    assert "eval/student_return" in found
