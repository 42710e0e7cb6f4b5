"""Workers play the episodes of evaluations: they find what a single process finds."""

import json

import numpy as np
import pytest

from policy_distill.cli import main
from policy_distill.compression.compress import compress
from policy_distill.evaluation.compare import compare
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.games import Arcade
from policy_distill.evaluation.on_workers import played_by, players_for
from policy_distill.run.distill import distill
from policy_distill.system.workers.local import LocalWorker
from tests.collection.test_workers import lstm_teacher, masked_teacher
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.golden_runs import Pair
from tests.kill import contents
from tests.run.test_resume import QUICK


def assert_alike(one, other):
    for name in ("returns", "lengths", "phases"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (one.paired, one.n_cut) == (other.paired, other.n_cut)


@pytest.mark.parametrize(
    ("make_policy", "env"),
    [
        (cartpole_teacher, "CartPole-v1"),
        (pendulum_teacher, "Pendulum-v1"),
        (lstm_teacher, "CartPole-v1"),
        (masked_teacher, Pair),
    ],
)
@pytest.mark.parametrize("deterministic", [True, False])
def test_returns_are_the_same_with_any_number_of_workers(make_policy, env, deterministic):
    settings = {"n_episodes": 11, "seed": 5, "deterministic": deterministic, "n_envs": 4, "max_episode_steps": 60}
    alone = evaluate(make_policy(), env, **settings)
    for workers in (1, 3, 6):
        assert_alike(alone, evaluate(make_policy(), env, workers=workers, **settings))


def test_a_worker_that_is_killed_while_it_plays_changes_nothing(monkeypatch):
    ask, asked = LocalWorker.ask, []

    def kills(worker, request):
        asked.append(ask(worker, request))
        if len(asked) in (1, 3, 4):
            worker.process.kill()

    settings = {"n_episodes": 8, "deterministic": False}
    alone = evaluate(pendulum_teacher(), "Pendulum-v1", **settings)
    monkeypatch.setattr(LocalWorker, "ask", kills)
    assert_alike(alone, evaluate(pendulum_teacher(), "Pendulum-v1", workers=2, **settings))
    assert len(asked) == 5


def test_a_comparison_is_the_same_on_workers():
    arguments = (cartpole_teacher(), pendulum_like_student(), "CartPole-v1", 12, 0)
    assert compare(*arguments, perturb="sticky:0.5")["sticky:0.5"].record() == (
        compare(*arguments, perturb="sticky:0.5", workers=2)["sticky:0.5"].record()
    )


def pendulum_like_student():
    return distill(cartpole_teacher(), "CartPole-v1", "linear", timesteps=256, eval_episodes=0, workers=0).student


def test_a_run_whose_proof_is_played_by_workers_ends_in_the_same_files(tmp_path):
    settings = {**QUICK, "timesteps": 512, "env_restarts": 2}
    for workers in (0, 2):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:4", out=tmp_path / str(workers), workers=workers, **settings)
    assert contents(tmp_path / "0") == contents(tmp_path / "2")


def test_a_compression_whose_episodes_workers_play_finds_the_same():
    settings = {"timesteps": 512, "n_steps": 16, "n_envs": 4, "eval_episodes": 200, "students": ["linear", "mlp:2"]}
    found = [compress(corridor_teacher(), Corridor, workers=workers, **settings) for workers in (0, 2)]
    assert found[0].student.metadata["retention"] == found[1].student.metadata["retention"]
    for name, array in found[0].student.tensors.items():
        assert np.array_equal(array, found[1].student.tensors[name])


def test_environments_that_are_handed_over_are_played_here():
    with played_by(2):
        assert players_for(Corridor()) is None
        assert len(evaluate(cartpole_teacher(), "CartPole-v1", 2).returns) == 2


def test_a_worker_closes_the_environments_that_it_has_not_played_in_for_long(monkeypatch):
    closed = []
    monkeypatch.setattr(Corridor, "close", lambda env: closed.append(env))
    arcade = Arcade()

    class Games:
        first, n_own = 0, 1

        def __init__(self, kind):
            import cloudpickle

            self.kind, self.make = kind, cloudpickle.dumps(lambda index: Corridor())

    for kind in range(6):
        arcade._opened(Games(kind))
    assert len(closed) == 2


def test_the_command_says_the_same_with_workers(tmp_path, capsys):
    path = pendulum_like_student().save(tmp_path / "student.safetensors")
    found = []
    for workers in ("0", "2"):
        words = ["evaluate", str(path), "--env", "CartPole-v1", "--episodes", "6", "--workers", workers, "--json"]
        assert main(words) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["returns"] == found[1]["returns"]
