"""Ray Tune: trials report what chooses, are stopped, go on from their checkpoints, and the best is proven once."""

import json

import pytest
from stable_baselines3 import PPO

from policy_distill.errors import RequestError
from policy_distill.run.suite.ray_cells import LOOPBACK
from policy_distill.tune import METRIC, STEPS, prove_best, search_space, trainable

ray = pytest.importorskip("ray")
QUICK = {"timesteps": 320, "n_envs": 2, "n_steps": 32, "n_epochs": 1, "eval_episodes": 3, "select_episodes": 2}


@pytest.fixture
def teacher(tmp_path):
    settings = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    PPO("MlpPolicy", "CartPole-v1", **settings).save(tmp_path / "teacher.zip")
    return tmp_path / "teacher.zip"


@pytest.fixture
def tune(tmp_path, monkeypatch):
    from ray import tune

    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address=LOOPBACK)
    yield tune
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_trials_are_stopped_restored_and_the_best_is_proven_once(tune, teacher, tmp_path):
    from ray.tune.schedulers import ASHAScheduler

    train = trainable(teacher, "CartPole-v1", **QUICK)
    scheduler = ASHAScheduler(time_attr=STEPS, max_t=QUICK["timesteps"], grace_period=64, reduction_factor=2)
    tuner = tune.Tuner(
        train,
        param_space=search_space({"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, ["mlp:2", "mlp:4"]),
        tune_config=tune.TuneConfig(metric=METRIC, mode="max", num_samples=3, scheduler=scheduler),
        run_config=tune.RunConfig(name="search", storage_path=str(tmp_path / "tune"), verbose=0),
    )
    results = tuner.fit()
    assert not results.errors
    for result in results:
        steps = list(result.metrics_dataframe[STEPS])
        assert steps == sorted(set(steps)), "one report for each student that was judged"
        assert steps[0] == 64
    best = results.get_best_result()
    proven = prove_best(best, teacher, tmp_path / "best", "CartPole-v1", **QUICK)
    record = json.loads((tmp_path / "best" / "evaluation.json").read_text())
    assert record["retention"] is not None
    assert proven.student.metadata["provenance"]["config"]["learning_rate"] == best.config["learning_rate"]
    again = tune.Tuner.restore(str(tmp_path / "tune" / "search"), train).fit()
    assert len(again) == 3


class Stopped(Exception):
    pass


def test_a_trial_goes_on_from_what_it_reported(teacher, tmp_path, monkeypatch):
    """Without Ray's processes: what stands in for Tune remembers the reports, and dies at the third."""
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


def test_a_wrong_trainable_is_refused_before_any_trial(teacher, tmp_path):
    with pytest.raises(RequestError, match="timesteps"):
        trainable(teacher, timestep=3)
    with pytest.raises(RequestError, match="nothing at"):
        trainable(tmp_path / "nothing.zip")
    with pytest.raises(RequestError, match="learning_rate"):
        search_space({"lerning_rate": [1]})
