"""Names of what a student takes and gives: kept, checked, and acted by."""

from dataclasses import replace

import numpy as np
import pytest

from policy_distill import distill, load_student
from policy_distill.errors import RequestError
from policy_distill.exporters.c99.wiring import wiring_text
from policy_distill.student.onboard.identifiers import identifiers
from policy_distill.student.onboard.wiring import NOTHING, Wiring, check_wiring
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from policy_distill.student.spaces import describe_space
from tests.doubles import cartpole_teacher
from tests.students import ACTIONS, OBSERVATIONS, make_student

QUICK = {"timesteps": 256, "n_steps": 32, "n_envs": 2, "eval_episodes": 0, "n_epochs": 1}
NAMES = ("a", "b c", "θ", "q", "Q")
FIVE = np.array([0.1, -0.2, 0.3, 2.0, -1.0], np.float32)


def named(kind, runtime="numpy", **words):
    student = make_student(kind, seed=1)
    said = replace(student.description, wiring=Wiring(**words))
    return Student.of(StudentRecord(student.tensors, said), runtime)


@pytest.mark.parametrize("runtime", ["numpy", "native", "torch", "onnx"])
@pytest.mark.parametrize("network", ["mlp:8", "linear", "tree:4", "gru:4", "history:2+mlp:4"])
def test_an_observation_by_name_is_the_vector_whatever_its_order(network, runtime):
    if runtime == "native" and network.startswith("tree"):
        pytest.skip("the native engine has no trees")
    if runtime == "onnx":
        pytest.importorskip("onnxruntime")
    student = named(("vector", "gaussian", network, "tanh"), runtime, observations=NAMES)
    by_name = dict(zip(NAMES, FIVE.tolist(), strict=True))
    expected = student.act(FIVE)
    student.reset()
    np.testing.assert_array_equal(student.act(dict(reversed(by_name.items()))), expected)
    for odd, words in [
        ({key: by_name[key] for key in NAMES[1:]}, "found none for a$"),
        ({**by_name, "d": 1.0}, "found the unknown d$"),
        ({**{key: by_name[key] for key in NAMES[1:]}, "A": 1.0}, "found none for a and the unknown A$"),
        ({**by_name, "q": "1"}, "expected one number for each name, found str for q$"),
        ({**by_name, "q": [1.0]}, "found list for q$"),
        ({key: [value] for key, value in by_name.items()}, "found list for a$"),
    ]:
        with pytest.raises(ValueError, match=words) as found:
            student.act(odd)
        assert "\n" not in str(found.value)


def test_without_names_a_dict_is_refused_as_before():
    student = make_student(("vector", "gaussian", "mlp:8", "tanh"))
    with pytest.raises(ValueError, match="expected one observation of shape"):
        student.act(dict(zip(NAMES, FIVE.tolist(), strict=True)))


def test_actions_have_their_names():
    assert named(("vector", "offset", "mlp:8", "tanh"), actions=("l", "n", "r")).name_action(np.int64(5)) == "n"
    student = named(("vector", "gaussian", "mlp:8", "tanh"), actions=("hip", "knee"))
    assert list(student.name_action(student.act(FIVE))) == ["hip", "knee"]
    with pytest.raises(ValueError, match="of 2 numbers, found 3"):
        student.name_action(np.zeros(3))
    with pytest.raises(RequestError, match="policy-distill equip"):
        make_student(("vector", "gaussian", "mlp:8", "tanh")).name_action(0)


@pytest.mark.parametrize("action", [3, 7, -1])
def test_an_action_outside_of_the_choices_has_no_name(action):
    with pytest.raises(ValueError, match=f"expected an action from 4 to 6, found {action}"):
        named(("vector", "offset", "mlp:8", "tanh"), actions=("l", "n", "r")).name_action(action)


@pytest.mark.parametrize("action", [name for name in ACTIONS if name != "deterministic_clip"])
def test_every_kind_of_action_has_a_number_of_names(action):
    student = make_student(("vector", action, "mlp:8", "tanh"))
    numbers = np.ravel(student.act(FIVE)).size
    n = len(range(4)) if action == "discrete" else 3 if action == "offset" else numbers
    spaces = student.description.observation_space, student.description.action_space
    wiring = Wiring(actions=tuple(f"a{k}" for k in range(n)))
    assert check_wiring(wiring, *spaces, "x") == wiring
    with pytest.raises(RequestError, match=f"expected {n} action names"):
        check_wiring(Wiring(actions=(*wiring.actions, "more")), *spaces, "x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"observations": ("a", "b", "c", "d")}, "expected 5 observation names"),
        ({"observations": ("a", "b", "c", "d", "a")}, "different"),
        ({"observations": ("a", "b", "c", "d e", "d_e")}, "differ in C too, found 'd e' and 'd_e'"),
        ({"observations": ("a", "b", "c", "d", "?")}, "with a letter or a digit"),
        ({"actions": ("a", "a")}, "different"),
        ({"actions": ("a",)}, "expected 2 action names"),
        ({"actions": ("a", "3")}, "not numbers"),
        ({"control_hz": -1.0}, "control rate above 0"),
        ({"control_hz": float("nan")}, "control rate above 0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, message):
    spaces = describe_space(OBSERVATIONS["vector"]), describe_space(ACTIONS["gaussian"][0])
    with pytest.raises(RequestError, match=message) as found:
        check_wiring(Wiring(**words), *spaces, "the robot")
    assert "\n" not in str(found.value)


def test_identifiers_are_c_and_all_different():
    assert identifiers(["joint 1", "x-velocity", "θ"], "names") == ["JOINT_1", "X_VELOCITY", "U03B8"]
    assert identifiers(["torque -1", "torque 0", "torque +1"], "names") == [
        *("TORQUE_MINUS_1", "TORQUE_0", "TORQUE_PLUS_1")
    ]
    assert identifiers(["q", "Q"], "names") == ["q", "Q"]


def test_the_header_says_names_and_rate_and_no_name_leaves_its_comment():
    student = named(
        ("vector", "offset", "mlp:8", "tanh"), observations=NAMES, actions=("l", "*/ x", "r"), control_hz=50
    )
    text = wiring_text(student.plan)
    assert "#define POLICY_CONTROL_HZ 50.0 " in text
    assert "    POLICY_OBS_b_c = 1, /* b c */" in text and "    POLICY_OBS_Q = 4 /* Q */" in text
    # What the environment executes, not the place among the outputs.
    assert "    POLICY_ACTION_L = 4, /* l */" in text and "= 5, /* _/ x */" in text
    assert wiring_text(make_student(("vector", "offset", "mlp:8", "tanh")).plan) == ""


def test_a_run_keeps_names_and_rate_in_the_file(tmp_path):
    told = {"observation_names": "p,v,a,w", "action_names": "left,right", "control_hz": 50.0}
    distill(cartpole_teacher(), "CartPole-v1", "mlp:4", out=tmp_path / "run", **told, **QUICK)
    student = load_student(tmp_path / "run" / "student.safetensors")
    assert student.wiring == Wiring(("p", "v", "a", "w"), ("left", "right"), 50.0)
    assert student.act({"w": 0.4, "p": 0.1, "v": 0.2, "a": 0.3}) == student.act(np.array([0.1, 0.2, 0.3, 0.4]))
    part = distill(cartpole_teacher(), "CartPole-v1", "mlp:4", observe="a,p", **told, **QUICK).student
    assert part.wiring.observations == ("p", "a") and part.wiring.unseen == ("v", "w")
    # What it does not see may come along.
    seen = np.array([0.1, 0.3], np.float32)
    assert part.act({"w": 9.0, "p": 0.1, "v": 9.0, "a": 0.3}) == part.act({"p": 0.1, "a": 0.3}) == part.act(seen)
    with pytest.raises(RequestError, match="expected 2 action names"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:4", action_names="a,b,c", **QUICK)
    with pytest.raises(RequestError, match="control_hz must be from 0"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:4", control_hz=-5.0, **QUICK)


def test_a_record_of_another_form_is_refused():
    student = make_student(("vector", "gaussian", "mlp:8", "tanh"))
    empty = {"observations": [], "actions": [], "unseen": [], "control_hz": None}
    assert Student(student.tensors, {**student.metadata, "wiring": empty}).wiring == NOTHING
    for odd in (
        {"observations": [1]},
        {"actions": "ab"},
        {"control_hz": True},
        {"control_hz": 1e9},
        {"actions": ["a"]},
    ):
        with pytest.raises((ValueError, TypeError)):
            Student(student.tensors, {**student.metadata, "wiring": {**empty, **odd}})


def test_in_another_task_names_stay_where_what_they_name_does():
    wiring = Wiring(("a", "b"), ("l", "r"), 50.0, ("c",))
    assert wiring.elsewhere(None, same_actions=True) == wiring
    assert wiring.elsewhere(("p", "q", "r"), same_actions=False) == Wiring(("p", "q", "r"), (), 50.0)
