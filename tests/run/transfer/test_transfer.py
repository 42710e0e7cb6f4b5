"""A student goes on in another task: what it takes along, what it learns there, and what is recorded of it."""

import json
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill import load_student
from policy_distill.errors import RequestError
from policy_distill.report.read_run import read_run
from policy_distill.run.transfer.transfer import transfer
from policy_distill.student.features import Normalizer
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.kill import contents
from tests.run.finetuning.doubles import QUICK, Aim, Anything, student_of
from tests.run.test_resume import Dies, Stop
from tests.students import KINDS, MEMORY_KINDS, make_student

BY_TEACHER = {
    **{"timesteps": 256, "n_envs": 4, "n_steps": 16, "n_epochs": 2, "batch_size": 16},
    **{"eval_episodes": 4, "select_episodes": 2, "checkpoint_every": 64},
}
BOX3 = spaces.Box(-1.0, 1.0, (3,), np.float32)


class Reversed(Aim):
    """Aim in the other direction."""

    def step(self, action):
        obs, reward, *rest = super().step(-action)
        return obs, reward, *rest


class Wider(Aim):
    """Aim that shows one more component than Aim does, before or behind those."""

    def __init__(self):
        super().__init__()
        self.observation_space = BOX3

    def _obs(self):
        return self.np_random.uniform(-1.0, 1.0, 3).astype(np.float32)


def parts_of(result):
    return {one.name: one.became for one in result.record.transfer.parts}


def test_by_reward_a_student_moves_to_what_pays_in_the_other_task(tmp_path):
    begun = student_of(Aim(), mean=0.5)
    settings = {**QUICK, "timesteps": 8192, "n_steps": 64, "learning_rate": 0.01, "eval_episodes": 40}
    result = transfer(begun, Reversed, out=tmp_path / "run", **settings)
    assert result.record.finetuning.outcome == "better"
    assert float(result.student.act(np.zeros(2, np.float32))[0]) < 0.0
    assert parts_of(result) == {"layer 1": "copied", "layer 2": "copied", "log_std": "copied"}
    found = json.loads((tmp_path / "run" / "evaluation.json").read_text())["transfer"]
    assert found["by"] == "reward"
    assert load_student(tmp_path / "run" / "student.safetensors").provenance["transfer"] == found
    assert read_run(tmp_path / "run").proof.transfer.words.endswith("by reward: 3 copied")


def test_frozen_layers_stay_and_the_others_learn():
    begun = student_of(Aim(), mean=-0.5)
    settings = {**QUICK, "learning_rate": 0.01, "eval_episodes": 0}
    result = transfer(begun, Aim, freeze=("body",), **settings)
    before, after = begun.tensors, result.student.tensors
    assert np.array_equal(before["network.0.weight"], after["network.0.weight"])
    assert not np.array_equal(before["network.2.weight"], after["network.2.weight"])
    assert [one.frozen for one in result.record.transfer.parts] == [True, False, False]


def test_by_a_teacher_of_the_new_task_frozen_layers_stay_too():
    begun = student_of(gymnasium.make("CartPole-v1"), "mlp:8,8")
    result = transfer(begun, "CartPole-v1", teacher=cartpole_teacher(), freeze=("1",), **BY_TEACHER)
    before, after = begun.tensors, result.student.tensors
    assert np.array_equal(before["network.0.weight"], after["network.0.weight"])
    assert not np.array_equal(before["network.2.weight"], after["network.2.weight"])
    assert result.record.transfer.by == "teacher"
    assert result.record.finetuning is None
    assert result.student.provenance["transfer"]["parts"][0]["frozen"] is True


def test_a_student_that_goes_on_by_a_teacher_begins_where_it_was():
    begun = student_of(gymnasium.make("CartPole-v1"), "mlp:8,8")
    result = transfer(begun, "CartPole-v1", teacher=cartpole_teacher(), **{**BY_TEACHER, "learning_rate": 1e-9})
    for name, array in begun.tensors.items():
        np.testing.assert_allclose(result.student.tensors[name], array, atol=1e-5)


def test_components_that_are_new_begin_at_zero_so_that_the_student_does_what_it_did():
    begun = student_of(Aim(), "mlp:8", seed=3)
    seen = []
    settings = {**QUICK, "learning_rate": 1e-9, "eval_episodes": 0}
    result = transfer(begun, Wider, on_moved=seen.append, **settings)
    obs = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)
    np.testing.assert_allclose(result.student.predict(obs)[0], begun.predict(obs[:, :2])[0], atol=1e-4)
    assert parts_of(result)["layer 1"] == "resized"
    assert "2 of 3 components kept; the others begin at 0" in seen[0].parts[0].said


def test_statistics_of_kept_components_stay_and_those_of_new_ones_are_measured():
    begun = student_of(Aim(), "mlp:8")
    told = Normalizer(np.array([0.25, -0.5]), np.array([4.0, 9.0]))
    whole = begun.metadata | {"observation_normalization": told.to_json()}
    result = transfer(Student(begun.tensors, whole), Wider, **{**QUICK, "eval_episodes": 0})
    found = result.student.normalizer
    np.testing.assert_allclose(found.mean[:2], told.mean)
    np.testing.assert_allclose(found.variance[:2], told.variance)
    assert abs(found.mean[2]) < 0.1
    assert found.variance[2] == pytest.approx(1 / 3, rel=0.1)


def test_other_actions_have_a_head_of_their_own_drawn_by_the_seed():
    begun = student_of(Aim(), "mlp:8")
    make = partial(Anything, Aim().observation_space, spaces.Discrete(3))
    one, same, other = (
        transfer(begun, make, **{**QUICK, "eval_episodes": 0, "learning_rate": 1e-9, "seed": seed})
        for seed in (0, 0, 1)
    )
    assert one.student.action_space == spaces.Discrete(3)
    assert parts_of(one) == {"layer 1": "copied", "layer 2": "begun anew"}
    np.testing.assert_array_equal(one.student.tensors["network.2.weight"], same.student.tensors["network.2.weight"])
    assert not np.allclose(one.student.tensors["network.2.weight"], other.student.tensors["network.2.weight"])


def test_actions_with_other_bounds_are_clipped_to_those():
    begun = student_of(Aim(), mean=0.9)
    narrow = partial(Anything, Aim().observation_space, spaces.Box(-0.5, 0.5, (1,), np.float32))
    result = transfer(begun, narrow, **{**QUICK, "eval_episodes": 0, "learning_rate": 1e-9})
    assert float(result.student.act(np.zeros(2, np.float32))[0]) == pytest.approx(0.5)
    assert parts_of(result)["action bounds"] == "begun anew"


def test_components_of_the_same_name_are_the_same_wherever_they_stand():
    begun = student_of(gymnasium.make("CartPole-v1"), "mlp:8")
    whole = begun.metadata | {"provenance": {"env_id": "CartPole-v1"}}
    settings = {**QUICK, "eval_episodes": 0, "learning_rate": 1e-9}
    result = transfer(Student(begun.tensors, whole), "MountainCar-v0", **settings)
    # A cart's position is called x, a car's position: nothing is the same.
    assert parts_of(result)["layer 1"] == "begun anew"


def test_a_slimmed_student_goes_on_where_spaces_are_the_same_and_stays_slimmed():
    result = transfer(slim(student_of(Aim(), mean=-0.5)), Aim, **{**QUICK, "eval_episodes": 0})
    assert result.student.plan.log_std == "dropped"


@pytest.mark.parametrize("teacher", [None, pendulum_teacher])
def test_a_run_that_died_twice_equals_one_that_did_not(tmp_path, teacher):
    begun = student_of(gymnasium.make("CartPole-v1"), "mlp:8")

    def run(name, **more):
        of = QUICK if teacher is None else {**BY_TEACHER, "teacher": teacher()}
        return transfer(begun, "Pendulum-v1", out=tmp_path / name, **{**of, "learning_rate": 0.003}, **more)

    run("whole")
    for number, step in enumerate((128, 192)):
        with pytest.raises(Stop):
            run("died", tracker=Dies(step), resume=number > 0)
    run("died", resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")


def test_a_frozen_run_goes_on_with_its_layers_frozen(tmp_path):
    begun = student_of(gymnasium.make("CartPole-v1"), "mlp:8,8")
    settings = {**BY_TEACHER, "teacher": cartpole_teacher(), "freeze": ("1",)}
    with pytest.raises(Stop):
        transfer(begun, "CartPole-v1", out=tmp_path / "run", tracker=Dies(128), **settings)
    with pytest.raises(RequestError, match=r"transfer\.freeze"):
        transfer(begun, "CartPole-v1", out=tmp_path / "run", resume=True, **{**settings, "freeze": ()})
    result = transfer(begun, "CartPole-v1", out=tmp_path / "run", resume=True, **settings)
    assert np.array_equal(begun.tensors["network.0.weight"], result.student.tensors["network.0.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"freeze": ("3",)}, "expected layers to freeze among 1, 2, log_std, body, head, found '3'"),
        ({"freeze": ("1", "head")}, "expected at least one layer left to train"),
        ({"freeze": ("1",), "method": "es"}, "freeze"),
        ({"critic_step": 3}, "transfer has no setting 'critic_step'"),
    ],
)
def test_a_wrong_request_is_refused_before_the_first_step(change, words):
    with pytest.raises(RequestError, match=words) as error:
        transfer(student_of(Aim()), Aim, **{**QUICK, **change})
    assert "\n" not in str(error.value)


def test_a_layer_that_begins_anew_cannot_be_frozen():
    make = partial(Anything, Aim().observation_space, spaces.Discrete(3))
    with pytest.raises(RequestError, match="found layer 2, begun anew"):
        transfer(student_of(Aim()), make, freeze=("head",), **QUICK)


def test_what_cannot_share_a_body_is_refused_in_one_line():
    image = partial(Anything, spaces.Box(0, 255, (12, 12, 1), np.uint8), spaces.Discrete(2))
    with pytest.raises(RequestError, match="expected the observations that the student sees"):
        transfer(student_of(Aim()), image, **QUICK)
    tree = next(make_student(kind) for kind in KINDS if "tree" in kind[2])
    with pytest.raises(RequestError, match="expected a network to transfer"):
        transfer(tree, partial(Anything, tree.observation_space, tree.action_space), **QUICK)
    memory = make_student(MEMORY_KINDS[0])
    with pytest.raises(RequestError, match="expected a feed-forward student where spaces differ"):
        transfer(memory, partial(Anything, memory.observation_space, spaces.Discrete(9)), **QUICK)


def test_a_teacher_of_the_new_task_teaches_by_the_divergence_alone():
    begun = student_of(gymnasium.make("CartPole-v1"))
    with pytest.raises(RequestError, match="expected only the divergence from the teacher"):
        transfer(begun, "CartPole-v1", teacher=cartpole_teacher(), **BY_TEACHER, objective="n_distill")
