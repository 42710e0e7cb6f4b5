"""Students that convolve an image of numbers, or one among other keys: from collecting to what is exported."""

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import PPO

from policy_distill.cli import main
from policy_distill.compression.compress import compress
from policy_distill.errors import RequestError
from policy_distill.exporters.export import export
from policy_distill.run.distill import distill
from policy_distill.student.engines.table import ENGINES
from policy_distill.student.pixels import image_first
from policy_distill.student.runtime import load_student
from policy_distill.student.spaces import describe_space
from tests.run.test_resume import die_and_resume
from tests.teachers.test_every_teacher import Any

ACTION = spaces.Discrete(3)
SPACES = {
    "camera": spaces.Dict(
        camera=spaces.Box(0, 255, (36, 36, 3), np.uint8), speed=spaces.Box(-1.0, 1.0, (2,)), kind=spaces.Discrete(3)
    ),
    "behind": spaces.Dict(a=spaces.Box(-1.0, 1.0, (2,)), picture=spaces.Box(0.0, 1.0, (2, 10, 12), np.float32)),
    "numbers": spaces.Box(-np.inf, np.inf, (10, 12, 2), np.float32),
}
STUDENTS = {"camera": "cnn:4,4+mlp:8", "behind": "cnn:4", "numbers": "cnn:4+mlp:8"}
QUICK = {"timesteps": 320, "n_steps": 16, "n_envs": 4, "eval_episodes": 0}


def make_env(name):
    return lambda: Any(SPACES[name], ACTION)


def make_teacher(name):
    policy = "MultiInputPolicy" if isinstance(SPACES[name], spaces.Dict) else "MlpPolicy"
    options = {"net_arch": [8]}
    return PPO(policy, make_env(name)(), n_steps=16, batch_size=8, seed=0, device="cpu", policy_kwargs=options)


@pytest.fixture(scope="module", params=SPACES)
def trained(request, tmp_path_factory):
    """A name of `SPACES` and the file of a student of it."""
    out = tmp_path_factory.mktemp("run")
    distill(make_teacher(request.param), make_env(request.param), STUDENTS[request.param], out=out / "a", **QUICK)
    return request.param, out / "a" / "student.safetensors"


def batch_of(name, n=24):
    space = SPACES[name]
    space.seed(1)
    drawn = [space.sample() for _ in range(n)]
    return {key: np.stack([one[key] for one in drawn]) for key in space} if name != "numbers" else np.stack(drawn)


def test_what_is_not_the_image_joins_behind_the_convolutions(trained):
    name, path = trained
    student = load_student(path)
    layers, n_beside = student.plan.layers, {"camera": 2 + 3, "behind": 2, "numbers": 0}[name]
    assert [layer["op"] for layer in layers][:2] == ["image", "conv2d"]
    assert {layer.get("beside", 0) for layer in layers[: [one["op"] for one in layers].index("linear")]} == {n_beside}
    assert student.metadata["format_version"] == 3
    obs = batch_of(name)
    other = {**obs, "speed": -obs["speed"]} if name == "camera" else None
    outputs = student.network_outputs(obs)
    assert other is None or not np.allclose(student.network_outputs(other), outputs, atol=1e-4)
    assert np.allclose(student.torch()(obs).detach().numpy(), student.distribution_params(obs), atol=1e-4)


def test_every_engine_acts_alike(trained):
    name, path = trained
    obs = batch_of(name)
    expected = load_student(path, "numpy").network_outputs(obs)
    for engine in (one for one in ENGINES if one != "native"):
        assert np.allclose(load_student(path, engine).network_outputs(obs), expected, atol=1e-4)
    with pytest.raises(
        RequestError, match="of vectors with a linear, mlp, gru or history network for the runtime native"
    ):
        load_student(path, "native")


@pytest.mark.parametrize("format", ["onnx", "c", "numpy", "torchscript", "sb3"])
def test_every_format_acts_as_the_student(trained, tmp_path, format):
    name, path = trained
    suffix = {"onnx": ".onnx", "torchscript": ".pt", "sb3": ".zip"}.get(format, "")
    result = export(path, tmp_path / f"student{suffix}", format, env=make_env(name), n_states=64)
    assert result.parity.passed and result.parity.n_visited == 64


@pytest.mark.parametrize("name", SPACES)
def test_a_run_that_died_equals_one_that_did_not(tmp_path, name):
    settings = {**QUICK, "checkpoint_every": 64, "timesteps": 512}
    whole, died = die_and_resume(
        tmp_path, lambda: make_teacher(name), lambda: make_env(name), STUDENTS[name], at=(256,), **settings
    )
    assert whole == died


def test_the_image_comes_first_for_a_cnn_alone():
    space = describe_space(SPACES["behind"])
    assert list(image_first(space, "cnn:4")["spaces"]) == ["picture", "a"]
    assert list(image_first(space, "mlp:4")["spaces"]) == ["a", "picture"]


def test_channels_of_numbers_are_measured_as_wholes(trained):
    name, path = trained
    normalizer = load_student(path).normalizer
    if name == "camera":
        assert set(normalizer) == {"speed"}
        return
    one = normalizer if name == "numbers" else normalizer["picture"]
    assert len(np.unique(one.mean)) == 2 and len(np.unique(one.variance)) <= 2


def test_what_cannot_be_convolved_is_refused_in_one_line(trained, tmp_path, capfd):
    name, path = trained
    two = spaces.Dict(left=spaces.Box(0, 1, (9, 9, 1)), right=spaces.Box(0, 1, (9, 9, 1)), speed=spaces.Box(0, 1, (2,)))
    teacher = PPO("MultiInputPolicy", Any(two, ACTION), n_steps=16, batch_size=8, policy_kwargs={"net_arch": [4]})
    with pytest.raises(RequestError, match=r"one image for a cnn, found left, right; choose one.* with --observe$"):
        distill(teacher, lambda: Any(two, ACTION), "cnn:4", **QUICK)
    found = distill(teacher, lambda: Any(two, ACTION), "cnn:4", observe="right,speed", **QUICK).student
    assert list(found.observation_space) == ["right", "speed"]
    with pytest.raises(RequestError, match="expected images"):
        distill(teacher, lambda: Any(two, ACTION), "cnn:4", observe="speed", **QUICK)
    for student in ("cnn:4+gru:4", "cnn:4+mlp:0", "cnn:4+"):
        with pytest.raises(RequestError, match=r"an mlp behind cnn:4|expected widths"):
            distill(teacher, lambda: Any(two, ACTION), student, **QUICK)
    command = ["export", str(path), "--format", "c", "--out", str(tmp_path / "c"), "--quantize", "int8"]
    status = main([*command, "--states", "32", "--episodes", "0"])
    assert status == (0 if name == "numbers" else 2), capfd.readouterr().err


@pytest.mark.parametrize("student", ["gru:4", "history:2+mlp:4", "tree:4", "oblique_tree:4"])
@pytest.mark.parametrize("name", SPACES)
def test_what_is_made_for_vectors_is_refused_where_there_is_an_image(name, student):
    with pytest.raises(RequestError, match=r"expected vectors .*found images.*; use cnn:16,32"):
        distill(make_teacher(name), make_env(name), student, **QUICK)


def test_a_compression_tries_convolutions_of_the_one_image():
    name = "camera"
    found = compress(make_teacher(name), make_env(name), **{**QUICK, "eval_episodes": 4, "select_episodes": 2})
    assert found.student.metadata["architecture"]["spec"].startswith("cnn:")
