import json
import os
import re
import signal
import threading
import time
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack

from policy_distill.environments.faults import Misbehaviour, make_writer
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.open import open_environments
from policy_distill.environments.restarts import Restarts
from policy_distill.environments.vectors import Sb3Environments
from policy_distill.environments.watch import step_limit
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.run.distill import distill
from policy_distill.student.file import read_sealed
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import Corridor, corridor_teacher

QUICK = {"timesteps": 512, "n_envs": 4, "n_steps": 32, "eval_episodes": 0}


class Unreliable(Corridor):
    """Does something at its 25th step, once for each name in a process."""

    done: ClassVar[set[str]] = set()

    def __init__(self, what, once=True):
        super().__init__()
        self.what, self.once = what, once

    def step(self, action):
        obs, *rest = super().step(action)
        if self.total == 25 and not (self.once and self.what in self.done):
            self.done.add(self.what)
            obs, rest[0] = getattr(self, self.what)(obs, rest[0])
        return obs, *rest

    def raises(self, obs, reward):
        raise ZeroDivisionError("the motor stalled")

    def nan(self, obs, reward):
        return np.full(2, np.nan, np.float32), reward

    def nan_reward(self, obs, reward):
        return obs, float("nan")

    def long(self, obs, reward):
        return np.zeros(3, np.float32), reward

    def broadcast(self, obs, reward):
        return np.zeros(1, np.float32), reward

    def complex(self, obs, reward):
        return obs.astype(np.complex64), reward

    def text(self, obs, reward):
        return np.array(["0", "1"]), reward

    def nothing(self, obs, reward):
        return None, reward

    def hangs(self, obs, reward):
        time.sleep(600)

    def dies(self, obs, reward):
        os._exit(3)

    def leaves(self, obs, reward):
        raise SystemExit(3)


FAULTS = {
    "raises": "ZeroDivisionError: the motor stalled",
    "nan": "returned nan in an observation",
    "nan_reward": "rewards of its episode sum to nan",
    "long": r"of shape \(3,\), expected \(2,\)",
    "broadcast": r"of shape \(1,\), expected \(2,\)",
    "complex": "of dtype complex64, expected float32",
    "text": "of dtype <U1, expected float32",
    "nothing": r"of shape \(\), expected \(2,\)",
    "leaves": r"called sys\.exit\(3\)",
    "hangs": r"took longer than 0\.4 seconds",
}


@pytest.fixture(autouse=True)
def fresh():
    Unreliable.done.clear()


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_stops_the_run_with_index_step_and_seed(what):
    with pytest.raises(RunFault, match=FAULTS[what]) as fault:
        distill(corridor_teacher(), lambda: Unreliable(what, once=False), "linear", **QUICK, env_timeout=0.4)
    assert re.search(r"environment 0 at step \d+ of its episode, seed \d+: ", str(fault.value))
    assert str(fault.value).isprintable()


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_survived_where_restarts_are_allowed(tmp_path, what):
    result = distill(
        corridor_teacher(),
        lambda: Unreliable(what),
        "linear",
        **QUICK,
        env_timeout=0.4,
        env_restarts=1,
        out=tmp_path / "r",
    )
    rows = read_metrics(tmp_path / "r" / "metrics.jsonl")
    assert [row["rollout/env_restarts"] for row in rows if "rollout/env_restarts" in row][-1] == 1
    assert result.evaluation["env_steps"] == 512
    assert all(np.isfinite(array).all() for array in result.student.tensors.values())


def test_restarts_run_out():
    with pytest.raises(RunFault, match=r"1 restarts were used.*--env-restarts"):
        distill(corridor_teacher(), lambda: Unreliable("raises", once=False), "linear", **QUICK, env_restarts=1)


def test_the_seed_that_is_named_leads_back_to_the_fault():
    envs = open_environments(lambda: Unreliable("raises", once=False), 2)
    for index in range(2):
        envs.reset(index, 40 + index)
    with pytest.raises(RunFault, match="environment 0 at step 25 of its episode, seed 40"):
        for _ in range(30):
            envs.step(np.array([1, 1]))


def test_an_environment_that_fails_at_its_reset_is_restarted_too():
    failures = iter([True, True, False])

    class Late(Corridor):
        def reset(self, **kwargs):
            if next(failures, False):
                raise OSError("the port is in use")
            return super().reset(**kwargs)

    envs = open_environments(Late, 1, restarts=Restarts(2))
    envs.reset(0, 3)
    assert envs.faults.n_restarts == 2
    assert np.array_equal(envs.obs[0], [0.0, 1.0])


def test_the_checkpoint_before_a_fault_stays_whole_and_resumes(tmp_path):
    failing = {"failing": True}

    class Flaky(Corridor):
        def step(self, action):
            if failing["failing"] and self.total > 90:
                raise OSError("gone")
            return super().step(action)

    arguments = {**QUICK, "out": tmp_path / "run", "checkpoint_every": 128}
    with pytest.raises(RunFault, match="OSError: gone"):
        distill(corridor_teacher(), Flaky, "linear", **arguments)
    (checkpoint, *_) = [path for path in sorted((tmp_path / "run" / "checkpoint").iterdir()) if path.is_file()]
    read_sealed(checkpoint)
    failing["failing"] = False
    result = distill(corridor_teacher(), Flaky, "linear", resume=True, env_restarts=2, **arguments)
    assert result.evaluation["env_steps"] == 512


def test_the_proof_stops_at_a_fault_and_restarts_nothing():
    with pytest.raises(RunFault, match=r"environment \d at step \d+ of its episode, seed \d+"):
        evaluate(corridor_teacher(), lambda: Unreliable("raises", once=False), 40)
    with pytest.raises(
        RunFault, match=r"environment \d at step \d+ of its episode, seed \d+: the rewards .* sum to nan"
    ):
        evaluate(corridor_teacher(), lambda: Unreliable("nan_reward", once=False), 40)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("dies", "environment 1 .*its process died .exit code 3."),
        ("raises", "environment 1 .*its process died"),
        ("hangs", r"environment 1 .*took longer than 1 seconds"),
    ],
)
def test_the_culprit_is_found_among_sb3s_processes(what, message, capfd):
    envs = SubprocVecEnv([Corridor, lambda: Unreliable(what)], start_method="fork")
    try:
        with pytest.raises(RunFault, match=message) as fault:
            distill(corridor_teacher(), envs, "linear", **QUICK, env_timeout=1.0, env_restarts=5)
        assert re.search(r"at step \d+ of its episode, seed \d+", str(fault.value))
    finally:
        for process in envs.processes:
            process.kill()


def test_the_culprit_is_found_among_gymnasiums_processes():
    envs = gymnasium.vector.AsyncVectorEnv([Corridor, lambda: Unreliable("dies")], context="fork")
    try:
        with pytest.raises(RunFault, match=r"environment 1 .*its process died .exit code 3."):
            distill(corridor_teacher(), envs, "linear", **QUICK)
    finally:
        # It would wait for the dead and warn of it.
        envs.closed = True
        for process in envs.processes:
            process.kill()


@pytest.mark.parametrize("kind", ["sb3", "gymnasium"])
def test_a_vector_that_fails_in_its_first_reset_is_told_by_its_seed(kind):
    class Stuck(Corridor):
        def reset(self, *, seed=None, options=None):
            raise ZeroDivisionError("the motor stalled")

    makers = [Corridor, Stuck]
    if kind == "sb3":
        envs = SubprocVecEnv(makers, start_method="fork")
    else:
        envs = gymnasium.vector.AsyncVectorEnv(makers, context="fork")
    try:
        with pytest.raises(RunFault, match=r"environment 1 .*seed \d+"):
            distill(corridor_teacher(), envs, "linear", **QUICK, env_timeout=2.0)
    finally:
        envs.closed = True
        for process in envs.processes:
            process.kill()


def test_a_vector_in_one_process_names_the_step():
    envs = VecFrameStack(DummyVecEnv([lambda: Unreliable("raises")]), 1)
    with pytest.raises(RunFault, match=r"one of 1 environments at step \d+: ZeroDivisionError"):
        distill(corridor_teacher(), envs, "linear", **QUICK)


def test_a_vector_of_the_wrong_shape_or_dtype_is_named():
    vector = DummyVecEnv([Corridor] * 2)
    envs = Sb3Environments(vector)
    for wrong, message in ((np.zeros((2, 3), np.float32), "of shape"), (np.zeros((2, 2), complex), "of dtype complex")):
        vector.reset = lambda wrong=wrong: wrong
        envs.reset(0, 5)
        with pytest.raises(RunFault, match=rf"one of 2 environments at step \d+: it returned observations {message}"):
            envs.reset(1, 6)


def test_what_can_be_converted_is_stored_and_the_rest_is_not():
    stored = np.zeros((2, 2), np.float32)
    write = make_writer(stored)
    for good in (np.ones(2, np.float64), [1, 1], np.ones(2, np.float16)):
        write(0, good)
        assert np.array_equal(stored[0], [1, 1])
    write_image = make_writer(np.zeros((1, 2), np.uint8))
    write_image(0, np.array([3, 255], np.uint8))
    with pytest.raises(Misbehaviour, match="of dtype float64, expected uint8"):
        write_image(0, np.array([0.5, 0.5]))
    make_writer(np.zeros(3, np.int64))(1, 2)


def test_a_step_limit_leaves_the_signal_as_it_was_and_slow_work_outside_steps_alone():
    before = signal.getsignal(signal.SIGUSR2)
    envs = EnvironmentList([Corridor()])
    envs.reset(0, 0)
    with step_limit(0.1):
        envs.step(np.array([1]))
        time.sleep(0.5)
    assert signal.getsignal(signal.SIGUSR2) is before
    with step_limit(0.0):
        assert signal.getsignal(signal.SIGUSR2) is before
    thread = threading.Thread(target=lambda: step_limit(1.0).__enter__())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGUSR2) is before


def test_many_slow_resets_are_not_one_that_hangs():
    class Slow(Corridor):
        def reset(self, **options):
            time.sleep(0.15)
            return super().reset(**options)

    envs = open_environments(Slow, 8, restarts=Restarts(0))
    with step_limit(0.4):
        for index in range(8):
            envs.reset(index, index)
    assert envs.faults.n_calls == 8


def test_a_run_without_faults_is_the_same_with_and_without_restarts():
    runs = [distill(corridor_teacher(), Corridor, "linear", **QUICK, env_restarts=n).student for n in (0, 3)]
    assert all(np.array_equal(runs[0].tensors[name], runs[1].tensors[name]) for name in runs[0].tensors)


class HangsElsewhere(Corridor):
    """Never answers in another process than this one."""

    here = os.getpid()

    def step(self, action):
        if os.getpid() != self.here:
            time.sleep(3600)
        return super().step(action)


def test_a_teacher_that_hangs_in_the_proof_beside_the_training_is_tried_again_here():
    done = distill(
        corridor_teacher(), lambda: HangsElsewhere(), "linear", **{**QUICK, "eval_episodes": 2}, env_timeout=0.4
    )
    assert len(done.comparison.teacher.returns) == 2


@pytest.mark.parametrize("setting", [{"env_restarts": -1}, {"env_timeout": -1.0}, {"env_timeout": float("nan")}])
def test_wrong_limits_are_refused(setting):
    with pytest.raises(RequestError, match=next(iter(setting))):
        distill(corridor_teacher(), Corridor, "linear", **QUICK, **setting)


def test_the_command_line_names_the_fault_in_one_line(tmp_path, capsys):
    from policy_distill.cli import guarded

    def run():
        distill(corridor_teacher(), lambda: Unreliable("raises", once=False), "linear", **QUICK, out=tmp_path / "run")

    assert guarded(run) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())
