"""A student may see less of an observation than its teacher does: through training, file, engines and exporters."""

import json
import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill.cli import main
from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.view_record import both_parts, view_record
from policy_distill.exporters.export import export
from policy_distill.report.blindness import blindness_chart, blindness_note, sighted_run, still_falls
from policy_distill.report.read_run import read_run
from policy_distill.report.write import write_report
from policy_distill.run.checkpoints import checkpoint
from policy_distill.run.distill import distill
from policy_distill.student.engines.table import ENGINES
from policy_distill.student.runtime import Student, load_student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import describe_space, make_space
from policy_distill.student.view import ALL, View, view_of
from tests.doubles import cartpole_teacher

QUICK = {"timesteps": 1024, "n_steps": 32, "eval_episodes": 0}
BOTH = spaces.Dict(speed=spaces.Box(-1.0, 1.0, (2,)), kind=spaces.Discrete(3))
LABELS = ("x", "x_velocity", "theta", "theta_velocity")
VECTOR = spaces.Box(-np.inf, np.inf, (4,), np.float32)


def blind(student, obs, unseen):
    """Say whether executed actions are the same whatever stands in the components that are not seen."""
    other = obs.copy()
    other[:, unseen] = np.random.default_rng(1).normal(size=(len(obs), len(unseen))) * 5
    return np.array_equal(student.predict(obs, deterministic=True)[0], student.predict(other, deterministic=True)[0])


@pytest.fixture(scope="module")
def two_of_four(tmp_path_factory):
    """A student of CartPole's pole that sees neither the cart's place nor its speed."""
    folder = tmp_path_factory.mktemp("view")
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="2,3", out=folder / "run", **QUICK)
    return folder / "run" / "student.safetensors"


@pytest.fixture
def observations():
    return np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)


def test_names_stand_for_keys_of_a_dict_and_for_components_of_a_vector():
    vector, bits, both = (describe_space(space) for space in (VECTOR, spaces.MultiBinary(3), BOTH))
    assert view_of(vector, ("2", "0"), "it") == View(vector, components={"": (0, 2)})
    assert view_of(vector, ("3", "0-1"), "it") == View(vector, components={"": (0, 1, 3)})
    assert view_of(vector, ("theta", "0"), "it", LABELS) == View(vector, components={"": (0, 2)}, labels=LABELS)
    assert view_of(vector, ("0", "1", "2", "3"), "it") == view_of(vector, (), "it") == ALL
    assert view_of(bits, ("1",), "it") == View(bits, components={"": (1,)})
    assert view_of(both, ("kind",), "it") == View(both, ("kind",))
    assert view_of(both, ("kind", "speed:1"), "it") == View(both, ("kind", "speed"), {"speed": (1,)})
    assert view_of(both, ("speed:0-1",), "it") == View(both, ("speed",))


def test_what_is_seen_has_a_space_of_its_own():
    def of(space, *names):
        return make_space(view_of(describe_space(space), names, "it").space)

    low, high = np.array([-2.0, 0.0, -np.inf], np.float32), np.array([1.0, 5.0, np.inf], np.float32)
    assert of(spaces.Box(low, high), "0", "2") == spaces.Box(low[[0, 2]], high[[0, 2]])
    assert of(VECTOR, "1-2") == spaces.Box(-np.inf, np.inf, (2,), np.float32)
    assert of(spaces.MultiBinary(3), "0", "2") == spaces.MultiBinary(2)
    assert of(BOTH, "speed:1", "kind") == spaces.Dict(speed=spaces.Box(-1.0, 1.0, (1,)), kind=spaces.Discrete(3))


def test_the_part_is_an_observation_and_so_is_the_whole():
    view, both = (view_of(describe_space(space), ("speed:1",), "it") for space in (BOTH, BOTH))
    whole = {"speed": np.arange(6.0).reshape(3, 2), "kind": np.zeros(3)}
    assert np.array_equal(view.narrow(whole)["speed"], [[1.0], [3.0], [5.0]])
    assert np.array_equal(both.narrow(view.narrow(whole))["speed"], [[1.0], [3.0], [5.0]])
    vector = view_of(describe_space(VECTOR), ("1-2",), "it")
    assert vector.narrow([0, 1, 2, 3]).tolist() == [1, 2] and vector.narrow([1, 2]) == [1, 2]
    assert vector.narrow(np.zeros((7, 5, 4))).shape == (7, 5, 2)
    assert ALL.narrow(whole) is whole


@pytest.mark.parametrize(
    ("space", "names", "words"),
    [
        (VECTOR, ("4",), r"the components of it \(0, 1, 2, 3\), found 4$"),
        (VECTOR, ("1-4", "0"), "found 1-4$"),
        (VECTOR, ("3-1",), "found 3-1$"),
        (VECTOR, ("0", "2", "0-1"), r"each of the components of it \(0, 1, 2, 3\) once, found 0 twice$"),
        (BOTH, ("kind", "kind"), r"each of the keys of it \(.*\) once, found kind twice$"),
        (BOTH, ("speed:0", "speed"), "found speed twice$"),
        (BOTH, ("speed:2",), r"the components of 'speed' in it \(0, 1\), found 2$"),
        (BOTH, ("kind:0",), "a vector to observe 0 of, found a Discrete under 'kind' in it"),
        (VECTOR, ("-1",), "found -1$"),
        (VECTOR, ("speed",), "found speed$"),
        (spaces.Box(-1, 1, (30,)), ("30",), r"\(0 to 29\), found 30$"),
        (BOTH, ("0", "kind"), r"the keys of it \(.*kind.*\), found 0$"),
        (spaces.Discrete(4), ("0",), "a Dict or a vector to observe 0 of, found a Discrete in it"),
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), ("0",), "found a Box in it"),
    ],
)
def test_what_is_not_there_cannot_be_observed(space, names, words):
    with pytest.raises(RequestError, match=words):
        view_of(describe_space(space), names, "it")


def test_names_that_are_known_are_listed_where_another_is_asked_for():
    with pytest.raises(RequestError, match=r"\(x, x_velocity, theta, theta_velocity\), found speed$"):
        view_of(describe_space(VECTOR), ("x", "speed"), "it", LABELS)
    with pytest.raises(RequestError, match=r"found x twice$"):
        view_of(describe_space(VECTOR), ("x", "0"), "it", LABELS)


def test_a_student_that_sees_two_components_acts_by_these_alone_in_every_engine(two_of_four, observations):
    record = load_student(two_of_four).metadata
    assert record["architecture"]["n_params"] == (2 + 1) * 8 + (8 + 1) * 2
    assert (record["observation_space"]["shape"], record["view"]["space"]["shape"]) == ([2], [4])
    expected = None
    for name in ENGINES:
        student = load_student(two_of_four, name)
        assert student.view.components == {"": (2, 3)}
        assert blind(student, observations, [0, 1]) and not blind(student, observations, [2, 3])
        actions = student.predict(observations, deterministic=True)[0]
        assert expected is None or np.array_equal(actions, expected)
        assert [int(student.act(obs)) for obs in observations[:20]] == actions[:20].tolist()
        assert [int(student.act(obs[2:])) for obs in observations[:20]] == actions[:20].tolist()
        assert np.array_equal(student.predict(observations[:, 2:], deterministic=True)[0], actions)
        with pytest.raises(ValueError, match=r"expected one observation of shape \(2,\), found shape \(3,\)"):
            student.act(observations[0, :3])
        expected = actions


@pytest.mark.parametrize("format", ["onnx", "c", "numpy", "torchscript", "sb3"])
def test_every_format_sees_what_the_student_sees(two_of_four, tmp_path, format):
    suffix = {"onnx": ".onnx", "torchscript": ".pt", "sb3": ".zip"}.get(format, "")
    result = export(two_of_four, tmp_path / f"student{suffix}", format, n_states=256)
    assert result.parity.passed and result.parity.states == "CartPole-v1"
    if format == "c":
        assert "POLICY_N_OBS 2 " in (result.path / "policy.h").read_text()


def test_a_model_of_it_trains_on_in_an_environment_that_shows_more(two_of_four, observations):
    for student in (load_student(two_of_four), slim(load_student(two_of_four))):
        model = student.to_sb3(gymnasium.make("CartPole-v1"))
        expected = student.predict(observations, deterministic=True)[0]
        assert np.array_equal(model.predict(observations, deterministic=True)[0], expected)


def test_it_trains_on_and_is_slimmed_as_any_other(two_of_four, observations):
    student = load_student(two_of_four)
    trainable = student.torch()
    assert np.allclose(trainable(observations).detach().numpy(), student.distribution_params(observations), atol=1e-5)
    assert blind(Student.of(trainable.to_record({})), observations, [0, 1])
    small = slim(student)
    assert small.n_params < student.n_params and blind(small, observations, [0, 1])
    assert small.view == student.record.view


def test_what_is_seen_and_what_is_not_is_said_in_words(two_of_four, capfd):
    vector, both = (describe_space(space) for space in (VECTOR, BOTH))
    assert both_parts(view_of(vector, ("0", "2"), "it", LABELS)) == (
        ["x", "theta"],
        ["x_velocity", "theta_velocity"],
    )
    assert both_parts(view_of(both, ("speed:1",), "it")) == (["speed:1"], ["speed:0", "kind"])
    assert view_record(ALL) is None and both_parts(ALL) == ([], [])
    through = View(wrapper={"entry_point": "pkg:Noisy", "kwargs": {"std": 0.1}})
    assert view_record(through).text == "the student sees through pkg:Noisy(std=0.1), which its teacher does not"
    assert json.loads((two_of_four.parent / "evaluation.json").read_text())["view"] == {
        "seen": "theta, theta_velocity",
        "unseen": "x, x_velocity",
    }
    assert main(["info", str(two_of_four)]) == 0
    said = capfd.readouterr().out
    assert re.search(r"does not see +x, x_velocity", said) and re.search(r"\nsees +theta, theta_velocity", said)


def test_the_report_draws_the_price_beside_a_sighted_run(tmp_path):
    for name, observe in (("blind", "x,theta"), ("sighted", ""), ("other", "x")):
        settings = {**QUICK, "eval_episodes": 4, "select_episodes": 2, "seed": int(name == "other")}
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe=observe, out=tmp_path / name, **settings)
    blind = read_run(tmp_path / "blind")
    assert sighted_run(blind).name == "sighted" and sighted_run(read_run(tmp_path / "other")) is None
    rows = blindness_chart(blind).spec["data"]["values"]
    assert {row["who"] for row in rows} == {"the student", "one that sees everything"}
    assert blindness_chart(read_run(tmp_path / "sighted")) is None
    page = write_report(tmp_path / "blind").read_text()
    assert "cannot see x_velocity, theta_velocity" in page and "where one that sees everything has" in page
    assert "The price of blindness" in page and "cannot see" not in write_report(tmp_path / "sighted").read_text()


def test_what_is_not_learnt_yet_is_not_said_to_be_the_price(tmp_path):
    """One of 512 steps has not learnt what it could, and one that has says nothing of more steps."""
    settings = {"eval_episodes": 4, "select_episodes": 2, "sampled_teacher": False, "n_envs": 4, "n_steps": 64}
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="x,theta", out=tmp_path, timesteps=512, **settings)
    (note,) = blindness_note(read_run(tmp_path))
    assert "by what it cannot tell apart, or has not learnt yet" in note and "more steps would leave less" in note
    assert not still_falls([1.0, 0.5, *[0.2, 0.21, 0.19] * 6]) and still_falls([2.0 / n for n in range(1, 25)])
    assert not still_falls([0.1] * 12) and still_falls([0.1] * 3)


def test_what_it_measures_is_of_the_student_as_it_acts(two_of_four):
    evaluation = json.loads((two_of_four.parent / "evaluation.json").read_text())
    assert 0.5 < evaluation["agreement"] <= 1.0 and 0.0 < evaluation["kl"] < 1.0


def test_a_run_goes_on_from_its_checkpoint_and_not_with_another_view(two_of_four, tmp_path):
    out = tmp_path / "run"
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="2,3", out=out, **QUICK)
    again = distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="2,3", out=out, resume=True, **QUICK).student
    assert all(np.array_equal(array, load_student(two_of_four).tensors[name]) for name, array in again.tensors.items())
    with pytest.raises(RequestError, match="observe='2,3', found '0,3'"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="0,3", out=out, resume=True, **QUICK)


def test_a_run_of_a_version_without_views_saw_everything():
    now = DistillConfig().to_json()
    older = {name: value for name, value in now.items() if name != "observe"}
    checkpoint._check_identity({"config": older}, {"config": now})
    with pytest.raises(RequestError, match="observe='', found '2'"):
        checkpoint._check_identity({"config": older}, {"config": {**now, "observe": "2"}})


def test_the_command_line_takes_components_and_refuses_what_is_not_there(zoo, tmp_path, capfd):
    command = ["distill", "--teacher", str(zoo / "ppo-LunarLander-v2"), "--out", str(tmp_path / "run")]
    command += ["--timesteps", "512", "--eval-episodes", "0", "--track", "disabled", "--student", "mlp:4"]
    assert main([*command, "--observe", "0,8"]) == 2
    assert "the components of what LunarLander" in capfd.readouterr().err
    assert main([*command, "--observe", "x,warp"]) == 2
    assert "(x, y, x_velocity, y_velocity, angle, angular_velocity, left_leg, right_leg), found warp" in (
        capfd.readouterr().err
    )
    assert main([*command, "--observe", " , "]) == 2
    assert "names of what is seen" in capfd.readouterr().err
    assert main([*command, "--observe", "x,y,angle"]) == 0
    said = capfd.readouterr().out
    assert re.search(r"sees +x, y, angle", said)
    assert re.search(r"does not see +x_velocity, y_velocity, angular_velocity, left_leg, right_leg", said)
    assert load_student(tmp_path / "run" / "student.safetensors").view.components == {"": (0, 1, 4)}
    with pytest.raises(RequestError, match="observe must be"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", observe="2", observation_keys=("a",), **QUICK)
