import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.config import DistillConfig, make_config
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.compare import compare
from policy_distill.losses.kl import forward_kl
from policy_distill.run.checkpoints.checkpoint import load_checkpoint
from policy_distill.run.checkpoints.state import SessionState
from policy_distill.run.distill import distill
from policy_distill.run.judging.selection import Selection
from policy_distill.run.session import Session
from policy_distill.student.features import Normalizer
from policy_distill.student.runtime import load_student
from policy_distill.system.interrupts import Interrupted
from policy_distill.tracking.jsonl import read_metrics
from policy_distill.training.schedule import n_updates
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher

QUICK = {"timesteps": 2048, "n_steps": 64, "eval_episodes": 10}


def weights(result):
    return b"".join(result.student.tensors[name].tobytes() for name in sorted(result.student.tensors))


def test_a_student_learns_what_its_teacher_does():
    result = distill(cartpole_teacher(), "CartPole-v1", "mlp:8", timesteps=16_384, n_epochs=16, eval_episodes=20)
    assert result.retention.ci95[0] >= 0.95
    assert result.evaluation["agreement"] > 0.9
    assert result.student.n_params == 58


@pytest.mark.parametrize("loss", ["forward_kl", "reverse_kl"])
@pytest.mark.parametrize("make", [cartpole_teacher, pendulum_teacher])
def test_the_divergence_falls(tmp_path, loss, make):
    env_id = "CartPole-v1" if make is cartpole_teacher else "Pendulum-v1"
    distill(make(), env_id, "mlp:16", loss=loss, timesteps=12_288, n_steps=64, eval_episodes=0, out=tmp_path / "run")
    kl = [row["train/kl"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/kl" in row]
    assert np.mean(kl[-3:]) < 0.2 * kl[0]


@pytest.mark.parametrize("actor", ["student", "teacher", "mixed"])
@pytest.mark.parametrize("buffer", ["aggregate", "latest"])
def test_whoever_acts_and_whatever_is_kept_the_run_ends_with_a_student(tmp_path, actor, buffer):
    result = distill(
        cartpole_teacher(), "CartPole-v1", "mlp:4", actor=actor, buffer=buffer, out=tmp_path / "r", **QUICK
    )
    shares = [row["rollout/teacher_share"] for row in read_metrics(tmp_path / "r" / "metrics.jsonl")[:-1]]
    assert shares[0] == 1.0
    assert {"student": shares[1] == 0.0, "teacher": shares[-1] == 1.0, "mixed": 0.0 < shares[-1] < shares[1] < 1.0}[
        actor
    ]
    assert result.retention is not None


def test_labels_are_made_in_one_batch_a_rollout():
    teacher = corridor_teacher()
    distill(teacher, Corridor, "mlp:4", timesteps=1024, n_steps=32, n_envs=4, eval_episodes=0)
    # Eight rollouts, what is measured in the end (and one step before, to see whether the teacher remembers), and 32
    # steps in which the teacher acts.
    assert teacher.n_labels == 8 + 1 + 1 + 32


def test_the_same_seed_gives_the_same_student_bit_for_bit(tmp_path):
    runs = [
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", seed=seed, out=tmp_path / str(index), **QUICK)
        for index, seed in enumerate((3, 3, 4))
    ]
    assert weights(runs[0]) == weights(runs[1]) != weights(runs[2])
    files = [(tmp_path / str(index) / "student.safetensors").read_bytes() for index in range(2)]
    assert files[0] == files[1]


def test_the_same_seed_gives_the_same_student_in_another_process():
    code = (
        "import sys; from policy_distill.run.distill import distill; from tests.doubles import pendulum_teacher; "
        f"r = distill(pendulum_teacher(), 'Pendulum-v1', 'mlp:8', seed=3, **{QUICK!r}); "
        "sys.stdout.buffer.write(b''.join(r.student.tensors[n].tobytes() for n in sorted(r.student.tensors)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == weights(distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", seed=3, **QUICK))


def test_global_generators_and_threads_are_left_as_they_were():
    torch.manual_seed(5)
    np.random.seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    state = np.random.get_state()[1].copy()
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", **QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], state)
    assert torch.get_num_threads() == threads


def test_the_run_folder_holds_the_run(tmp_path):
    result = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", **QUICK)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.jsonl", "student.safetensors", "evaluation.json", "checkpoint"} <= names
    record = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert record == result.evaluation
    assert set(record) == {
        *("env_id", "seed", "n_episodes", "teacher", "student", "random", "retention", "agreement", "kl"),
        *("compression", "env_steps", "wall_seconds", "episodes", "falls", "scale", "selection", "paired"),
        *("teacher_sampled", "stop"),
    }
    statistics = {"mean", "std", "iqm", "ci95", "median", "worst5", "phases"}
    assert set(record["teacher"]) == {*statistics, "n_params", "n_bytes"}
    assert set(record["student"]) == {*statistics, "n_params", "n_bytes", "macs"}
    assert np.mean(record["episodes"]["student"]) == pytest.approx(record["student"]["mean"])
    assert record["env_steps"] == 2048
    assert record["compression"]["params"] == pytest.approx(1000 / (4 * 4 + 4 + 4 * 2 + 2))
    student = load_student(tmp_path / "run" / "student.safetensors")
    assert student.metadata["retention"]["iqm"] == record["retention"]["iqm"]
    assert student.metadata["retention"]["falls"] == record["falls"]
    assert student.metadata["provenance"]["seed"] == 0
    assert (
        compare(cartpole_teacher(), student, "CartPole-v1", 10, seed=record["seed"]).iqm == record["retention"]["iqm"]
    )


def test_metrics_have_one_line_an_iteration_and_one_for_the_proof(tmp_path):
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", **QUICK)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert [row["time/env_steps"] for row in rows] == [512, 1024, 1536, 2048, 2048]
    assert {"train/loss", "train/kl", "train/agreement", "train/grad_norm", "time/fps"} <= set(rows[0])
    assert {"eval/retention", "eval/retention_low", "model/compression", "model/student_params"} <= set(rows[-1])


def test_all_steps_are_collected_when_they_do_not_divide(tmp_path):
    result = distill(corridor_teacher(), Corridor, "linear", timesteps=1001, n_envs=4, n_steps=100, eval_episodes=0)
    assert result.evaluation["env_steps"] == 1004
    assert result.retention is None
    assert result.evaluation["retention"] is None


def test_the_student_carries_the_teachers_normalisation():
    teacher = corridor_teacher()
    teacher.normalizer = Normalizer(np.array([0.3, 0.1]), np.array([2.0, 3.0]), clip=5.0, epsilon=1e-6)
    carried = distill(teacher, Corridor, "linear", timesteps=64, eval_episodes=0).student.metadata
    assert carried["observation_normalization"] == {
        "mean": [0.3, 0.1], "variance": [2.0, 3.0], "clip": 5.0, "epsilon": 1e-6
    }  # fmt: skip
    measured = distill(corridor_teacher(), Corridor, "linear", timesteps=64, eval_episodes=0).student.metadata
    assert measured["observation_normalization"]["mean"][1] == pytest.approx(1.0)
    plain = distill(corridor_teacher(), Corridor, "linear", timesteps=64, eval_episodes=0, normalize="none").student
    assert plain.metadata["observation_normalization"] is None


def test_a_vector_environment_is_distilled_in(tmp_path):
    vec_env = VecNormalize(DummyVecEnv([Corridor] * 3))
    result = distill(corridor_teacher(), vec_env, "linear", timesteps=300, n_epochs=100, eval_episodes=5)
    assert result.retention.iqm == pytest.approx(1.0, abs=0.3)
    assert result.evaluation["env_steps"] == 300 + (-300 % 3)


def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path):
    class Stop:
        def log(self, metrics, step):
            if step >= 1024:
                raise Interrupted("asked to")

        def summary(self, values): ...
        def artifact(self, path, kind, metadata): ...
        def close(self): ...

    arguments = {**QUICK, "checkpoint_every": 512}
    with pytest.raises(Interrupted):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", tracker=Stop(), **arguments)
    result = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", resume=True, **arguments)
    assert result.evaluation["env_steps"] == 2048
    steps = [row["time/env_steps"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert steps == [512, 1024, 1536, 2048, 2048]


def test_a_checkpoint_restores_everything_that_training_reads(tmp_path):
    arguments = {"timesteps": 1024, "n_steps": 64, "eval_episodes": 0, "passes": "fixed"}
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", **arguments)
    identity = json.loads((tmp_path / "run" / "config.json").read_text())
    sessions = []
    for _ in range(2):
        session = Session(
            cartpole_teacher(), open_environments("CartPole-v1", 8), "mlp:4", forward_kl, make_config(None, arguments)
        )
        load_checkpoint(
            tmp_path / "run" / "checkpoint" / "step-000000001024.safetensors",
            SessionState(session, Selection(session, None)),
            identity,
        )
        session.learner.trainer.fit(session.stream.buffer, 5, (0.5, 0.6), torch.Generator().manual_seed(0))
        sessions.append(session)
    assert sessions[0].stream.env_steps == 1024
    assert sessions[0].stream.buffer.size == 1024
    tensors = [session.learner.policy.tensors().values() for session in sessions]
    assert all(np.array_equal(a, b) for a, b in zip(*tensors, strict=True))
    done = sum(n_updates(sessions[0].config, 512, progress) for progress in (0.0, 0.5))
    assert sessions[0].learner.trainer.stepper.state()["n_steps"] == done + 5


def test_resuming_with_other_settings_is_refused_by_name(tmp_path):
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", **QUICK)
    with pytest.raises(RequestError, match="student='mlp:4', found 'mlp:8'"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", out=tmp_path / "run", resume=True, **QUICK)
    with pytest.raises(RequestError, match=r"learning_rate=0\.003, found 1\.0"):
        distill(
            cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", resume=True, learning_rate=1.0, **QUICK
        )


def test_a_nan_from_the_environment_stops_the_run():
    with pytest.raises(RunFault, match="returned nan in an observation"):
        distill(corridor_teacher(), lambda: Corridor(nan_at=50), "linear", timesteps=2048)


def test_a_loss_that_is_not_finite_stops_before_the_next_rollout():
    teacher = corridor_teacher()
    teacher.weight[0, 0] = float("nan")
    with pytest.raises(RunFault, match="not finite"):
        distill(teacher, Corridor, "linear", timesteps=64)


def test_training_reaches_the_student_only():
    session = Session(corridor_teacher(), open_environments(Corridor, 2), "mlp:4", forward_kl, DistillConfig(n_steps=8))
    rollout = session.collect()
    labels = session.stream.label(rollout)
    before = labels.clone(), session.stream.teacher.weight.clone()
    session.learn(rollout, labels)
    start = session.learner.policy.tensors()
    session.learn(rollout, labels)
    assert any(not np.array_equal(array, start[name]) for name, array in session.learner.policy.tensors().items())
    assert torch.equal(labels, before[0])
    assert torch.equal(session.stream.teacher.weight, before[1])
    assert labels.grad is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timestep": 5}, "nearest: timesteps"),
        ({"timesteps": 0}, "timesteps must be at least 1"),
        ({"n_envs": -1}, "n_envs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be more than 0"),
        ({"actor": "robot"}, "actor must be one of student, teacher, mixed"),
        ({"loss": "forward"}, "did you mean forward_kl"),
        ({"student": "resnet"}, "mlp:32,32"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_opened(tmp_path, arguments, message):
    def never():
        raise AssertionError("an environment was made")

    with pytest.raises(RequestError, match=message):
        distill(corridor_teacher(), never, out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused_and_overwriting_spares_what_is_not_ours(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RequestError, match=r"--resume or --overwrite"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path, **QUICK)
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path, overwrite=True, timesteps=64, eval_episodes=0)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(RequestError, match="found a file"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "notes.txt", **QUICK)
    with pytest.raises(RequestError, match="expected a checkpoint"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "new", resume=True, **QUICK)
