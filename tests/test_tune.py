"""Trials of Ray Tune without its processes: what they report, and how they go on; docs/suite.md has them whole."""

import pytest
from stable_baselines3 import PPO

from policy_distill.errors import RequestError
from policy_distill.tune import METRIC, STEPS, prove_best, search_space, trainable

pytest.importorskip("ray")
QUICK = {
    "timesteps": 320,
    "stop": "never",
    "n_envs": 2,
    "n_steps": 32,
    "n_epochs": 1,
    "eval_episodes": 3,
    "select_episodes": 2,
}


@pytest.fixture
def teacher(tmp_path):
    settings = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    PPO("MlpPolicy", "CartPole-v1", **settings).save(tmp_path / "teacher.zip")
    return tmp_path / "teacher.zip"


class Stopped(Exception):
    pass


def test_a_trial_goes_on_from_what_it_reported(teacher, tmp_path, monkeypatch):
    from ray import tune

    reports, kept, names = [], tmp_path / "kept", ["stopped", "restored", "whole"]

    class Context:
        def get_trial_dir(self):
            return str(tmp_path / names.pop(0))

    def report(metrics, checkpoint=None):
        reports.append((metrics[STEPS], metrics[METRIC]))
        checkpoint.to_directory(kept / str(len(reports)))
        if len(reports) == 3:
            raise Stopped

    monkeypatch.setattr(tune, "get_context", Context)
    monkeypatch.setattr(tune, "report", report)
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    train = trainable(teacher, "CartPole-v1", "mlp:2", **QUICK)
    with pytest.raises(Stopped):
        train({"learning_rate": 1e-3})
    assert [step for step, _ in reports] == [64, 128, 192]
    monkeypatch.setattr(tune, "get_checkpoint", lambda: tune.Checkpoint.from_directory(str(kept / "3")))
    train({"learning_rate": 1e-3})
    assert [step for step, _ in reports[3:]][-2:] == [256, 320]
    assert len(reports) <= 6, "it did not begin anew"
    whole = list(reports)
    reports.clear()
    monkeypatch.setattr(tune, "get_checkpoint", lambda: None)
    monkeypatch.setattr(tune, "report", lambda metrics, **_: reports.append((metrics[STEPS], metrics[METRIC])))
    train({"learning_rate": 1e-3})
    assert dict(whole) == dict(reports), "and reported what it would have"


def test_the_best_trial_is_proven_in_a_folder_of_its_own(teacher, tmp_path):
    class Nothing:
        checkpoint = None

    with pytest.raises(RequestError, match="a trial with a checkpoint"):
        prove_best(Nothing, teacher, tmp_path / "best")
    with pytest.raises(RequestError, match="an empty folder"):
        prove_best(Nothing, teacher, tmp_path)


def test_a_wrong_trainable_is_refused_before_any_trial(teacher, tmp_path):
    with pytest.raises(RequestError, match="timesteps"):
        trainable(teacher, timestep=3)
    with pytest.raises(RequestError, match="nothing at"):
        trainable(tmp_path / "nothing.zip")
    with pytest.raises(RequestError, match="mpl:8"):
        trainable(teacher, student="mpl:8")
    with pytest.raises(RequestError, match="learning_rate"):
        search_space({"lerning_rate": [1]})
