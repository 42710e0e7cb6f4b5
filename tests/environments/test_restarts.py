import logging
import os
import time
from collections import Counter
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from policy_distill.cli import guarded
from policy_distill.collection.actors import Draws, RandomPolicy
from policy_distill.environments.open import open_environments
from policy_distill.environments.restarts import Restarts
from policy_distill.errors import RunFault
from policy_distill.evaluation.episodes import run_episodes
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.run.distill import distill
from policy_distill.seeds import SELECTION, measured_seed, training_seed
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.kill import contents, without_restarts
from tests.run.test_resume import Dies, Memory, Stop

QUICK = {
    "eval_seed": 0,
    **{"timesteps": 512, "n_envs": 4, "n_steps": 32, "n_epochs": 2, "batch_size": 64, "checkpoint_every": 128},
    # Judged at the same steps, whatever the student is like.
    **{"eval_episodes": 6, "n_eval_envs": 3, "select_episodes": 2, "stop": "never"},
}


class Trips(gymnasium.Wrapper):
    """Fails in the middle of an episode of some seeds, where that is begun for one of `attempts` times."""

    seeds: ClassVar[set[int]] = set()
    attempts = (1, 3, 5, 7, 9, 11)
    what = "raises"
    made: ClassVar[Counter] = Counter()

    def reset(self, *, seed=None, options=None):
        Trips.made[seed] += 1
        self.t, self.trips = 0, seed in self.seeds and Trips.made[seed] in self.attempts
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        obs, reward, *rest = self.env.step(action)
        self.t += 1
        if self.trips and self.t == 6:
            obs, reward = getattr(self, self.what)(obs, reward)
        return obs, reward, *rest

    def raises(self, obs, reward):
        raise OSError("the motor stalled")

    def nan(self, obs, reward):
        return np.full_like(obs, np.nan), reward

    def nan_reward(self, obs, reward):
        return obs, float("nan")

    def shape(self, obs, reward):
        return obs[:1], reward

    def hangs(self, obs, reward):
        time.sleep(600)


@pytest.fixture(autouse=True)
def trips():
    Trips.seeds, Trips.what, Trips.attempts = set(), "raises", (1, 3, 5, 7, 9, 11)
    Trips.made.clear()
    return Trips


@pytest.fixture
def one_core(monkeypatch):
    monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda: False)


def cart_pole():
    return Trips(gymnasium.make("CartPole-v1"))


def pendulum():
    return Trips(gymnasium.make("Pendulum-v1"))


def random_policy(n_envs):
    return RandomPolicy(gymnasium.make("CartPole-v1").action_space, n_envs, 5, rewindable=True)


def recurrent(n_envs):
    return Memory()


def stateless(n_envs):
    return cartpole_teacher()


@pytest.mark.parametrize("make_policy", [stateless, recurrent, random_policy])
@pytest.mark.parametrize("what", ["raises", "nan", "nan_reward", "shape"])
def test_an_episode_that_is_run_again_is_the_one_without_the_fault(what, make_policy, trips):
    runs = {}
    for seeds in (set(), {20, 21, 24, 27, 28}):
        trips.seeds, trips.what = seeds, what
        trips.made.clear()
        envs = open_environments(cart_pole, 3, restarts=Restarts(5))
        runs[len(seeds)] = run_episodes(make_policy(3), envs, 9, 20, True)
        assert envs.faults.n_restarts == len(seeds)
    for name in ("returns", "lengths", "phases"):
        assert np.array_equal(getattr(runs[0], name), getattr(runs[5], name))


def test_every_episode_may_fail_more_than_once(trips):
    whole = evaluate(cartpole_teacher(), cart_pole, 6)
    trips.seeds, trips.attempts = set(range(6)), (2, 3)
    envs = open_environments(cart_pole, 3, restarts=Restarts(12))
    assert np.array_equal(run_episodes(cartpole_teacher(), envs, 6, 0, True).returns, whole.returns)
    trips.made.clear()
    trips.attempts = (1, 2)
    envs = open_environments(cart_pole, 3, restarts=Restarts(11))
    with pytest.raises(RunFault, match=r"environment \d at step 6 of its episode, seed \d: OSError.*11 restarts were"):
        run_episodes(cartpole_teacher(), envs, 6, 0, True)


def test_masked_random_actions_are_drawn_again_for_the_masks_of_the_new_attempt():
    masks = np.ones((2, 5), bool)
    starts = np.array([True, True])
    one = RandomPolicy(gymnasium.spaces.Discrete(5), 2, 0, takes_action_masks=True, rewindable=True)
    first = [one.predict(None, None, starts & (t == 0), action_masks=masks)[0] for t in range(4)]
    one.again(1)
    later = [one.predict(None, None, np.array([False, t == 0]), action_masks=masks)[0] for t in range(4)]
    assert [row[1] for row in later] == [row[1] for row in first]
    masks[1] = [False, False, True, False, False]
    one.again(1)
    assert one.predict(None, None, np.array([False, True]), action_masks=masks)[0][1] == 2


def test_draws_are_in_step_where_nobody_goes_back_and_the_old_ones_are_forgotten():
    draws, starts = Draws(2), np.array([True, True])
    for step in range(50):
        assert np.array_equal(draws.next(np.full(2, step), starts if step % 10 == 0 else ~starts), [step, step])
    assert len(draws._drawn) == 10
    draws.again(0)
    assert np.array_equal(draws.next(np.full(2, 50), np.array([True, False])), [40, 50])


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("what", ["raises", "nan"])
def test_a_run_whose_judging_proof_and_measurement_failed_is_the_one_that_did_not(
    tmp_path, monkeypatch, trips, beside, what
):
    monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda: beside)
    trips.what = what
    for name, seeds in (("whole", ()), ("faulty", (1, 4, SELECTION, measured_seed(0, 1, 0)))):
        trips.made.clear()
        trips.seeds = set(seeds)
        distill(pendulum_teacher(), pendulum, "mlp:8", out=tmp_path / name, env_restarts=20, **QUICK)
    whole, nothing, none = without_restarts(contents(tmp_path / "whole"))
    faulty, counts, total = without_restarts(contents(tmp_path / "faulty"))
    assert faulty == whole
    assert (nothing, none) == ([0] * 5, 0)
    # One for each of four judgements; teacher and random policy in an episode that scales the proof; three policies,
    # and the teacher by sampling, in two episodes of the proof; one in the measurement.
    assert (counts, total) == ([1, 2, 3, 4, 15], 15)


def test_without_restarts_nothing_is_counted(tmp_path):
    distill(pendulum_teacher(), pendulum, "mlp:8", out=tmp_path / "run", **QUICK)
    found, counts, total = without_restarts(contents(tmp_path / "run"))
    assert set(counts) == {None}
    assert total is None
    assert "env_restarts" not in found["evaluation"]


@pytest.mark.parametrize(
    ("seeds", "allowed", "where"),
    [({SELECTION}, 0, r"seed 1073741824"), ({3}, 0, r"seed 3"), ({1, 4}, 5, r"seed \d: .*\(5 restarts were used\)")],
)
def test_a_run_stops_in_judging_and_proof_where_no_restart_is_left(trips, one_core, seeds, allowed, where, capsys):
    trips.seeds, trips.attempts = seeds, range(1, 100, 1 if allowed == 0 else 2)

    def run():
        distill(pendulum_teacher(), pendulum, "mlp:8", env_restarts=allowed, **QUICK)

    assert guarded(run) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("policy-distill:")]
    assert len(said) == 1
    with pytest.raises(RunFault, match=rf"environment \d at step 6 of its episode, {where}"):
        trips.made.clear()
        run()


def test_a_limit_is_shared_with_a_process_beside():
    restarts = Restarts(3)
    assert restarts.take()
    pid = os.fork()
    if not pid:
        beside = restarts.beside()
        os._exit(10 * beside.take() + 1 * beside.take() + 100 * beside.take())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 11
    assert (restarts.n, restarts.n_here, restarts.beside().n_here) == (3, 1, 2)
    assert not restarts.take()
    assert restarts.n == 3


def test_what_the_process_beside_used_up_is_not_there_for_the_second_attempt_here(trips, monkeypatch, caplog):
    monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda: True)
    trips.seeds, trips.attempts, parent = {0}, range(1, 100), os.getpid()
    # The student's own episodes, in this process, are whole.
    monkeypatch.setattr(trips, "raises", lambda self, obs, reward: _fail_unless(os.getpid() == parent, obs, reward))
    restarts = Restarts(2)
    found = compare_policies(cartpole_teacher(), cartpole_teacher(), cart_pole, ProofPlan(2, 0), restarts=restarts)
    assert found.retention.iqm == 1.0
    assert restarts.n == restarts.beside().n_here == 2


def _fail_unless(fine, obs, reward):
    if not fine:
        raise OSError("the motor stalled")
    return obs, reward


@pytest.mark.parametrize("allowed", [1, 0])
def test_an_environment_that_cannot_be_made_during_a_run_is_a_fault_of_it(monkeypatch, allowed, one_core):
    made = Counter()

    def make():
        made["all"] += 1
        # The first four collect; the next is of the first judgement.
        if made["all"] == 5:
            raise OSError("the port is in use")
        return gymnasium.make("Pendulum-v1")

    if allowed:
        assert (
            distill(pendulum_teacher(), make, "linear", env_restarts=allowed, **QUICK).evaluation["env_restarts"] == 1
        )
    else:
        with pytest.raises(RunFault, match=r"environment 0 .*could not be made .*: OSError: the port is in use"):
            distill(pendulum_teacher(), make, "linear", **QUICK)


def test_an_environment_that_cannot_be_closed_does_not_end_the_run(caplog):
    class Stuck(gymnasium.Wrapper):
        def close(self):
            raise OSError("the bus is busy")

    assert evaluate(pendulum_teacher(), lambda: Stuck(gymnasium.make("Pendulum-v1")), 2).n_episodes == 2
    assert "environment 0 could not be closed: OSError: the bus is busy" in caplog.text


def training_seeds():
    return {training_seed(0, index, episode) for index in range(4) for episode in range(4)}


@pytest.mark.parametrize("what", ["raises", "hangs"])
def test_what_fails_while_its_episode_is_brought_back_is_brought_back_again(tmp_path, trips, what, caplog):
    settings = {**QUICK, "env_timeout": 0.4, "eval_episodes": 0}
    trips.what = what
    distill(pendulum_teacher(), pendulum, "mlp:8", out=tmp_path / "whole", env_restarts=4, **settings)
    trips.made.clear()
    arguments = {**settings, "out": tmp_path / "run"}
    with pytest.raises(Stop):
        distill(pendulum_teacher(), pendulum, "mlp:8", tracker=Dies(384), **arguments)
    # An episode of the training begins once in a run; a second time where it is brought back.
    trips.seeds, trips.attempts = training_seeds(), (2,)
    with pytest.raises(RunFault, match=r"environment 0 at step 6 of its episode, seed \d{10}: .*(stalled|took longer)"):
        distill(pendulum_teacher(), pendulum, "mlp:8", resume=True, **arguments)
    trips.attempts = (3,)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        distill(pendulum_teacher(), pendulum, "mlp:8", resume=True, env_restarts=4, **arguments)
    whole, _, _ = without_restarts(contents(tmp_path / "whole"))
    found, counts, total = without_restarts(contents(tmp_path / "run"))
    assert found == whole
    assert total >= 3
    assert counts[-1] == total
    assert "could not be brought back" not in caplog.text
    steps = [row["time/env_steps"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert steps == [128, 256, 384, 512, 512]


def test_a_vector_that_was_handed_over_is_not_restarted_and_one_environment_is_reset(trips):
    whole = evaluate(cartpole_teacher(), cart_pole, 3, 20, n_envs=1)
    trips.seeds, restarts = {20, 22}, Restarts(5)
    trips.made.clear()
    vector = VecFrameStack(DummyVecEnv([cart_pole]), 1)
    with pytest.raises(RunFault, match=r"one of 1 environments at step \d+: OSError: the motor stalled; fix the"):
        run_episodes(cartpole_teacher(), open_environments(vector, 1, restarts=restarts), 3, 20, True)
    assert restarts.n == 0
    trips.made.clear()
    found = run_episodes(cartpole_teacher(), open_environments(cart_pole(), 1, restarts=restarts), 3, 20, True)
    assert np.array_equal(found.returns, whole.returns)
    assert restarts.n == 2
