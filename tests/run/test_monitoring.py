"""A monitor: what it holds, where novelty begins, and how often it is wrong about episodes that it has not seen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from policy_distill import compress, distill, load_student
from policy_distill.errors import RequestError
from policy_distill.run.monitoring.equip import check_watchable, with_monitor
from policy_distill.run.monitoring.fit import BUDGET, _threshold, fit_monitor, least_episodes
from policy_distill.run.monitoring.play import Steps
from policy_distill.student.engines.native_engine import MODULE
from policy_distill.student.features import Featurizer
from policy_distill.student.onboard.monitor import LARGEST
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import describe_space
from policy_distill.training.policy import StudentPolicy
from tests.doubles import cartpole_teacher
from tests.students import OBSERVATIONS, make_student

KIND = ("vector", "gaussian", "mlp:64,32", "tanh")
N_TAKEN = 2


def episodes(n, seed, gain=0.5, noise=0.1):
    """Return episodes of a line of five numbers, each with an offset of its own, that follow from the one before."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(n):
        length, offset = int(rng.integers(20, 120)), rng.normal(size=5)
        actions = rng.normal(size=(length, N_TAKEN)).astype(np.float32)
        obs = np.empty((length, 5))
        obs[0] = offset
        for t in range(1, length):
            pushed = np.concatenate([actions[t - 1], np.zeros(3)])
            obs[t] = offset + 0.9 * (obs[t - 1] - offset) + gain * pushed + noise * rng.normal(size=5)
        found.append(Steps(obs, actions))
    return found


@pytest.fixture(scope="module")
def monitor():
    return fit_monitor(episodes(300, 0), n_params=2_000)


def watched(monitor, kind=KIND, runtime="numpy"):
    student = make_student(kind)
    return Student.of(StudentRecord(student.tensors, replace(student.description, monitor=monitor)), runtime)


def share_above(monitor, played):
    return np.mean([np.mean(monitor.along(one.obs, one.actions) > 1.0) for one in played])


def test_fresh_episodes_are_seldom_called_novel_though_their_steps_resemble_each_other(monitor):
    # 1% at most in the mean over monitors and episodes; one monitor may lie above it, and none has power without any.
    fresh = [share_above(fit_monitor(episodes(300, seed), 2_000), episodes(200, 100 + seed)) for seed in range(6)]
    assert np.mean(fresh) < 0.013
    assert max(fresh) < 0.03
    assert min(fresh) > 0.0002


def test_a_law_that_holds_no_more_is_noticed_though_every_observation_is_usual(monitor):
    changed = episodes(50, 7, gain=-0.5)
    alone = np.mean([np.mean(monitor.place_novelty(one.obs) > 1.0) for one in changed])
    assert alone < 0.03 and share_above(monitor, changed) > 0.3
    assert share_above(monitor, episodes(50, 7, noise=1.0)) > 0.9


def test_the_threshold_is_where_risk_control_puts_it():
    # 199 episodes of one step: (200 α - 1) = 1 of them may lie above.
    assert _threshold([np.array([float(k)]) for k in range(1, 200)], 0.01) == 198.0
    # With 99 there is room for none.
    assert _threshold([np.array([float(k)]) for k in range(1, 100)], 0.01) == 99.0
    # Half an episode counts half, however long it is.
    halves = [np.array([1.0, 1.0, 5.0, 5.0]), *(np.ones(7) for _ in range(148))]
    assert _threshold(halves, 0.01) == 1.0
    with pytest.raises(RequestError, match="expected at least 150 episodes for 1% of false alarms, found 147"):
        _threshold([np.ones(3)] * 98, 0.01)
    assert least_episodes() == 150


def test_it_stays_within_its_budget(monitor):
    assert monitor.n_numbers <= BUDGET * 2_000
    small = fit_monitor(episodes(300, 0), n_params=40)
    assert len(small.place) == len(small.step) == 2


def test_acting_says_what_the_episode_says(monitor, tmp_path):
    student = watched(monitor)
    student = load_student(student.save(tmp_path / "s.safetensors"))
    obs = episodes(1, 3)[0].obs.astype(np.float32)
    seen = [student.act(one, monitor=True) for one in obs]
    actions = student.plan.taken(np.array([action for action, _ in seen]))
    np.testing.assert_allclose([novelty for _, novelty in seen], monitor.along(obs, actions), rtol=2e-3)
    np.testing.assert_array_equal([action for action, _ in seen], [student.act(one) for one in obs])
    # The first step of an episode has none before it.
    student.reset()
    assert student.act(obs[0], monitor=True)[1] == pytest.approx(student.novelty(obs[0]), rel=1e-4)
    student.act(obs[1])
    assert student.act(obs[9], monitor=True)[1] == pytest.approx(student.novelty(obs[9]), rel=1e-4)
    assert student.act(list(obs[0].tolist()), monitor=True)[1] > 0.0
    with pytest.raises(ValueError, match="expected one observation"):
        student.act(obs[:2], monitor=True)


def test_what_is_no_number_is_novel(monitor):
    student = watched(monitor)
    for odd in (np.nan, np.inf, -np.inf, 1e30):
        obs = np.zeros(5, np.float32)
        obs[2] = odd
        assert student.novelty(obs) == pytest.approx(LARGEST)
        assert student.act(obs, monitor=True)[1] == pytest.approx(LARGEST)
        assert student.unusual(obs) == ["2"]
        within = student.clamped(obs)
        assert np.isfinite(within).all() and student.unusual(within) == []


def test_the_deployed_form_keeps_it_and_training_on_drops_it(monitor):
    student = watched(monitor)
    obs = np.full(5, 0.3, np.float32)
    assert slim(student).novelty(obs) == student.novelty(obs)
    # It would be a monitor of another student.
    other = {name: array + 1 for name, array in student.tensors.items()}
    assert student.record.with_weights(other, {}, None).description.monitor is None
    assert student.record.said_of({}, None).description.monitor is student.monitor
    assert StudentPolicy.from_record(student.record).to_record({}).description.monitor is None


def test_a_student_without_one_says_how_to_get_one():
    with pytest.raises(RequestError, match="policy-distill equip --monitor"):
        make_student(KIND).novelty(np.zeros(5))


@pytest.mark.parametrize("runtime", ["numpy", "native", "torch"])
def test_asking_for_what_is_novel_without_one_says_so_too(runtime):
    student = make_student(KIND)
    if runtime == "native":
        pytest.importorskip(MODULE)
    alone = Student.of(student.record, runtime)
    obs = np.zeros(5)
    for asked in ({"monitor": True}, {"monitor": 1}):
        with pytest.raises(
            RequestError, match=r"add one with policy-distill equip --monitor, or distil with --monitor"
        ):
            alone.act(obs, **asked)
    assert np.array_equal(alone.act(obs, monitor=False), alone.act(obs)) and np.array_equal(
        alone.act(obs=obs), alone.act(obs, False)
    )
    with pytest.raises(TypeError):
        alone.act()


@pytest.mark.parametrize(
    "change",
    [
        {"center": ""},
        {"place": "AAAA"},
        {"false_alarms": 0.0},
        {"false_alarms": "a"},
        {"n_episodes": 0},
        {"reached": float("nan")},
        {"step": None},
    ],
)
def test_a_record_of_another_form_is_refused(monitor, change, tmp_path):
    student = watched(monitor)
    said = {**student.metadata, "monitor": {**student.metadata["monitor"], **change}}
    with pytest.raises((ValueError, KeyError, TypeError)):
        Student(student.tensors, said).save(tmp_path / "s.safetensors")


def test_a_monitor_of_other_observations_is_refused(monitor, tmp_path):
    path = watched(monitor, ("whole_numbers", "gaussian", "mlp:8", "tanh"))
    with pytest.raises(Exception, match="a monitor of another student"):
        path.save(tmp_path / "s.safetensors")


@pytest.mark.parametrize("name", ["image_first", "discrete", "dict", "multi_discrete"])
def test_images_and_choices_have_none(name):
    with pytest.raises(RequestError, match="found images or choices"):
        check_watchable(Featurizer(describe_space(OBSERVATIONS[name])))
    check_watchable(Featurizer(describe_space(OBSERVATIONS["doubles"])))
    with pytest.raises(RequestError, match="expected at least 150 episodes"):
        check_watchable(Featurizer(describe_space(OBSERVATIONS["doubles"])), 149)


def test_a_run_makes_one_of_its_student(tmp_path):
    quick = {"timesteps": 256, "n_steps": 32, "n_envs": 2, "eval_episodes": 0, "n_epochs": 1}
    plain = distill(cartpole_teacher(), "CartPole-v1", "mlp:16", **quick).student
    distill(cartpole_teacher(), "CartPole-v1", "mlp:16", monitor=True, out=tmp_path / "run", **quick)
    student = load_student(tmp_path / "run" / "student.safetensors")
    monitor = student.monitor
    assert monitor.n_episodes == 200 and 0.0 <= monitor.reached <= 0.01
    assert all(torch.equal(torch.from_numpy(student.tensors[k]), torch.from_numpy(v)) for k, v in plain.tensors.items())
    assert student.act(dict(x=0.0, x_velocity=0.0, theta=0.0, theta_velocity=0.0), monitor=True)[1] < 1.0
    assert student.novelty(np.array([0.0, 50.0, 0.0, 0.0])) > 1.0
    again = with_monitor(plain, "CartPole-v1", seed=0).monitor
    np.testing.assert_array_equal(again.place, with_monitor(plain, "CartPole-v1", seed=0).monitor.place)
    assert not np.array_equal(again.place, with_monitor(plain, "CartPole-v1", seed=1).monitor.place)
    with pytest.raises(RequestError, match="expected no --monitor"):
        compress(cartpole_teacher(), "CartPole-v1", monitor=True, timesteps=256)
