"""Workers step the environments: the student is the one that a single process makes."""

import logging
import os
import random
import signal
import sys
import threading

import gymnasium
import numpy as np
import pytest

from policy_distill.collection.workers import staff
from policy_distill.errors import RequestError, RunFault
from policy_distill.run.distill import distill
from policy_distill.seeds import training_seed
from policy_distill.system.interrupts import Interrupted
from policy_distill.system.stopwatch import Stopwatch
from policy_distill.system.workers import local
from policy_distill.system.workers.local import LocalPool, LocalWorker
from policy_distill.system.workers.settings import WorkerSettings
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.golden_runs import Pair, untrained
from tests.kill import contents
from tests.run.test_resume import QUICK, Dies, Memory, Stop

SETTINGS = {**QUICK, "timesteps": 768, "eval_episodes": 0}


def made_by(workers, make_teacher, env, student="mlp:8", **settings):
    result = distill(make_teacher(), env, student, workers=workers, **{**SETTINGS, **settings})
    return result.student.tensors, result.evaluation["agreement"]


def assert_equal(one, other):
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert all(np.array_equal(array, other[0][name]) for name, array in one[0].items())


def masked_teacher():
    from sb3_contrib import MaskablePPO

    return untrained(MaskablePPO, "MultiInputPolicy", Pair())


def lstm_teacher():
    from sb3_contrib import RecurrentPPO

    return untrained(RecurrentPPO, "MlpLstmPolicy", gymnasium.make("CartPole-v1"))


@pytest.mark.parametrize(
    ("make_teacher", "env", "settings"),
    [
        (cartpole_teacher, "CartPole-v1", {"acting": "sample"}),
        (pendulum_teacher, "Pendulum-v1", {"student": "tree:8"}),
        (Memory, "CartPole-v1", {"actor": "mixed", "student": "gru:4"}),
        (lstm_teacher, "CartPole-v1", {"actor": "mixed"}),
        (masked_teacher, Pair, {}),
        (cartpole_teacher, "CartPole-v1", {"actor": "teacher", "drop_worst": 0.1}),
        (pendulum_teacher, "Pendulum-v1", {"objective": "reverse_trajectory"}),
        (pendulum_teacher, "Pendulum-v1", {"collect_perturb": "sticky:0.25", "student": "history:3a+mlp:8"}),
    ],
)
def test_the_student_is_the_same_with_any_number_of_workers(make_teacher, env, settings):
    alone = made_by(0, make_teacher, env, **settings)
    for workers in (1, 3):
        assert_equal(alone, made_by(workers, make_teacher, env, **settings))


def test_workers_that_are_killed_again_and_again_change_nothing(monkeypatch, caplog):
    rng, ask, killed = random.Random(0), LocalWorker.ask, []
    fatal = set(rng.sample(range(40), 10))

    def asked(worker, request):
        ask(worker, request)
        killed.append(len(killed) in fatal)
        if killed[-1]:
            # Some before they begin, some within their work.
            worker.process.join(rng.choice((0.0, 0.005, 0.02)))
            worker.process.kill()

    alone = made_by(0, pendulum_teacher, "Pendulum-v1", timesteps=2048)
    monkeypatch.setattr(LocalWorker, "ask", asked)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        assert_equal(alone, made_by(2, pendulum_teacher, "Pendulum-v1", timesteps=2048))
    assert sum(killed) == 10
    # One that is killed between greeting and question is lost once.
    assert caplog.text.count("a worker was lost") >= 5
    assert "could not be brought back" not in caplog.text


def test_a_run_with_workers_goes_on_with_another_number_of_them(tmp_path):
    settings = {**QUICK, "eval_episodes": 2}
    distill(Memory(), "CartPole-v1", "gru:4", out=tmp_path / "whole", workers=0, **settings)
    for number, (step, workers) in enumerate(((384, 3), (768, 0))):
        with pytest.raises(Stop):
            distill(
                Memory(), "CartPole-v1", "gru:4",
                out=tmp_path / "died", tracker=Dies(step), resume=number > 0, workers=workers, **settings,
            )  # fmt: skip
    distill(Memory(), "CartPole-v1", "gru:4", out=tmp_path / "died", resume=True, workers=2, **settings)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")


def pids(monkeypatch):
    """Note the processes that are started."""
    started, start = [], LocalPool.start

    def noted(pool, make):
        worker = start(pool, make)
        started.append(worker.process.pid)
        return worker

    monkeypatch.setattr(LocalPool, "start", noted)
    return started


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_that_is_asked_to_stop_leaves_a_checkpoint_and_no_process(tmp_path, monkeypatch):
    class Asks(Dies):
        def log(self, metrics, step):
            if step == self.step:
                os.kill(os.getpid(), signal.SIGTERM)

    started = pids(monkeypatch)
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", out=tmp_path / "whole", workers=0, **SETTINGS)
    assert not started
    arguments = {"out": tmp_path / "run", "workers": 2, **SETTINGS}
    with pytest.raises(Interrupted, match="the checkpoint is written"):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", tracker=Asks(384), **arguments)
    assert len(started) == 2
    assert not any(map(is_there, started))
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", resume=True, **arguments)
    assert contents(tmp_path / "whole") == contents(tmp_path / "run")


@pytest.mark.parametrize(("cores", "relief", "expected"), [(2, 3.9, 1), (2, 4.0, 2), (3, 9.0, 3), (2, 0.1, 1)])
def test_cores_that_are_idle_are_used_where_that_pays_and_nothing_tells(monkeypatch, cores, relief, expected):
    monkeypatch.setattr(staff, "has_idle_core", lambda: True)
    monkeypatch.setattr(staff, "n_cores", lambda: cores)
    monkeypatch.setattr(Stopwatch, "relief", relief)
    started = pids(monkeypatch)
    made_by("auto", pendulum_teacher, "Pendulum-v1")
    assert not started, "over before a worker would have begun"
    monkeypatch.setattr(staff, "WORTH_IT", 0.0)
    assert_equal(made_by(0, pendulum_teacher, "Pendulum-v1"), made_by("auto", pendulum_teacher, "Pendulum-v1"))
    assert len(started) == expected


class Drifts(Corridor):
    """An environment whose episodes are no function of their seeds."""

    n_made = 0

    def _obs(self):
        self.n_made += 1
        return np.array([self.t / self.length, self.n_made % 7], dtype=np.float32)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_workers_that_nobody_asked_for_have_the_environments_as_they_stand(monkeypatch, caplog, cores):
    monkeypatch.setattr(staff, "has_idle_core", lambda: True)
    monkeypatch.setattr(staff, "n_cores", lambda: cores)
    monkeypatch.setattr(staff, "WORTH_IT", 0.0)
    monkeypatch.setattr(Stopwatch, "relief", 9.0)
    found = []
    for workers in (0, "auto"):
        found.append(made_by(workers, corridor_teacher, lambda: Drifts(length=100))[0])
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())
    assert not caplog.text


def test_a_worker_that_nobody_asked_for_and_that_always_dies_is_done_without(monkeypatch, caplog):
    monkeypatch.setattr(staff, "has_idle_core", lambda: True)
    monkeypatch.setattr(staff, "WORTH_IT", 0.0)
    ask, asked = LocalWorker.ask, []

    def dies(worker, request):
        asked.append(ask(worker, request))
        if len(asked) > 3:
            worker.process.kill()

    monkeypatch.setattr(LocalWorker, "ask", dies)
    alone = made_by(0, pendulum_teacher, "Pendulum-v1")
    assert_equal(alone, made_by("auto", pendulum_teacher, "Pendulum-v1"))
    assert "this process steps all environments itself" in caplog.text
    assert "could not be brought back" not in caplog.text
    with pytest.raises(RunFault, match="workers were lost in one piece of work"):
        made_by(1, pendulum_teacher, "Pendulum-v1")


class Fails(Corridor):
    """Raises in the third episode of environment 2, which its seed tells."""

    def reset(self, *, seed=None, options=None):
        self.fails = seed == training_seed(0, 2, 2)
        return super().reset(seed=seed)

    def step(self, action):
        if self.fails and self.t == 4:
            raise OSError("the motor stalled")
        return super().step(action)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_in_a_worker_is_named_by_its_number_among_all(workers):
    with pytest.raises(RunFault, match=r"environment 2 at step 5 of its episode, .*the motor stalled"):
        distill(corridor_teacher(), Fails, "linear", workers=workers, **SETTINGS)


def test_restarts_are_counted_over_all_workers():
    alone = made_by(0, corridor_teacher, Fails, env_restarts=1)
    assert_equal(alone, made_by(3, corridor_teacher, Fails, env_restarts=1))


@pytest.mark.parametrize(
    ("workers", "env", "message"),
    [
        (2, Corridor(), "expected no --workers where environments are passed in"),
        (-1, Corridor, "expected workers from 0"),
        ("some", Corridor, "expected workers from 0 to 65536, or auto, found 'some'"),
    ],
)
def test_workers_that_cannot_be_are_refused(workers, env, message):
    with pytest.raises(RequestError, match=message):
        distill(corridor_teacher(), env, "linear", workers=workers, **{**SETTINGS, "n_envs": 1})


def test_a_backend_that_is_not_installed_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RequestError, match=r"pip install 'policy-distill\[ray\]'"):
        made_by(WorkerSettings(2, "ray"), pendulum_teacher, "Pendulum-v1")
    with pytest.raises(RequestError, match="expected a number of workers for --backend ray"):
        WorkerSettings(backend="ray")
    with pytest.raises(RequestError, match="expected --backend ray with --address auto"):
        WorkerSettings(2, address="auto")


def test_what_cannot_be_sent_is_said_in_one_line(monkeypatch):
    teacher = corridor_teacher()
    teacher.lock = threading.Lock()
    # Where a fork cannot be, all that a worker has is sent.
    monkeypatch.setattr(local, "can_fork", lambda: False)
    with pytest.raises(RequestError, match=r"can be sent to a worker, found TypeError.*set --workers 0"):
        distill(teacher, Corridor, "linear", workers=1, **SETTINGS)
