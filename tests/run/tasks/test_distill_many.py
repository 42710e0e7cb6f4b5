"""One student of several tasks: what it is, what is proven of it, and that a run goes on where it stopped."""

import json
import math
import signal

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from policy_distill import distill_many, load_student
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tasks_record import TasksRecord
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.run.distill import distill
from policy_distill.student.many import ManyTasks
from policy_distill.system.interrupts import Interrupted
from tests.doubles import Corridor, FormulaTeacher, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.kill import contents
from tests.run.test_resume import Dies, Memory, Stop

QUICK = {
    **{"timesteps": 1024, "n_envs": 4, "n_steps": 32, "n_epochs": 4, "batch_size": 64, "checkpoint_every": 128},
    **{"eval_episodes": 4, "select_episodes": 2},
}


def pairs():
    return [(cartpole_teacher(), "CartPole-v1"), (pendulum_teacher(), "Pendulum-v1"), (corridor_teacher(), Corridor)]


def listed(out):
    found = contents(out)
    for one in found["evaluation"]["tasks"].values():
        del one["wall_seconds"]
    return found


def test_a_run_writes_one_student_its_proofs_and_a_page(tmp_path):
    result = distill_many(pairs(), "mlp:8,8", out=tmp_path / "run", singles=None, **QUICK)
    assert list(result.results) == ["cartpole", "pendulum", "task"]
    student = load_student(tmp_path / "run" / "student.safetensors")
    assert isinstance(student, ManyTasks)
    assert student.task_names == ("cartpole", "pendulum", "task")
    record = TasksRecord.from_json(json.loads((tmp_path / "run" / "evaluation.json").read_text()))
    assert record == TasksRecord.from_json(result.evaluation)
    assert record.env_steps == 3 * 1024
    assert record.student.n_params == student.n_params
    alone = record.singles.n_params
    assert record.singles.total == sum(alone.values()) > student.n_params > max(alone.values())
    assert record.singles.largest == max(alone.values())
    assert all(one.n_episodes == 4 and one.retention is not None for one in record.tasks.values())
    assert record.tasks["cartpole"].env_id == "CartPole-v1"
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["time/env_steps"] for row in rows] == [*range(384, 3073, 384), 3072]
    assert {"train/loss", "train/kl", "task/pendulum/train/kl", "task/cartpole/rollout/student_return"} <= set(rows[-2])
    assert {"eval/retention", "task/cartpole/eval/retention", "task/pendulum/eval/student_return"} <= set(rows[-1]) | {
        "eval/retention",
        "task/cartpole/eval/retention",
    }
    page = (tmp_path / "run" / "report.html").read_text()
    assert "3 tasks" in page and "Retention by task" in page


def test_each_tasks_student_is_an_ordinary_one_with_one_body(tmp_path):
    result = distill_many(pairs(), "shared:8,6+mlp:5", **QUICK)
    cartpole, pendulum = (result.student.task(name) for name in ("cartpole", "pendulum"))
    assert cartpole.description.architecture.spec == "mlp:8,6,5"
    assert np.array_equal(cartpole.tensors["network.2.weight"], pendulum.tensors["network.2.weight"])
    assert not np.array_equal(cartpole.tensors["network.4.weight"], pendulum.tensors["network.4.weight"])
    obs = gymnasium.make("CartPole-v1").observation_space.sample()
    assert cartpole.act(obs) == result.results["cartpole"].student.act(obs)
    alone = cartpole.save(tmp_path / "alone.safetensors")
    assert load_student(alone).act(obs) == cartpole.act(obs)
    assert result.student.task("CartPole-v1").n_params == cartpole.n_params


def test_the_same_seed_gives_the_same_student_and_another_one_another(tmp_path):
    made = [distill_many(pairs()[:2], "mlp:8,8", seed=seed, **QUICK).student for seed in (0, 0, 1)]
    first, again, other = (one.save(tmp_path / f"{i}.safetensors").read_bytes() for i, one in enumerate(made))
    assert first == again != other


@pytest.mark.parametrize(
    ("first", "settings"),
    [
        ((cartpole_teacher, "CartPole-v1"), {}),
        ((cartpole_teacher, "CartPole-v1"), {"inputs": "padded", "balance": "none", "buffer": "latest"}),
        ((Memory, "CartPole-v1"), {"actor": "mixed", "loss": "nll_sampled"}),
    ],
)
def test_a_run_that_died_twice_equals_one_that_did_not(tmp_path, first, settings, caplog):
    def run(name, **more):
        tasks = [(first[0](), first[1]), (pendulum_teacher(), "Pendulum-v1")]
        distill_many(tasks, "mlp:8,8", out=tmp_path / name, **{**QUICK, **settings}, **more)

    run("whole")
    for number, step in enumerate((512, 1536)):
        with pytest.raises(Stop):
            run("died", tracker=Dies(step), resume=number > 0)
    assert newest_first(tmp_path / "died" / "checkpoint")
    run("died", resume=True)
    assert listed(tmp_path / "died") == listed(tmp_path / "whole")
    assert "differs" not in caplog.text


class Signals(Corridor):
    """Has its process asked to stop at a step of its own."""

    at = None

    def step(self, action):
        found = super().step(action)
        if self.total == self.at:
            # Once, and not by each of those that are stepped side by side.
            type(self).at = None
            signal.raise_signal(signal.SIGINT)
        return found


def test_a_run_that_is_asked_to_stop_while_it_collects_goes_back_in_every_task_and_goes_on(tmp_path, monkeypatch):
    def run(name, **more):
        tasks = [(pendulum_teacher(), "Pendulum-v1"), (corridor_teacher(), Signals)]
        distill_many(tasks, "mlp:8,8", out=tmp_path / name, **QUICK, **more)

    run("whole")
    monkeypatch.setattr(Signals, "at", 100)
    # In the fourth rollout of the second task, when the first task's was there already.
    with pytest.raises(Interrupted, match="at 384 of 1024 steps; the checkpoint is written"):
        run("stopped")
    run("stopped", resume=True)
    assert listed(tmp_path / "stopped") == listed(tmp_path / "whole")


def test_another_run_is_not_gone_on_with(tmp_path):
    with pytest.raises(Stop):
        distill_many(pairs(), "mlp:8,8", out=tmp_path / "run", tracker=Dies(1500), **QUICK)
    with pytest.raises(RequestError, match="made with"):
        distill_many(pairs(), "mlp:8,8", balance="none", out=tmp_path / "run", resume=True, **QUICK)
    with pytest.raises(RequestError, match="made with"):
        distill_many(pairs()[:2], "mlp:8,8", out=tmp_path / "run", resume=True, **QUICK)


def test_a_student_that_is_not_told_its_task_is_one_network_for_all():
    # Two teachers that want the opposite of each other in the same states.
    def teacher(sign):
        env = Corridor()
        return FormulaTeacher(env.observation_space, env.action_space, [[0.0, 0.0], [0.0, 3.0 * sign]])

    tasks = {"right": (teacher(1), Corridor), "left": (teacher(-1), Corridor)}
    told = distill_many(tasks, "mlp:8", **QUICK).student
    blind = distill_many(tasks, "mlp:8", task_blind=True, **QUICK).student
    obs = np.array([0.5, 1.0], np.float32)
    assert [told.task(name).act(obs) for name in tasks] == [1, 0]
    assert blind.task_blind
    assert blind.task("right").act(obs) == blind.task("left").act(obs)
    assert blind.n_params == blind.task("right").n_params < told.n_params
    right, left = (blind.task(name) for name in tasks)
    assert np.array_equal(right.normalizer.mean, left.normalizer.mean)


def test_without_a_proof_there_is_a_student_and_nothing_is_claimed():
    result = distill_many(pairs()[:2], "mlp:8,8", prove=False, **QUICK)
    assert result.together is None
    assert result.retention == {"cartpole": None, "pendulum": None}
    assert result.record.tasks["cartpole"].retention is None


def test_single_students_are_compared_with_where_they_are_given(tmp_path):
    single = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", **QUICK, stop="never").student
    path = single.save(tmp_path / "single.safetensors")
    tasks = {"a": (cartpole_teacher(), "CartPole-v1"), "b": (pendulum_teacher(), "Pendulum-v1")}
    found = distill_many(tasks, "mlp:8,8", singles={"a": path, "b": single}, **QUICK)
    assert found.record.singles.given
    assert found.record.singles.n_params == {"a": single.n_params, "b": single.n_params}
    assert math.isclose(found.record.singles.of_largest, found.student.n_params / single.n_params)


class Picture(gymnasium.Env):
    """Shows an image."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((36, 36, 1), np.uint8), {}

    def step(self, action):
        return np.zeros((36, 36, 1), np.uint8), 0.0, True, False, {}


def picture_teacher():
    return FormulaTeacher(Picture.observation_space, Picture.action_space, np.zeros((1, 2)))


CARTPOLE = (cartpole_teacher, "CartPole-v1")


@pytest.mark.parametrize(
    ("tasks", "student", "options", "words"),
    [
        ([CARTPOLE], "mlp:8,8", {}, "expected from 2 to 100 tasks"),
        ([CARTPOLE, CARTPOLE], "linear", {}, "expected a student of several tasks such as mlp:64,64"),
        (
            [CARTPOLE, (picture_teacher, Picture)],
            "mlp:8,8",
            {},
            "expected vector observations in every task.*image .* in task",
        ),
        ([CARTPOLE, (pendulum_teacher, "Pendulum-v1")], "mlp:8", {}, "expected a body to share, found 'mlp:8'"),
        (
            [CARTPOLE, (pendulum_teacher, "Pendulum-v1")],
            "mlp:8",
            {"task_blind": True},
            "expected one observation_space",
        ),
        ([CARTPOLE, (pendulum_teacher, "Pendulum-v1")], "mlp:8,8", {"balance": "entropy"}, "an entropy below 0"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"balance": "fair"}, "balance must be one of divergence, entropy, none"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"inputs": "mine"}, "inputs must be one of own, padded"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"observe": "0,1"}, "expected observe at its default"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"drop_worst": 0.1}, "expected drop_worst at its default"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"singles": {"cartpole": "x"}}, "a single student for every task or for none"),
        ([CARTPOLE, CARTPOLE], "mlp:8", {"timestep": 5}, "distill has no setting 'timestep'"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_one_line(tasks, student, options, words):
    with pytest.raises(RequestError, match=words) as refused:
        distill_many([(make(), env) for make, env in tasks], student, **{**QUICK, **options})
    assert "\n" not in str(refused.value)


def test_vectors_of_different_sizes_are_refused():
    tasks = {"a": (corridor_teacher(), DummyVecEnv([Corridor] * 2)), "b": (corridor_teacher(), Corridor)}
    with pytest.raises(
        RequestError, match="expected the same number of environments in every task, found 2 in a, 4 in b"
    ):
        distill_many(tasks, "mlp:8", **QUICK)


def test_names_are_those_of_folders_and_metrics():
    tasks = {"a/b": (cartpole_teacher(), "CartPole-v1"), "c": (cartpole_teacher(), "CartPole-v1")}
    with pytest.raises(RequestError, match=r"expected names of letters, digits.* found 'a/b'"):
        distill_many(tasks, "mlp:8", **QUICK)
    two = distill_many([(cartpole_teacher(), "CartPole-v1")] * 2, "mlp:8", **{**QUICK, "eval_episodes": 0})
    assert two.student.task_names == ("cartpole", "cartpole-2")
    with pytest.raises(RequestError, match="several tasks in CartPole-v1: cartpole, cartpole-2"):
        two.student.task("CartPole-v1")
